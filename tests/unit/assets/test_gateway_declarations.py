"""Routes, targets, caches and guards that mean nothing are refused where they are declared, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from perdure.assets.guard import DefenderInjection, Grounded, Guard, InjectionRules, Pii
from perdure.assets.route import Cache, Probes, Route, Target, UnitPrices
from perdure.assets.team import Budget, Team
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadGuard, BadRoute, BadTeam
from perdure.core.units import hours, minutes, seconds

local: Any = Upstream("local", "http://127.0.0.1:8000/v1")
small = Target(local, "small")


def route(**settings: Any) -> Route:
    return Route("support", **{"targets": [small], **settings})


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: Target("local", "small"), "'local', which is no upstream"),  # type: ignore[arg-type]
        (lambda: Target(local, ""), "names no model"),
        (lambda: Target(local, "small", weight=-1.0), "weight -1.0"),
        (lambda: UnitPrices(input=-1.0, output=2.0), "input=-1.0"),
        (lambda: UnitPrices(input=1.0, output=2.0, cached=float("nan")), "cached=nan"),
        (lambda: Cache(timedelta(0)), "keeps answers for 0s"),
        (lambda: Cache(10), "keeps answers for 10"),  # type: ignore[arg-type]
        (lambda: Cache(minutes(1), semantic=94.0, embedder="local/e"), "94.0"),
        (lambda: Cache(minutes(1), sample=2.0), "2.0"),
        (lambda: Probes(()), "asks nothing"),
        (lambda: Probes("Why?"), "asks nothing"),  # type: ignore[arg-type]
        (lambda: Probes(("Why?",), every=hours(0)), "every 0s"),
        (lambda: route(targets=[local]), "for a target"),
        (lambda: route(targets=[small, small]), "'local/small' twice"),
        (lambda: route(guards=["pii"]), "'pii', which is no guard"),
        (lambda: route(bodies="all"), "bodies 'all'"),
        (lambda: route(total=60), "total 60, which is no time"),
        (lambda: route(rest=seconds(0)), "rest 0s"),
        (lambda: route(attempts=0), "no attempt"),
        (lambda: route(retry_budget=-0.1), "retry budget"),
    ],
)
def test_a_route_that_means_nothing_is_refused_with_a_hint(declare: Callable[[], object], told: str) -> None:
    with pytest.raises(BadRoute, match=told) as refused:
        declare()

    assert refused.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"checks": ["pii"]}, "'pii' for a check"),
        ({"fails": "ajar"}, "fails 'ajar'"),
        ({"wait_ms": 0}, "waits 0 ms"),
        ({"checks": [InjectionRules(3)]}, r"InjectionRules\(threshold=3\)"),
        ({"checks": [DefenderInjection(0)]}, r"DefenderInjection\(threshold=0\)"),
        ({"checks": [Grounded(least=1.5)]}, r"Grounded\(least=1.5\)"),
    ],
)
def test_a_guard_that_could_not_judge_is_refused_with_a_hint(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BadGuard, match=told) as refused:
        Guard("careful", **{"checks": [Pii()], **settings})

    assert refused.value.hint


def test_the_bounds_themselves_are_allowed() -> None:
    assert route(retry_budget=0.0, attempts=1, breaker=1).retry_budget == 0.0
    assert Target(local, "small", weight=0.0, prices=UnitPrices(input=0.0, output=0.0)).weight == 0.0
    assert Cache(minutes(1), semantic=1.0, embedder="local/e", sample=0.0).semantic == 1.0


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: Budget(5.0, route="sales-*"), "'sales-\\*' is no name"),
        (lambda: Team("desk", routes="support"), "routes='support'"),
        (lambda: Team("desk", unpriced="deny"), "unpriced='deny'"),  # type: ignore[arg-type]
    ],
)
def test_a_team_that_would_be_held_to_nothing_is_refused_with_a_hint(declare: Callable[[], object], told: str) -> None:
    with pytest.raises(BadTeam, match=told) as refused:
        declare()

    assert refused.value.hint
