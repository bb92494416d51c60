"""People are asked about answers of a run on which measures contradict one another, and about no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure import Judge, Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.scorers import Exact, Judged
from perdure.assets.suite import Case, Suite
from perdure.core.errors import NotFound
from perdure.core.ports import Answered
from perdure.core.units import hours
from perdure.loop.incidents import LOOP
from perdure.testing.evals import FakeJudge

AT = datetime(2026, 1, 10, tzinfo=UTC)


class Model:
    """Answers yes, where told politely to even numbers alone; the judge likes everything but number 3."""

    async def ask(self, asked):
        text = asked.messages[-1]["content"]
        if asked.route == "judges":
            return FakeJudge(lambda told: float(told["inputs"]["q"] != "Number 3")).answer(asked)
        odd = int(text.rpartition(" ")[2]) % 2
        return Answered({"content": "no" if odd and text.startswith("Please") else "yes"}, "stop")

    async def close(self):
        pass


def _open(folder, words="", *scorers):
    upstream = Upstream("up", "http://127.0.0.1:9/v1")
    routes = [Route(name, [Target(upstream, "m")]) for name in ("main", "judges")]
    prompt = Prompt("answer", [("user", words + "{{ q }}")], "main", {"q": str})
    cases = [Case(f"c{n}", {"q": f"Number {n}"}, "yes") for n in range(8)]
    suite = Suite("numbers", cases, scorers or [Exact()], prompt="answer")
    found = Perdure(folder, project=Project.of("p", *routes, prompt, suite, Judge("fair", "Is it fair?", "judges")))
    found.place = replace(found.place, open_answerer=Model)
    return found


@pytest.fixture
def run(tmp_path):
    """The project after a run by these words, an hour after the one before."""
    done = []

    def ran(words="", *scorers):
        found = _open(tmp_path, words, *scorers)
        found.evals.run("numbers", at=AT + len(done) * hours(1))
        done.append(found)
        return found

    return ran


def _asked(perdure, n=20):
    return [
        (each.why, each.subject, each.case["inputs"]["q"])
        for each in perdure.ask_about_suite("numbers", n, at=AT + hours(9))
    ]


def test_a_suite_that_was_not_run_has_nothing_to_ask_about(tmp_path):
    with pytest.raises(NotFound, match="was not run"):
        _open(tmp_path).ask_about_suite("numbers", at=AT)


def test_where_measures_agree_nobody_is_asked(run):
    assert _asked(run()) == []


def test_cases_that_flipped_between_two_runs_are_asked_about_once(run):
    run()
    perdure = run("Please: ")
    flipped = [("flip", "numbers", f"Number {n}") for n in (1, 3, 5, 7)]
    assert sorted(_asked(perdure)) == flipped
    assert sorted(_asked(perdure)) == flipped
    assert len(perdure.list_reviews()) == 4
    [shown] = [each for each in perdure.list_reviews() if each.case["inputs"]["q"] == "Number 1"]
    assert (shown.case["answers"], shown.case["expected"], shown.inclusion) == (["no"], "yes", None)
    assert len(_asked(perdure, 2)) == 2


def test_a_judge_that_sees_it_otherwise_than_other_scorers_is_disputed(run):
    perdure = run("", Exact(), Judged("fair", label="fair"))
    assert _asked(perdure) == [("disputed", "fair", "Number 3")]
    assert perdure.list_reviews("fair")[0].judged is None


def test_bad_answers_are_asked_about_while_what_is_tested_is_ill(run):
    perdure = run("Please: ")
    assert _asked(perdure) == []
    with perdure.place.transaction(AT, "ill") as session:
        session.incidents.open("answer", "unknown", "It is worse.", {LOOP: True})
    assert sorted(_asked(perdure)) == [("incident", "numbers", f"Number {n}") for n in (1, 3, 5, 7)]
