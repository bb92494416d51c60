"""A request's search: which version answers this caller, the work on a thread, the record before the answer, the shadow after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotReady
from perdure.serve.boundary import contained_async
from perdure.serve.live import Live
from perdure.serve.retrieval.asked import SearchBody, search_of
from perdure.serve.retrieval.billing import Billing, Payer
from perdure.serve.retrieval.callers import Caller
from perdure.serve.retrieval.counted import SearchCounters
from perdure.serve.retrieval.finding import Found, Search
from perdure.serve.retrieval.held import ServedIndex
from perdure.serve.retrieval.limiting import Limiting
from perdure.serve.retrieval.recording import Asking, Recorder
from perdure.serve.retrieval.reordering import find_best
from perdure.serve.routing import Arm, Route, ServingTable

log = logging.getLogger("perdure.serve")


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What a search found, with who found it."""

    served: ServedIndex
    search: Search
    found: Found
    id: str


@dataclass(slots=True, eq=False)
class Searching:
    """Runs searches of one process; called on the serving loop.

    Args:
        live: the table in force.
        recorder: keeps what was searched.
        counters: of searches.
        threads: where searches are computed.
        limiting: counts them in the limits of teams.
        billing: of questions that an upstream embeds; None: nobody is billed.
    """

    live: Live
    recorder: Recorder
    counters: SearchCounters
    threads: Executor
    limiting: Limiting = field(default_factory=lambda: Limiting(None))
    billing: Billing | None = None
    _shadows: set[asyncio.Task[None]] = field(default_factory=set)

    def route(self, name: str, caller: Caller) -> tuple[ServingTable, Route]:
        """How the traffic of an index is spread over its versions. Why none is served names files: it is for who may read all.

        Raises:
            NotReady: none of them is served.
        """
        serving = self.live.serving
        if serving is None or name not in serving.table.routes:
            why = self.live.status.left_out.get(name, {}).get("message", "No version of it was released.")
            why = why if caller.groups is None else ""
            raise NotReady(
                f"Index {name!r} is not served yet. {why}".rstrip(), hint=f"perdure apply, perdure index sync {name}"
            )
        return serving, serving.table.routes[name]

    async def search(
        self, name: str, body: SearchBody, caller: Caller, served_us: int, *, purpose: str = "search"
    ) -> Answered:
        """What the version that answers this caller finds, recorded.

        Raises: as `find` and `search_of`; NotReady where no version is served; LimitReached where his team makes too many.
        """
        serving, route = self.route(name, caller)
        affinity = body.user or caller.key
        arm = route.choose(affinity)
        of = (name, caller, served_us, purpose)
        # The call of the model counts an answer.
        async with self.limiting.counted(caller, name, served_us) if purpose == "search" else nullcontext():
            answered = await self._run(serving, arm, body, of)
        if route.shadow is not None and route.shadows(affinity):
            # A version that was built beside has no past of its own.
            now = msgspec.structs.replace(body, as_of=None)
            self._beside(partial(self._run, serving, route.shadow, now, of))
        return answered

    async def stop(self) -> None:
        """Let go of shadows that are under way."""
        for task in tuple(self._shadows):
            task.cancel()
        await asyncio.gather(*self._shadows, return_exceptions=True)

    async def _run(
        self, serving: ServingTable, arm: Arm, body: SearchBody, of: tuple[str, Caller, int, str]
    ) -> Answered:
        name, caller, served_us, purpose = of
        served: ServedIndex = serving.servables[arm.version]
        groups = caller.groups
        search_id, payer = self.recorder.new_id(), None
        if self.billing is not None:
            payer = self.billing.payer(caller, name, search_id, served_us, shadow=arm.name == "shadow")
        began_s = monotonic_s()
        work = partial(_searched, served, body, None if groups is None else list(groups), payer)
        search, found = await asyncio.get_running_loop().run_in_executor(self.threads, work)
        took_s = monotonic_s() - began_s
        team = "" if caller.team is None else caller.team.name
        asking = Asking(search_id, name, arm.version, arm.name, caller.key, team, served_us, purpose)
        self.recorder.record(asking, search, found, took_s)
        if arm.name != "shadow":
            self.counters.count_found(name, took_s, found.dropped)
        return Answered(served, search, found, search_id)

    def _beside(self, work: Callable[[], Awaitable[Answered]]) -> None:
        """Run a shadow's search; whatever becomes of it, nobody waits."""
        task = asyncio.get_running_loop().create_task(_contained(work))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)


def _searched(
    served: ServedIndex, body: SearchBody, groups: list[str] | None, payer: Payer | None
) -> tuple[Search, Found]:
    """On a thread: a picture takes its time to be decoded."""
    search = replace(search_of(body, served.index, groups), payer=payer)
    return search, find_best(served, search)


async def _contained(work: Callable[[], Awaitable[Answered]]) -> None:
    await contained_async(work, _not_shadowed)


async def _not_shadowed(error: Exception) -> None:
    log.warning("A shadow of an index could not be searched (%s).", type(error).__name__)
