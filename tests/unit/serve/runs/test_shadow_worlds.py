"""What a shadow of a run reaches: as much as the caller may, paid for by the team `evals`, and no traffic of production."""

from __future__ import annotations

import asyncio

import pytest
from acting import new_run

from perdure.assets.team import Limits, Team
from perdure.core.clock import machine_now
from perdure.core.errors import BudgetSpent, LimitReached, UpstreamBusy
from perdure.serve.live import Live
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Arm, Route, RoutingTable, ServingTable
from perdure.serve.runs.protocols import LimitHit
from perdure.serve.runs.shadow_world import NO_ROOM, OnlyCalls, ShadowWorlds
from perdure.serve.tools.reaching import Reaching
from perdure.stores.ledger.protocols import Key
from perdure.testing.conformance.capture import call, prediction, search

SHOP = Team("shop", routes=("prompt:desk",), reads=("staff",), limits=Limits(requests=3))
EVALS = Team("evals", limits=Limits(requests=100), priority=1)


class Kept:
    """A capture writer in memory."""

    n_lost = 2

    def __init__(self):
        self.events = []

    def append(self, event):
        self.events.append(event)
        return True

    def has_room(self):
        return False

    def close(self):
        self.events.append("closed")


class Gateway:
    """A gateway that keeps whom it was made for."""

    def __init__(self):
        self.made = []

    def beside(self, live, teams):
        self.made.append((live, teams))
        return self


def serving():
    champion = Arm("champion", "main@1", 1.0)
    return ServingTable(RoutingTable(3, {"main": Route("main", champion, (), Arm("shadow", "main@2", 1.0))}, {}), {})


def caller(team=SHOP):
    return Caller("key_1", team, Key("key_1", team.name, "d", "ann's", machine_now()))


@pytest.mark.parametrize("teams", [{"shop": SHOP}, {"shop": SHOP, "evals": EVALS}])
def test_models_are_asked_as_evals_with_the_callers_rights_and_limits_of_its_own(teams):
    gateway = Gateway()
    worlds = ShadowWorlds(Reaching(Live(serving())), gateway, teams, Kept())
    who, _ = worlds.of(caller(), serving())
    [(live, known)] = gateway.made
    assert who.team is known["evals"]
    assert (who.team.name, who.team.routes, who.team.reads) == ("evals", SHOP.routes, SHOP.reads)
    assert who.team.limits == (EVALS.limits if "evals" in teams else Limits())
    assert list(live.keys.values()) == [who.record]
    assert (who.record.team, who.key) == ("evals", "shadow")
    route = live.serving.table.routes["main"]
    assert (route.champion.version, route.shadow, live.generation) == ("main@1", None, 3)


def test_where_nobody_is_told_apart_nobody_is_in_a_shadow():
    who, world = ShadowWorlds(Reaching(Live(serving())), None, {}, Kept()).of(Caller("", None), serving())
    assert who == Caller("", None)
    assert world.features is not None


@pytest.mark.parametrize("asked", ["chat", "search"])
@pytest.mark.parametrize(
    ("error", "raised"), [(LimitReached, LimitHit), (BudgetSpent, LimitHit), (UpstreamBusy, UpstreamBusy)]
)
def test_a_shadow_waits_for_no_room(monkeypatch, asked, error, raised):
    """No room and no money end it at once; what an upstream says is as for anybody."""

    async def refuses(*_):
        raise error("Not now.", hint="Later.")

    monkeypatch.setattr(Reaching, asked, refuses)
    who, world = ShadowWorlds(Reaching(Live(serving())), None, {"shop": SHOP}, Kept()).of(caller(), serving())
    given = {"chat": ({}, who, new_run(), {}), "search": ("handbook", "?", 3, "hybrid", who, new_run())}[asked]
    with pytest.raises(raised) as failed:
        asyncio.run(getattr(world, asked)(*given))
    assert getattr(failed.value, "why", NO_ROOM) == NO_ROOM


def test_only_calls_are_recorded():
    kept = Kept()
    only = OnlyCalls(kept)
    billed = call(1)
    assert all(only.append(each) for each in (prediction(1), search(1), billed))
    assert (kept.events, only.n_lost, only.has_room()) == ([billed], 2, False)
    only.close()
    assert kept.events[1:] == ["closed"]
