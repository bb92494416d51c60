"""What a route's answers are worth: by suites of its own and of its prompts, and by claims in kept answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perdure import Perdure, Project, Prompt, Route, Target, Upstream
from perdure.assets.eval_objectives import eval_score, hallucination_ratio
from perdure.assets.policy import Policy
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.core.clock import to_us
from perdure.core.ports import Answered
from perdure.core.units import days, hours
from perdure.core.usage import Usage
from perdure.loop.protocols import Watched
from perdure.loop.work.captured_calls import call_tables
from perdure.loop.work.routes.signals import route_signals
from perdure.stores.capture.events import Call
from perdure.surface.eval_running import route_suites

T0 = datetime(2025, 3, 1, tzinfo=UTC)
CASES = [Case(f"c{n}", {"q": f"Number {n}?"}, "yes" if n % 4 else "no") for n in range(12)]


class Model:
    """Says yes to everything."""

    async def ask(self, asked):
        return Answered({"content": "yes"}, "stop")

    async def close(self):
        pass


def _project(model="m"):
    route = Route("support", [Target(Upstream("main", "http://127.0.0.1:9/v1"), model)])
    other = Route("other", [Target(Upstream("main", "http://127.0.0.1:9/v1"), model)])
    prompt = Prompt("answer", [("user", "{{ q }}")], "support", {"q": str})
    asked = [
        Case(each.id, {"messages": [{"role": "user", "content": each.inputs["q"]}]}, each.expected) for each in CASES
    ]
    suites = [Suite("worded", CASES, [Exact()], prompt="answer"), Suite("plain", asked, [Exact()], route="support")]
    return Project.of("p", route, other, prompt, *suites)


@pytest.fixture
def perdure(tmp_path):
    found = Perdure(tmp_path, project=_project())
    found.place = replace(found.place, open_answerer=Model)
    found.apply(at=T0)
    return found


def _measure(perdure, spec, at, route="support"):
    asset = Watched(route, "route", (), Policy.observe(), perdure.project.routes[route])
    signal = route_signals(route_suites(perdure.project))[spec.signal]()
    return list(signal.observe(perdure.place, asset, spec, at))


@pytest.mark.parametrize(("suite", "asked"), [("worded", "answer@"), ("plain", "support@")])
def test_a_route_is_scored_by_suites_of_its_own_and_of_its_prompts(perdure, suite, asked):
    spec = eval_score(suite=suite, over=days(7))
    assert _measure(perdure, spec, T0 + hours(2)) == []
    perdure.evals.run(suite, at=T0 + hours(1))
    [reading] = _measure(perdure, spec, T0 + hours(2))
    assert (reading.value, reading.n, reading.asset) == (0.75, 12, "support")
    assert reading.low < 0.75 < reading.high
    assert reading.version.startswith("support@")
    assert reading.facts["asked"].startswith(asked)
    assert _measure(perdure, spec, T0 + days(8)) == []
    assert _measure(perdure, spec, T0 + hours(2), "other") == []


@pytest.mark.parametrize("suite", ["worded", "plain"])
def test_what_another_version_of_the_route_scored_is_not_its_score(perdure, tmp_path, suite):
    perdure.evals.run(suite, at=T0 + hours(1))
    changed = Perdure(tmp_path, project=_project("m-2"))
    changed.place = replace(changed.place, open_answerer=Model)
    changed.apply(at=T0 + hours(2), unproven="a test")
    assert _measure(changed, eval_score(suite=suite, over=days(7)), T0 + hours(3)) == []


def _call(n, said, **members):
    at = to_us(T0 + timedelta(minutes=n))
    fields = {
        "id": f"c{n}", "route": "support", "endpoint": "chat", "served_us": at, "recorded_us": at, "generation": 1,
        "version": "support@1", "arm": "champion", "prompt": "", "key": "k", "team": "t", "affinity": "", "stream": False,
        "status": 200, "outcome": "answered", "finish": "stop", "latency_us": 1_200_000, "first_us": 200_000, "cache": "",
        "usage": Usage(), "cost_pusd": 1, "saved_pusd": 0, "attempts": [], "guards": [], "tags": {},
        "request": json.dumps([{"role": "user", "content": "It was built in 1889. When was it built?"}]).encode(),
        "answer": json.dumps([{"content": said}]).encode(), **members,
    }  # fmt: skip
    return Call(**fields)


def test_claims_of_a_route_s_answers_without_support_are_counted_whoever_worded_the_question(perdure):
    calls = [_call(n, "It was built in 1889.", prompt="answer@1" if n % 2 else "") for n in range(15)]
    calls += [_call(15 + n, "It has 13 lanes.") for n in range(5)]
    calls += [_call(30, "It has 13 lanes.", arm="eval"), _call(31, "It has 13 lanes.", route="other")]
    for table, rows in call_tables(calls).items():
        perdure.place.stores.lake.append(table, rows.with_columns(batch=1))
    [reading] = _measure(perdure, hallucination_ratio(over=hours(1)), T0 + hours(1))
    assert (reading.value, reading.n, reading.facts["n_answers_with_unsupported"]) == (0.25, 20, 5)
    assert reading.low < 0.25 < reading.high
