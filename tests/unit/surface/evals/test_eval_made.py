"""A run on record is told whole: texts, unsupported spans, verdict, judges as far as they are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.judge import Judge
from perdure.assets.scorers import Custom, Exact, Grounded, Judged, TokenF1
from perdure.assets.suite import Case, Suite
from perdure.core.clock import machine_now
from perdure.core.errors import NotFound
from perdure.core.ports import Answered
from perdure.surface.eval_here import run_eval
from perdure.surface.eval_made import ToldOf, compared, eval_told

CONTEXT = "Refunds of the shop are paid within seven days."
FALSE = "The moon is made of 77 green cheeses."


class Model:
    """Says what it is given, and something that no context holds where it is asked badly; judges all as good."""

    async def ask(self, asked):
        text = asked.messages[-1]["content"]
        if asked.route == "judges":
            return Answered({"content": "good"}, "stop")
        return Answered({"content": f"{CONTEXT} {FALSE}" if "badly" in text else CONTEXT}, "stop")

    async def close(self):
        pass


@pytest.fixture
def project(tmp_path):
    upstream = Upstream("up", "http://127.0.0.1:9/v1")
    routes = [Route(name, [Target(upstream, "m")]) for name in ("main", "judges")]
    prompt = Prompt("answer", [("user", "{{ how }}: {{ q }}")], "main", {"how": str, "q": str})
    cases = [
        Case(f"c{n}", {"how": "badly" if n % 2 else "well", "q": f"When, {n}?"}, CONTEXT, (CONTEXT,), f"k{n}", ("odd",))
        for n in range(12)
    ]
    judge = Judge("helpful", "Is it helpful?", "judges")
    suite = Suite("refunds", cases, [Exact(), Grounded(), Judged("helpful", label="helpful")], prompt="answer")
    found = Perdure(tmp_path, project=Project.of("p", *routes, prompt, suite, judge))
    found.place = replace(found.place, open_answerer=Model)
    return found


def test_unsupported_parts_of_answers_are_found_again_in_their_texts(project):
    told = run_eval(project, project.project.suites["refunds"])
    well, badly = (told.cases[at].answers[0][0] for at in (0, 1))
    assert (well.text, well.spans) == (CONTEXT, ())
    assert [badly.text[begin:end] for begin, end in badly.spans] == [FALSE]
    assert told.cases[1].expected == CONTEXT
    assert (told.n_cases, told.n_clusters, told.cases[1].tags) == (12, 12, ("odd",))


def test_a_run_whose_own_scorer_is_gone_by_now_is_told_all_the_same(project):
    suite = replace(
        project.project.suites["refunds"], scorers=[Grounded(), Custom(lambda case, answer: True, label="own")]
    )
    told = run_eval(project, suite)
    assert [each.label for each in told.scorers] == ["grounded", "own"]
    assert told.cases[1].answers[0][0].spans


def test_a_judge_that_was_never_calibrated_is_shown_raw_and_said_to_be_of_no_use(project):
    told = run_eval(project, project.project.suites["refunds"])
    [helpful] = [each for each in told.scorers if each.judge]
    assert (helpful.label, helpful.corrected) == ("helpful", ())
    assert "never calibrated" in helpful.text


def test_a_run_or_a_version_that_is_not_there_is_an_error(project):
    told = run_eval(project, project.project.suites["refunds"])
    for of in (ToldOf("evl_none"), ToldOf(told.run, ("answer@none",))):
        with pytest.raises(NotFound):
            eval_told(project.place, of, machine_now())


def test_a_run_is_told_again_as_it_was_when_its_suite_is_another_one_by_now(project):
    told = run_eval(project, project.project.suites["refunds"])
    again = eval_told(project.place, ToldOf(told.run), machine_now())
    assert (again.version, again.cases, again.sides) == (told.version, told.cases, told.sides)


def test_a_comparison_is_told_again_with_the_interval_and_the_gate_that_it_had(project):
    """Its looks and the error it was allowed are the run's own, not the report's."""
    cases = [Case(f"c{n}", {"how": "well", "q": f"When, {n}?"}, CONTEXT, (CONTEXT,), f"k{n}") for n in range(80)]
    unjudged = replace(project.project.suites["refunds"], cases=cases, scorers=[TokenF1()])
    project.project.suites["refunds"] = unjudged
    project.apply()
    worse = replace(
        project.project.prompts["answer"],
        messages=[("user", "{% if q[-2] in '123' %}badly{% endif %} {{ how }}: {{ q }}")],
    )
    project.project.prompts["answer"] = worse
    [told] = project.evals.compare("answer")
    again = project.evals.report(told.run)
    assert [each.gate for each in again.gates] == ["guarded suite refunds"]
    assert (again.gates, again.difference, again.text, again.comparison) == (
        told.gates,
        told.difference,
        told.text,
        told.comparison,
    )
    alone = compared(list(project.place.stores.results.list_run(told.run)), [each.subject for each in told.sides],
                     unjudged)  # fmt: skip
    assert alone.difference != told.difference
