"""What a shadow of a run reaches: this process's gateway, indexes, models and features, as the caller may, and as no traffic of production.

Models are asked as the team `evals`, within that team's limits and budgets and none of the caller's, so that a shadow takes nothing from
production; each call is billed and tagged `shadow_of`. Searches and predictions are recorded nowhere. A world lasts for one shadow: the
table in force is the one of its begin, without any shadows, for a shadow has none of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from perdure.assets.team import Team
from perdure.core.clock import machine_now
from perdure.core.errors import BudgetSpent, LimitReached, StoreFull
from perdure.core.ids import new_id
from perdure.core.runs import RunRecord
from perdure.serve.gateway.app import EVALS, GatewayApp
from perdure.serve.gateway.keys import digest_of, new_secret
from perdure.serve.live import Live
from perdure.serve.retrieval.callers import Caller
from perdure.serve.retrieval.counted import SearchCounters
from perdure.serve.routing import ServingTable
from perdure.serve.runs.passing import PassingWriter
from perdure.serve.runs.protocols import ChatSaid, Json, LimitHit, World
from perdure.serve.taps import Taps
from perdure.serve.tools.reaching import Reaching
from perdure.stores.capture.events import Call, Event
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.ledger.protocols import Key

NO_ROOM = "limit.evals"
"""Why a shadow ends that met a limit or a budget of the team `evals`."""
_FULL = (LimitReached, BudgetSpent, StoreFull)
SHADOW_KEY = "shadow"
"""Id of the key by which shadows ask; only this process knows it, and nobody its secret."""


class OnlyCalls(PassingWriter):
    """A writer that records what was billed, and nothing else: a replay is no traffic."""

    def append(self, event: Event) -> bool:
        """Record a call; anything else is let go."""
        return super().append(event) if isinstance(event, Call) else True


class _Within:
    """What a shadow reaches (a `World`), where no room is an end: it waits for none."""

    def __init__(self, reached: Reaching) -> None:
        self._reached = reached
        self.predict = reached.predict
        self.features = reached.features
        self.child = reached.child

    async def chat(self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> ChatSaid:
        """Ask a model.

        Raises:
            LimitHit: there is no room, or no money.
            PerdureError: as the gateway said it.
        """
        try:
            return await self._reached.chat(body, caller, run, tags)
        except _FULL as error:
            raise LimitHit(NO_ROOM, str(error)) from error

    def stream(
        self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]
    ) -> AsyncIterator[str | ChatSaid]:
        """Nobody listens to a shadow, so nothing asks for pieces."""
        return self._reached.stream(body, caller, run, tags)

    async def search(self, index: str, query: str, k: int, mode: str, caller: Caller, run: RunRecord) -> Json:
        """Search an index.

        Raises:
            LimitHit: there is no room, or no money.
            PerdureError: it cannot be searched now, or not by this question.
        """
        try:
            return await self._reached.search(index, query, k, mode, caller, run)
        except _FULL as error:
            raise LimitHit(NO_ROOM, str(error)) from error


class ShadowWorlds:
    """Makes the world of each shadow.

    Args:
        world: that runs of production reach.
        gateway: of this process; None where no route is declared.
        teams: declared, by name; none: nobody is told apart.
        writer: of this process.
    """

    def __init__(
        self, world: Reaching, gateway: GatewayApp | None, teams: Mapping[str, Team], writer: CaptureWriter
    ) -> None:
        self._world = world
        self._gateway = gateway
        self._teams = teams
        only = OnlyCalls(writer)
        self._taps = Taps(only)
        digest = digest_of(new_secret(new_id("key")).encode())
        self._key = Key(SHADOW_KEY, EVALS, digest, "shadows of runs in this process", machine_now())
        searching = world.searching
        self._recorder = None if searching is None else searching.recorder.beside(only)

    def of(self, caller: Caller, serving: ServingTable) -> tuple[Caller, World]:
        """Who asks in a shadow of a run, and what he reaches.

        Args:
            caller: of the run.
            serving: the table in force.
        """
        team = self._team(caller)
        live = Live(_unshadowed(serving), self._world.live.status, {self._key.digest: self._key})
        world, searching, predicting = self._world, self._world.searching, self._world.predicting
        if searching is not None and self._recorder is not None:
            searching = replace(searching, live=live, recorder=self._recorder, counters=SearchCounters())
        reached = replace(
            world,
            live=live,
            gateway=None if self._gateway is None else self._gateway.beside(live, {EVALS: team}),
            searching=searching,
            predicting=None if predicting is None else predicting.beside(live, self._taps),
            begin_child=None,
        )
        return Caller("", None) if caller.team is None else Caller(self._key.id, team, self._key), _Within(reached)

    def _team(self, caller: Caller) -> Team:
        """The team `evals`, that may do what the caller's may."""
        own = self._teams.get(EVALS) or Team(EVALS, unpriced="allow")
        return own if caller.team is None else replace(own, routes=caller.team.routes, reads=caller.team.reads)


def _unshadowed(serving: ServingTable) -> ServingTable:
    routes = {name: replace(route, shadow=None) for name, route in serving.table.routes.items()}
    return ServingTable(replace(serving.table, routes=routes), serving.servables)
