"""Verbs, tests, pull requests and the loop find versions and ask suites in one way."""

from __future__ import annotations

import pytest

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.scorers import Similar
from perdure.assets.suite import Case, Suite
from perdure.core.clock import machine_now
from perdure.core.errors import NotFound
from perdure.surface.eval_asking import Asking, options_of
from perdure.surface.eval_here import find_versions
from perdure.surface.eval_running import RunsOf


@pytest.fixture
def project(tmp_path):
    route = Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m")])
    prompt = Prompt("answer", [("user", "{{ q }}")], "main", {"q": str})
    cases = [Case("c", {"q": "When?"}, "Now.")]
    suites = [Suite("refunds", cases, [Similar()], prompt="answer"), Suite("whole", cases, [Similar()], route="main")]
    return Perdure(tmp_path, project=Project.of("p", route, prompt, *suites))


def _found(project, asset, *names):
    return [each.id for each in find_versions(project, asset, names, machine_now())]


@pytest.mark.parametrize("asset", ["answer", "main"])
def test_a_version_goes_by_pointer_id_or_how_that_begins(project, asset):
    with pytest.raises(NotFound, match="released as 'champion'"):
        _found(project, asset, "champion")
    [declared] = _found(project, asset, "declared")
    begun = declared.partition("@")[2][:6]
    assert _found(project, asset, declared, begun, f"{asset}@{begun}") == [declared] * 3
    project.apply()
    assert _found(project, asset, "champion") == [declared]
    with pytest.raises(NotFound, match="other"):
        _found(project, asset, f"{asset}@other")
    with pytest.raises(NotFound, match="nothing"):
        _found(project, "nothing", "declared")


def test_the_loop_has_the_same_tools_as_a_run_by_hand(project, monkeypatch):
    """A suite that compares vectors without a route is asked in a gate as it is by hand."""
    asked = []
    monkeypatch.setattr("perdure.surface.eval_running.run_suite", lambda *given: asked.append(given[-1]))
    suite, now = project.project.suites["refunds"], machine_now()
    RunsOf(project.project)(project.place, suite, [], "evl_1", now)
    by_hand = options_of(project.project, project.place, suite, now, Asking())
    assert type(asked[0].tools.embed) is type(by_hand.tools.embed)
    assert asked[0].declared == by_hand.declared
    assert asked[0].prompts == by_hand.prompts == [project.project.prompts["answer"]]
