"""A comparison that was interrupted goes on with its run, and is told as partial until it is whole."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest
from junitparser import JUnitXml

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.route import UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.core.errors import BadSuite, NotFound
from perdure.core.ports import Answered
from perdure.core.usage import Usage
from perdure.core.verdict import Comparison
from perdure.surface.eval_asking import Asking
from perdure.surface.eval_comparing import TOGETHER
from perdure.surface.eval_junit import junit_xml

WAITED_US = 250_000


class Model:
    """Repeats the number that it is asked for; somebody presses Ctrl-C before a question."""

    def __init__(self):
        self.n_asked, self.stops_at = 0, 0

    async def ask(self, asked):
        self.n_asked += 1
        if self.n_asked == self.stops_at:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(1.0)
        number = asked.messages[-1]["content"].split()[-1]
        usage = Usage(n_input=9, n_output=2)
        return Answered({"content": number}, "stop", usage, 1_000_000, WAITED_US, "up/m", "c")

    async def close(self):
        pass


@pytest.fixture
def model():
    """In a shell's background job Ctrl-C is ignored, and so it would be here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Model()
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def project(tmp_path, model):
    route = Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m", prices=UnitPrices(input=1, output=1))])
    prompt = Prompt("echo", [("user", "Say {{ n }}")], "main", {"n": int})
    cases = [Case(f"n{n}", {"n": n}, str(n), cluster=f"k{n}") for n in range(40)]
    suites = [
        Suite("first", cases[:20], [Exact()], prompt="echo"),
        Suite("second", cases, [Exact()], prompt="echo", role="primary"),
        Suite("third", cases[:8], [Exact()], prompt="echo", role="primary"),
    ]
    found = Perdure(tmp_path, project=Project.of("p", route, prompt, *suites))
    found.place = replace(found.place, open_answerer=lambda: model)
    found.apply()
    found.project.prompts["echo"] = replace(prompt, messages=[("user", "Please say {{ n }}")])
    return found


def interrupted(project, model, after):
    """A comparison that was interrupted after so many questions; its run of the suite that was under way."""
    model.stops_at = model.n_asked + after
    with pytest.raises(KeyboardInterrupt):
        project.evals.compare("echo")
    model.stops_at = 0
    [stopped] = [each for each in project.evals.runs() if each.status != "done"]
    return stopped.run


@pytest.mark.parametrize("after", [3, 50, 70], ids=["in the first suite", "at the first look", "between looks"])
def test_it_goes_on_with_the_run_of_every_suite_and_asks_nothing_twice(project, model, after):
    run = interrupted(project, model, after)
    told = project.evals.compare("echo", run=run)
    assert [each.suite for each in told] == ["first", "second", "third"]
    assert run in [each.run for each in told]
    assert [each.partial for each in told] == ["", "", ""]
    assert [(each.n_cases, each.sides[0].n_cached) for each in told][:2] == [(20, 0), (40, 20)]
    assert model.n_asked <= 2 * 40 + 1 + 4, "the three suites share their cases"
    assert len(project.evals.runs()) == 3


@pytest.mark.parametrize("after", [3, 50, 62])
def test_what_is_there_is_told_as_partial_and_concludes_nothing(project, model, after):
    told = project.evals.report(interrupted(project, model, after))
    assert told.partial == "it is under way"
    assert (told.gates, told.comparison) == ((), Comparison.NOT_ENOUGH_EVIDENCE)
    [suite] = JUnitXml.fromstring(junit_xml([told]))
    assert suite.skipped == 1


def test_it_goes_on_as_it_was_begun_whatever_is_declared_by_now(project, model):
    """With its cases, its samples, its margin and the error that its suites shared."""
    run = interrupted(project, model, 50)
    facts = next(each for each in _records(project) if each.id == run).facts
    assert sorted(facts[TOGETHER]) == ["first", "second", "third"]
    second = project.project.suites["second"]
    project.project.suites["second"] = replace(second, cases=second.cases[:3], margin=0.4, role="guarded")
    _, told, _ = project.evals.compare("echo", run=run, asking=Asking(samples=3))
    assert (told.n_cases, told.n_samples, told.margin, told.role) == (40, 1, 0.02, "primary")
    verdict = next(each for each in _records(project) if each.id == run).facts["verdict"]
    assert verdict["alpha"] == 0.025


def test_what_was_concluded_stays_as_it_was(project, model):
    first = project.evals.compare("echo")
    n_asked = model.n_asked
    again = project.evals.compare("echo", run=first[1].run)
    assert [(each.run, each.text, each.gates) for each in again] == [(e.run, e.text, e.gates) for e in first]
    assert model.n_asked == n_asked


def test_a_run_of_something_else_does_not_go_on(project, model):
    """Of one version, of other versions, or of none."""
    [alone] = project.evals.run("first")
    with pytest.raises(BadSuite, match="does not compare two versions of 'echo'"):
        project.evals.compare("echo", run=alone.run)
    run = interrupted(project, model, 50)
    with pytest.raises(BadSuite, match="not second of echo@"):
        project.evals.run("second", run=run)
    with pytest.raises(BadSuite, match=f"{run}.* compares echo@"):
        project.evals.compare("echo", "declared", "champion", run=run)
    with pytest.raises(NotFound):
        project.evals.compare("echo", run="evl_none")
    project.project.prompts["echo"] = replace(project.project.prompts["echo"], messages=[("user", "Say it: {{ n }}")])
    with pytest.raises(NotFound):
        project.evals.compare("echo", run=run)


def test_seconds_in_a_report_for_ci_are_those_that_answers_took(project):
    """As they are on record: a run that is told again has them too, and what was known took none of them."""
    [told] = project.evals.run("first")
    again = project.evals.report(told.run)
    [suite] = JUnitXml.fromstring(junit_xml([again]))
    assert suite.time == 20 * WAITED_US / 1e6
    assert next(iter(suite)).time == suite.time
    [known] = project.evals.run("first")
    told_of = {each.name: each.value for each in next(iter(JUnitXml.fromstring(junit_xml([known])))).properties()}
    assert (told_of["waited_s"], told_of["known"]) == ("0.000", "20")


def _records(project):
    with project.place.stores.ledger.read() as session:
        return [each for each in session.runs.list() if each.kind == "eval"]
