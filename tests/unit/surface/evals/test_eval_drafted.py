"""Cases that a model writes on a corpus: what is kept, what is thrown out and why, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest, BadSuite, NotFound
from perdure.core.ports import Answered, Asked
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.usage import Usage
from perdure.surface.eval_drafting import DraftHow
from perdure.surface.sdk import Perdure

AT = parse_at("2026-01-10T00:00:00Z")
PRICE = 2_000_000_000
"""Of each answer, picodollars."""
NAMES = ["Ahr", "Brend", "Dhron", "Erft", "Glan", "Inde", "Kyll", "Lenne"]


def passage(name: str, at: int) -> str:
    return (
        f"## The {name} ferry\n\nThe {name} ferry crosses the river {at + 3} times a day and takes {at + 20} cars. It was "
        f"built in {1950 + at} by the yard of {name}heim, which lies below the old town, and is repaired every winter by "
        f"people who learned it there. Dogs travel for {at + 2} euros.\n\n"
    )


@dataclass
class Writer:
    """Writes, of each passage, one good draft and such as prove nothing; knows without a passage what it is told to."""

    knows: str = ""
    fails: Callable[[Asked], str] = lambda _: ""
    asked: list[Asked] = field(default_factory=list)

    async def ask(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        error = self.fails(asked)
        if error:
            return Answered({}, error=error)
        said = str(asked.messages[-1]["content"])
        text = self.drafts(json.loads(said)) if is_draft(asked) else self.closed(said)
        return Answered({"content": text}, "stop", Usage(n_input=10, n_output=10), PRICE, 1000, "local/small")

    def closed(self, question: str) -> str:
        return "It is 22 cars." if self.knows and self.knows in question else "I don't know."

    def drafts(self, text: str) -> str:
        name = text.split()[2]
        at = NAMES.index(name)
        return json.dumps(
            {
                "cases": [
                    {"question": f"How many cars fit on what crosses at {name}?", "expected": f"{at + 20} cars"},
                    {"question": f"Who steers the boat of {name} at night?", "expected": "Otto Krummbein"},
                    {"question": f"Which price do pets pay at {name}?", "expected": f"{at + 2} euros"},
                ]
            }
        )

    async def close(self) -> None:
        """Nothing is open."""


def is_draft(asked: Asked) -> bool:
    return "test questions" in str(asked.messages[0]["content"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "ferries.md").write_text("".join(passage(name, at) for at, name in enumerate(NAMES[:4])))
    for at, name in list(enumerate(NAMES))[4:]:
        (folder / "more" / f"{name}.txt").write_text(passage(name, at))
    (folder / ".hidden" / "x.md").write_text("Secret.")
    (folder / "photo.png").write_bytes(b"\xff\xd8")
    return folder


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def perdure(tmp_path: Path, writer: Writer) -> Perdure:
    prices = UnitPrices(input=1, output=1)
    main = Route("main", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small", prices=prices)])
    prompt = Prompt(
        "answer",
        [("user", "{{ context }} {{ question }}")],
        "main",
        {"question": str, "context": str},
        examples=[Case("e", {"question": "Which price do pets pay at Glan?", "context": "-"}, "6 euros")],
    )
    plain = Prompt("plain", [("user", "{{ a }} {{ b }}")], "main", {"a": str, "b": str})
    suites = [
        Suite("ferries", tmp_path / "ferries.jsonl", [Exact()], prompt="answer"),
        Suite("raw", tmp_path / "raw.jsonl", [Exact()], route="main"),
        Suite("unclear", tmp_path / "unclear.jsonl", [Exact()], prompt="plain"),
    ]
    (tmp_path / "ferries.jsonl").write_text(
        '{"inputs": {"question": "Which price do pets pay at Ahr?", "context": "-"}, "expected": "2 euros"}\n'
    )
    made = Perdure(
        tmp_path,
        Settings(ProjectSettings("p")),
        project=Project.of("p", main, prompt, plain, *suites),
        actor="ana",
    )
    made.__dict__["place"] = replace(made.place, open_answerer=lambda: writer)
    return made


HOW = DraftHow(at=AT)


def test_what_proves_nothing_is_thrown_out_with_its_reason(perdure, writer, corpus):
    writer.knows = "Dhron"
    told = perdure.evals.draft("ferries", corpus, 50, how=HOW)
    assert told.n_passages == told.n_asked == 8
    assert told.reasons == {"trivial": 1, "unanswerable": 8, "duplicate": 2}
    assert len(told.kept) == len(told.reviews) == 13
    assert told.partial == ""
    assert all("Otto" not in str(case.expected) for case in told.kept)
    assert told.spent_usd == pytest.approx((8 + 14) * PRICE / 1e12)
    known = {each.question for each in told.rejected if each.reason == "duplicate"}
    assert known == {"Which price do pets pay at Ahr?", "Which price do pets pay at Glan?"}


def test_a_kept_case_says_where_it_came_from(perdure, corpus):
    told = perdure.evals.draft("ferries", corpus, 50, how=HOW)
    case = next(each for each in told.kept if each.inputs["question"] == "Which price do pets pay at Brend?")
    where = case.provenance
    assert (where["from"], where["file"], where["model"]) == ("synthetic", "handbook/ferries.md", "local/small")
    text = (corpus / "ferries.md").read_text()[where["start"] : where["end"]]
    assert case.contexts == (text,)
    assert case.inputs["context"] == text
    assert text.startswith("## The Brend ferry")
    assert case.cluster == f"handbook/ferries.md:{where['start']}-{where['end']}"


def test_no_more_are_made_than_are_wanted_and_the_next_time_other_passages_are_asked(perdure, writer, corpus):
    first = perdure.evals.draft("ferries", corpus, 2, how=HOW)
    n_first = sum(map(is_draft, writer.asked))
    second = perdure.evals.draft("ferries", corpus, 2, how=HOW)
    assert len(first.kept) == len(second.kept) == 2
    assert second.n_used == first.n_asked == n_first
    assert not {case.contexts for case in first.kept} & {case.contexts for case in second.kept}
    assert len(perdure.list_reviews("ferries")) == 4
    perdure.evals.draft("ferries", corpus, 50, how=HOW)
    assert perdure.evals.draft("ferries", corpus, 50, how=HOW).n_passages == 0


def test_a_draft_that_a_person_calls_good_becomes_a_case(perdure, corpus, tmp_path):
    told = perdure.evals.draft("ferries", corpus, 1, how=HOW)
    [shown] = perdure.next_reviews("ferries")
    assert (shown.why, shown.words, shown.case["answers"]) == ("synthetic", ("bad", "good"), [])
    perdure.label_review(shown.id, "good", at=AT)
    perdure.accept_review(shown.id, "ferries", at=AT)
    [case] = told.kept
    added = perdure.project.suite("ferries").read().cases[-1]
    assert (added.inputs, added.expected, added.contexts) == (case.inputs, case.expected, case.contexts)
    assert (added.cluster, added.tags) == (case.cluster, ("synthetic", "reviewed"))
    labels = [{"labeller": "ana", "value": 1.0}]
    assert added.provenance == {**case.provenance, "review": shown.id, "labels": labels}
    assert perdure.verify_ledger().intact


def test_a_file_is_written_in_place_of_the_queue_and_grows(perdure, corpus, tmp_path):
    how = replace(HOW, out=tmp_path / "drafts.jsonl")
    first = perdure.evals.draft("raw", [corpus / "ferries.md"], 2, how=how)
    second = perdure.evals.draft("raw", corpus, 50, how=how)
    made = Suite("made", tmp_path / "drafts.jsonl", [Exact()], route="main")
    cases = made.read().cases
    assert [case.id for case in cases] == [case.id for case in (*first.kept, *second.kept)]
    assert cases[0].inputs["messages"][0]["role"] == "user"
    assert perdure.list_reviews() == []
    assert made.frozen().version


def test_what_was_kept_stays_where_it_is_stopped(perdure, corpus):
    class Stopped(Exception):
        pass

    def stop(sofar):
        raise Stopped

    with pytest.raises(Stopped):
        perdure.evals.draft("ferries", corpus, 3, how=replace(HOW, watching=stop))
    assert len(perdure.list_reviews("ferries")) >= 1


def test_a_budget_ends_it_before_it_is_overdrawn(perdure, corpus):
    told = perdure.evals.draft("ferries", corpus, 50, budget_usd=0.012, how=HOW)
    assert "budget" in told.partial
    assert told.spent_usd <= 0.012
    assert len(told.kept) + len(told.rejected) > 0


def test_a_draft_that_could_not_be_asked_without_its_passage_is_not_kept(perdure, writer, corpus):
    writer.fails = lambda asked: "" if is_draft(asked) else "http.418"
    told = perdure.evals.draft("ferries", corpus, 50, how=HOW)
    assert told.kept == []
    assert told.reasons["unasked"] == 14
    assert told.failed == {"http.418": 14}


def test_a_route_that_takes_no_form_of_answers_is_asked_without(perdure, writer, corpus):
    writer.fails = lambda asked: "invalid_request_error" if asked.params else ""
    told = perdure.evals.draft("ferries", corpus, 50, how=HOW)
    assert len(told.kept) == 14
    assert told.failed == {}


def test_where_nobody_answers_it_ends_after_the_first_wave(perdure, writer, corpus):
    writer.fails = lambda asked: "unauthorized"
    told = perdure.evals.draft("ferries", corpus, 3, how=HOW)
    assert (told.kept, told.n_asked) == ([], 1)
    assert "unauthorized" in told.partial


def test_answers_that_are_no_cases_are_counted(perdure, writer, corpus):
    writer.drafts = lambda text: "I would rather not."
    assert perdure.evals.draft("ferries", corpus, 50, how=HOW).n_unread == 8


def test_mistakes_say_what_to_do_next(perdure, writer, corpus, tmp_path):
    draft = perdure.evals.draft
    with pytest.raises(BadSuite, match="variable") as unclear:
        draft("unclear", corpus, how=HOW)
    assert "a, b" in unclear.value.hint
    with pytest.raises(BadSuite, match="fill the variable 'b'"):
        draft("unclear", corpus, how=replace(HOW, question="a"))
    with pytest.raises(NotFound, match="route"):
        draft("ferries", corpus, route="mian", how=HOW)
    with pytest.raises(NotFound, match="no corpus"):
        draft("ferries", tmp_path / "nothing", how=HOW)
    (tmp_path / "bare").mkdir()
    with pytest.raises(NotFound, match="holds no text"):
        draft("ferries", tmp_path / "bare", how=HOW)
    with pytest.raises(BadRequest, match="UTF-8"):
        draft("ferries", corpus / "photo.png", how=HOW)
    perdure.project.suites["yaml"] = Suite("yaml", tmp_path / "c.yaml", [Exact()], route="main")
    with pytest.raises(BadSuite, match="JSONL"):
        draft("yaml", corpus, how=HOW)
    assert writer.asked == []
