"""Judges and the review queue as people use them: verbs, commands, labels from calls and files, cases that suites grow by."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure.assets.judge import Judge
from perdure.assets.project import Project
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact
from perdure.assets.suite import Suite
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer
from perdure.core.clock import parse_at, to_us
from perdure.core.errors import BadJudge, BadSuite, DeclarationError, NotFound, NotReady, Refused
from perdure.core.settings import CaptureSettings, ProjectSettings, Settings
from perdure.core.usage import Usage
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.work.judges.labels import put_case
from perdure.loop.work.judges.queue import ask_again, review_of
from perdure.stores.capture.events import Call, Feedback
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.sdk import Perdure
from perdure.testing.evals import FakeAnswerer, FakeJudge

AT = parse_at("2026-01-10T00:00:00Z")
SUPPORT = Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
JUDGES = Route("judges", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "large")])


def truth(told: Any) -> float:
    """Answers that say yes are good."""
    return float("yes" in told["answer"])


def lines(n: int) -> str:
    """An anchor set: half of it yes, half no."""
    rows = [
        {
            "inputs": {"n": n},
            "answer": f"{'yes' if n % 2 else 'no'} {n}",
            "label": "good" if n % 2 else "bad",
            "labeller": "ana",
        }
        for n in range(n)
    ]
    return "\n".join(map(json.dumps, rows))


@pytest.fixture
def perdure(tmp_path: Path) -> Perdure:
    """A project with a judge and a suite, whose models are fakes."""
    (tmp_path / "anchor.jsonl").write_text(lines(40))
    (tmp_path / "cases.jsonl").write_text('{"id": "c1", "inputs": {"q": "What?"}, "expected": "this"}')
    judge = Judge("yes", "The answer says yes.", "judges", anchor=tmp_path / "anchor.jsonl")
    suite = Suite("questions", tmp_path / "cases.jsonl", [Exact()], route="support")
    project = Project.of("p", SUPPORT, JUDGES, judge, suite)
    made = Perdure(tmp_path, Settings(ProjectSettings("p")), project=project, actor="ana")
    made.__dict__["place"] = replace(made.place, open_answerer=lambda: FakeAnswerer({"judges": FakeJudge(truth)}))
    return made


def released(perdure: Perdure) -> str:
    """What is declared answers."""
    version = perdure.calibrate_judge("yes", "declared", at=AT).version
    with perdure.place.transaction(AT, "released") as session:
        session.pointers.set([Pointer("yes", CHAMPION, version)])
    return version


def asked(perdure: Perdure, *answers: str) -> list[str]:
    """Cases in the queue; their reviews' ids."""
    cases = [Judgeable.of({"q": answer}, [answer]) for answer in answers]
    return [each.id for each in ask_again(perdure.place, "yes", cases, "by hand", AT)]


class TestJudges:
    def test_a_judge_is_calibrated_listed_and_shown(self, perdure: Perdure) -> None:
        (before,) = perdure.list_judges()
        shown = perdure.calibrate_judge("yes", at=AT)
        (after,) = perdure.list_judges()

        assert (before.verdict, before.n_labels) == ("", 0)
        assert shown.calibration is not None
        assert (shown.calibration.verdict, shown.calibration.n, shown.calibration.accuracy.value) == ("usable", 40, 1.0)
        assert (shown.n_unanswered, shown.models) == (0, ["fake/judge-1"])
        assert (after.verdict, after.agreement, after.calibrated_at) == ("usable", 1.0, AT)
        assert perdure.show_judge("yes", "declared") == perdure.show_judge("yes", shown.version[:8]) == shown

    def test_a_calibration_is_in_the_ledger_with_the_version_and_without_texts(self, perdure: Perdure) -> None:
        version = perdure.calibrate_judge("yes", at=AT).version
        entry = next(each for each in perdure.audit() if each.action == "judge.calibrate")

        assert (entry.facts["version"], entry.facts["verdict"], entry.facts["n"]) == (version, "usable", 40)
        assert "yes 1" not in str(entry.facts)
        assert perdure.verify_ledger().intact
        (reading,) = [r for r in perdure.place.stores.readings.latest("yes") if r.signal == "judge_calibration"]
        assert (reading.value, reading.version) == (1.0, version)

    def test_without_labels_routes_or_versions_it_is_told_what_lacks(self, perdure: Perdure, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="answers yet"):
            perdure.calibrate_judge("yes", "champion", at=AT)
        with pytest.raises(NotFound, match="judge"):
            perdure.calibrate_judge("no", at=AT)
        perdure.__dict__["place"] = replace(perdure.place, open_answerer=None)
        with pytest.raises(NotReady, match="route"):
            perdure.calibrate_judge("yes", at=AT)
        (tmp_path / "anchor.jsonl").write_text("")
        with pytest.raises(BadJudge, match="Nobody labelled"):
            perdure.calibrate_judge("yes", at=AT)
        (tmp_path / "anchor.jsonl").unlink()
        with pytest.raises(BadJudge, match="cannot be read"):
            perdure.calibrate_judge("yes", at=AT)


class TestQueue:
    def test_a_case_is_shown_without_what_the_judge_said_until_it_is_labelled(self, perdure: Perdure) -> None:
        """So that people do not repeat it."""
        released(perdure)
        calls(perdure, 30)
        perdure.draw_reviews("yes", "support", 12, at=AT)
        (shown,) = perdure.next_reviews("yes")
        labelled = perdure.label_review(shown.id, "good", note="it does", at=AT)

        assert (shown.judged, shown.rubric, list(shown.words)) == (None, "The answer says yes.", ["bad", "good"])
        assert labelled.judged in (0.0, 1.0)
        assert [(each.labeller, each.value, each.word, each.note) for each in labelled.labels] == [
            ("ana", 1.0, "good", "it does")
        ]

    def test_the_next_case_is_one_that_the_person_did_not_label(self, perdure: Perdure) -> None:
        first, second = asked(perdure, "yes", "no")
        perdure.label_review(first, "1.0", at=AT)

        assert [each.id for each in perdure.next_reviews("yes", 5, by="ana")] == [second]
        assert [each.id for each in perdure.next_reviews("yes", 5, by="bo")] == [second, first]

    def test_what_was_drawn_is_asked_in_an_order_of_chance(self, perdure: Perdure) -> None:
        """Whoever labels the first half labels no likelier cases than the second half has."""
        chances = [0.1 + 0.02 * n for n in range(40)]
        for n, chance in enumerate(chances):
            at = AT + timedelta(minutes=n)
            review = review_of("yes", str(n), put_case(perdure.place, Judgeable.of({}, [f"yes {n}"])), "drawn", at)
            with perdure.place.transaction(at, "drawn") as session:
                session.reviews.ask([replace(review, inclusion=chance)])
        shown = [each.inclusion or 0.0 for each in perdure.next_reviews("yes", 40)]
        first, second = sum(shown[:20]) / 20, sum(shown[20:]) / 20

        assert sorted(shown) == chances
        assert abs(first - second) < 0.15

    def test_a_drawn_case_weighs_one_over_its_recorded_probability_in_a_calibration(self, perdure: Perdure) -> None:
        for n, (answer, chance) in enumerate((("yes 1", 0.9), ("no way", 0.1))):
            review = review_of("yes", str(n), put_case(perdure.place, Judgeable.of({}, [answer])), "drawn", AT)
            with perdure.place.transaction(AT, "drawn") as session:
                session.reviews.ask([replace(review, inclusion=chance)])
            perdure.label_review(review.id, "good", at=AT)
        found = perdure.calibrate_judge("yes", at=AT + timedelta(hours=1)).calibration

        assert found is not None
        # The file's 40 are right; of the two drawn the wrong one stands for nine times as many cases.
        assert found.accuracy.value == pytest.approx((40 + 0.2) / 42)

    def test_two_people_who_disagree_are_both_kept(self, perdure: Perdure) -> None:
        (review,) = asked(perdure, "yes")
        perdure.label_review(review, "good", at=AT)
        shown = perdure.label_review(review[:-4], "bad", by="bo", at=AT)

        assert {each.labeller: each.value for each in shown.labels} == {"ana": 1.0, "bo": 0.0}

    @pytest.mark.parametrize("label", ["great", "1.5", "-0.1", "nan", ""])
    def test_a_label_is_a_word_of_the_scale_or_a_number(self, perdure: Perdure, label: str) -> None:
        (review,) = asked(perdure, "yes")
        with pytest.raises(DeclarationError, match="no label"):
            perdure.label_review(review, label, at=AT)

    def test_drawn_cases_are_part_of_what_a_judge_is_calibrated_on_and_chosen_ones_are_not(
        self, perdure: Perdure
    ) -> None:
        drawn = [
            replace(
                review_of("yes", answer, put_case(perdure.place, Judgeable.of({}, [answer])), "drawn", AT),
                inclusion=0.5,
            )
            for answer in ("yes indeed", "no way")
        ]
        with perdure.place.transaction(AT, "drawn") as session:
            session.reviews.ask(drawn)
        for review in [*(each.id for each in drawn), *asked(perdure, "no, by hand")]:
            perdure.label_review(review, "good", at=AT)
        found = perdure.calibrate_judge("yes", at=AT + timedelta(hours=1)).calibration

        assert found is not None
        assert (found.n, found.accuracy.value) == (42, 41 / 42)

    def test_a_dropped_case_takes_no_label(self, perdure: Perdure) -> None:
        (review,) = asked(perdure, "yes")
        assert perdure.drop_review(review, at=AT).status == "dropped"
        assert perdure.list_reviews() == []
        assert len(perdure.list_reviews(every=True)) == 1
        with pytest.raises(Refused):
            perdure.label_review(review, "good", at=AT)


class TestImport:
    def test_labels_of_a_file_are_kept_once(self, perdure: Perdure, tmp_path: Path) -> None:
        (review,) = asked(perdure, "yes")
        told = {"review": review, "label": "good", "labeller": "bo", "at": "2026-01-09T00:00:00Z"}
        (tmp_path / "labels.jsonl").write_text(json.dumps(told))
        perdure.import_reviews("yes", tmp_path / "labels.jsonl", at=AT)
        before = perdure.place.stores.ledger.sequence()
        (shown,) = perdure.import_reviews("yes", tmp_path / "labels.jsonl", at=AT)

        assert (shown.labels[0].labeller, shown.labels[0].source) == ("bo", "file")
        assert perdure.place.stores.ledger.sequence() == before

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("{", "line 2"),
            ("{}", "line 2: this is no label"),
            ('{"review": "rev_x", "label": "good", "labeller": 5}', "line 2"),
        ],
    )
    def test_a_wrong_line_is_told_and_nothing_is_kept(
        self, perdure: Perdure, tmp_path: Path, line: str, match: str
    ) -> None:
        (review,) = asked(perdure, "yes")
        good = json.dumps({"review": review, "label": "good", "labeller": "bo"})
        (tmp_path / "labels.jsonl").write_text(f"{good}\n{line}")
        with pytest.raises(DeclarationError, match=match):
            perdure.import_reviews("yes", tmp_path / "labels.jsonl", at=AT)
        assert perdure.list_reviews()[0].labels == ()

    def test_feedback_is_imported_with_the_probability_it_tells(self, perdure: Perdure) -> None:
        calls(perdure, 3)
        say(perdure, ("c0", "key-1", 1.0, "sampled:0.25"), ("c1", "key-1", 0.0, "too short"), ("c9", "key-1", 1.0, ""))
        found = perdure.import_reviews("yes", at=AT)
        before = perdure.place.stores.ledger.sequence()
        perdure.import_reviews("yes", at=AT)

        assert [(each.inclusion, each.labels[0].value, each.labels[0].note) for each in found] == [
            (0.25, 1.0, ""),
            (None, 0.0, "too short"),
        ]
        assert {each.labels[0].source for each in found} == {"feedback"}
        assert found[0].case is not None
        assert found[0].case["answers"] == ["yes, 0"]
        assert perdure.place.stores.ledger.sequence() == before

    def test_two_keys_that_disagree_of_one_call_are_two_labels_of_one_review(self, perdure: Perdure) -> None:
        calls(perdure, 1)
        say(perdure, ("c0", "key-1", 1.0, ""), ("c0", "key-2", 0.0, ""), ("c0", "key-3", 7.0, ""))
        perdure.import_reviews("yes", at=AT)

        (shown,) = perdure.list_reviews("yes")
        assert {each.labeller: each.value for each in shown.labels} == {"key-1": 1.0, "key-2": 0.0}

    def test_without_a_released_judge_or_kept_texts_nothing_is_drawn(self, perdure: Perdure) -> None:
        with pytest.raises(NotReady, match="answers yet"):
            perdure.draw_reviews("yes", "support", 5, at=AT)
        released(perdure)
        with pytest.raises(NotFound, match="its texts"):
            perdure.draw_reviews("yes", "support", 5, at=AT)
        with pytest.raises(NotFound, match="route"):
            perdure.draw_reviews("yes", "nowhere", 5, at=AT)

    def test_cases_drawn_again_are_asked_once(self, perdure: Perdure) -> None:
        released(perdure)
        calls(perdure, 40)
        first = perdure.draw_reviews("yes", "support", 10, at=AT)
        again = perdure.draw_reviews("yes", "support", 10, at=AT)

        assert [each.id for each in again] == [each.id for each in first]
        assert 2 < len(first) < 25
        assert all(each.inclusion is not None for each in first)


class TestGrowing:
    def test_a_labelled_case_becomes_a_line_with_where_it_came_from_and_never_two(
        self, perdure: Perdure, tmp_path: Path
    ) -> None:
        first, second = asked(perdure, "yes", "no")
        perdure.label_review(first, "good", at=AT)
        perdure.label_review(second, "good", at=AT)
        added = perdure.accept_review(first, "questions", expected="yes", at=AT)
        again = perdure.accept_review(first, "questions", expected="otherwise", at=AT)
        perdure.accept_review(second, "questions", at=AT)
        rows = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text().splitlines()]

        assert (added.added, again.added, again.case) == (True, False, added.case)
        assert [row["inputs"] for row in rows] == [{"q": "What?"}, {"q": "yes"}, {"q": "no"}]
        assert rows[1]["provenance"] == {
            "from": "production",
            "review": first,
            "labels": [{"labeller": "ana", "value": 1.0}],
        }
        assert len(perdure.project.suite("questions").read().cases) == 3
        assert perdure.list_reviews() == []

    def test_what_nobody_labelled_or_is_forgotten_is_not_taken(self, perdure: Perdure) -> None:
        (review,) = asked(perdure, "yes")
        with pytest.raises(DeclarationError, match="Nobody labelled"):
            perdure.accept_review(review, "questions", at=AT)
        with pytest.raises(NotFound, match="suite"):
            perdure.accept_review(review, "nothing", at=AT)
        digest = put_case(perdure.place, Judgeable.of({"q": "yes"}, ["yes"]))
        next((perdure.folder / ".perdure" / "blobs").rglob(f"*{digest[4:]}*")).unlink()
        perdure.label_review(review, "good", at=AT)
        with pytest.raises(NotFound, match="forgotten"):
            perdure.accept_review(review, "questions", at=AT)

    def test_a_suite_that_is_no_jsonl_file_does_not_grow(self, perdure: Perdure, tmp_path: Path) -> None:
        (review,) = asked(perdure, "yes")
        perdure.label_review(review, "good", at=AT)
        (tmp_path / "cases.yaml").write_text("cases:\n  - inputs: {q: What?}\n    expected: this\n")
        suite = Suite("other", tmp_path / "cases.yaml", [Exact()], route="support")
        perdure.project.suites["other"] = suite  # type: ignore[index]
        with pytest.raises(BadSuite, match="JSONL"):
            perdure.accept_review(review, "other", at=AT)

    def test_where_nobody_was_asked_a_review_that_is_not_there_is_no_declaration(self, perdure: Perdure) -> None:
        with pytest.raises(NotFound) as found:
            perdure.drop_review("rev_1", at=AT)
        assert found.value.hint == "Nobody was asked yet: perdure review draw."


DECLARED = """\
from perdure import Judge, Route, Target, Upstream

support = Route("judges", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "large")])
yes = Judge("yes", "The answer says [bold]yes[/].", "judges")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a judge, as a person has it."""
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared").mkdir()
    (tmp_path / "declared" / "__init__.py").write_text(DECLARED)
    return tmp_path


class TestCommands:
    def test_judges_and_their_queue_are_told(self, cli: Any, folder: Path) -> None:
        assert "never" in cli("perdure judge list", folder).out
        assert "never calibrated" in cli("perdure judge show yes", folder).out
        assert "Nothing is to be reviewed" in cli("perdure review next", folder).out
        assert "Nobody is asked" in cli("perdure review list", folder).out
        assert json.loads(cli("perdure review list --json", folder).out) == []

    def test_a_case_is_shown_as_it_is_and_labelled(self, cli: Any, folder: Path) -> None:
        """A stranger's text is no markup of ours."""
        perdure = Perdure(folder, Settings(ProjectSettings("p", package="declared")))
        (review,) = asked(perdure, "[red]yes[/]")
        shown = cli("perdure review next --of yes", folder).out
        told = cli(f"perdure review label {review} good --note short", folder).out

        assert "answer: [red]yes[/]" in shown
        assert f"perdure review label {review} bad|good" in shown
        assert "good" in told
        (row,) = json.loads(cli("perdure review list --json", folder).out)
        assert row["labels"][0]["note"] == "short"
        assert "dropped" in cli(f"perdure review drop {review}", folder).out

    def test_what_cannot_be_is_told_with_its_exit_code(self, cli: Any, folder: Path) -> None:
        assert "no_such" in cli("perdure judge show no_such", folder, expect=3).err
        assert "labelled" in cli("perdure judge calibrate yes", folder, expect=2).err
        assert "answers yet" in cli("perdure review draw yes --route judges", folder, expect=4).err


def calls(perdure: Perdure, n: int) -> None:
    """Answered calls whose texts were kept, drained."""
    writer = SegmentWriter(perdure.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
    for number in range(n):
        writer.append(_call(number))
    writer.close()
    perdure.tick(at=AT - timedelta(hours=1))


def say(perdure: Perdure, *said: tuple[str, str, float, str]) -> None:
    """Feedback of calls, drained."""
    writer = SegmentWriter(perdure.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
    at = to_us(AT - timedelta(hours=2))
    for call, key, value, text in said:
        writer.append(Feedback(call, at, at, key, "review:yes", value, text))
    writer.close()
    perdure.tick(at=AT - timedelta(minutes=1))


def _call(number: int) -> Call:
    at = to_us(AT - timedelta(days=1)) + number
    request, answer = (
        [{"role": "user", "content": f"Question {number}?"}],
        {"content": f"{'no' if number % 2 else 'yes'}, {number}"},
    )
    return Call(
        id=f"c{number}", route="support", endpoint="chat", served_us=at, recorded_us=at, generation=1,
        version="support@1", arm="champion", prompt="", key="k", team="t", affinity="", stream=False, status=200,
        outcome="answered", finish="stop", latency_us=1, first_us=1, cache="", usage=Usage(n_input=1, n_output=1),
        cost_pusd=1, saved_pusd=0, attempts=[], guards=[], request=json.dumps(request).encode(),
        answer=json.dumps(answer).encode(), tags={},
    )  # fmt: skip
