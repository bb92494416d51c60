"""Shadows of runs: a run of production that is over, done again in the background by the shadow version, recorded and never heard.

A shadow is a replay: what is recorded is given again up to the first difference, effects are never done, only then anything is asked anew.
It is told to the capture log as a run of the arm `shadow`, so that the loop can hold it against the run that it did again; no signal counts
it. What comes above a few at a time, or while runs of callers wait for their turn, is left out and counted; so is what met a limit or a
budget of the team `evals`, for that says nothing of the version.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from perdure.core.runs import ReplayAsked, Replayed, RunRecord, StepRecord
from perdure.core.usage import PICO
from perdure.serve.boundary import contained_async
from perdure.serve.live import Live
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Route, ServingTable
from perdure.serve.runs.counted import RunCounters
from perdure.serve.runs.protocols import Driver, World
from perdure.serve.runs.replaying import ReplayParts, replay
from perdure.serve.runs.shadow_world import NO_ROOM
from perdure.serve.runs.telling import Mask, run_told
from perdure.serve.runs.versions import RunVersions
from perdure.stores.capture.protocols import CaptureWriter

log = logging.getLogger("perdure.serve")

ARM = "shadow"
LEFT_OUT, REFUSED, BROKEN = "left_out", "refused", "broken"
"""What came of a shadow that is not told: there was no room for it; `evals` had no room or money; it could not be done at all."""
_KEEPS = ("none", "redacted", "full")


@dataclass(frozen=True, slots=True, eq=False)
class ShadowParts:
    """What shadows are done with.

    Args:
        live: the table in force.
        versions: agents and graphs that this process serves.
        drivers: by kind.
        world: who asks in a shadow of a caller's run, and what he reaches.
        writer: where shadows are told.
        mask: takes personal data and secrets out of a text.
        counters: of runs.
        most_at_once: shadows at a time.
    """

    live: Live
    versions: RunVersions
    drivers: Mapping[str, Driver]
    world: Callable[[Caller, ServingTable], tuple[Caller, World]]
    writer: CaptureWriter
    mask: Mask
    counters: RunCounters
    most_at_once: int = 4


class RunShadows:
    """Shadows of one process; used on one event loop.

    Args:
        parts: what they are done with.
    """

    def __init__(self, parts: ShadowParts) -> None:
        self._parts = parts
        self.is_busy: Callable[[], bool] = bool
        """Whether runs of callers wait for their turn; whoever makes the runtime says it."""
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def n_under_way(self) -> int:
        """Shadows that are being done."""
        return len(self._under_way)

    def follow(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        """Have a run that is over done again, where its asset has a shadow that sees this caller. Cost: some µs; nobody waits."""
        parts, serving = self._parts, self._parts.live.serving
        route = None if serving is None else serving.table.routes.get(run.asset)
        if serving is None or route is None or not is_followed(run, steps, route):
            return
        if len(self._under_way) >= parts.most_at_once or self.is_busy() or not parts.writer.has_room():
            self._count(run, LEFT_OUT)
            return
        task = asyncio.get_running_loop().create_task(self._contained(run, steps, serving))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def stop(self) -> None:
        """Give up what is under way; it is told nowhere."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _contained(self, run: RunRecord, steps: Sequence[StepRecord], serving: ServingTable) -> None:
        async def broken(error: Exception) -> None:
            log.warning("The run %s cannot be done again by its shadow: %s", run.id, error)
            self._count(run, BROKEN)

        await contained_async(partial(self._shadow, run, steps, serving), broken)

    async def _shadow(self, run: RunRecord, steps: Sequence[StepRecord], serving: ServingTable) -> None:
        shadow = serving.table.routes[run.asset].shadow
        assert shadow is not None, "follow has seen it"
        caller, world = self._parts.world(self._parts.versions.caller_of(run), serving)
        parts = await self._replay_parts(msgspec.structs.replace(run, version=shadow.version), caller, world)
        # Its own root: it belongs to no run of production, and to no trace of the caller.
        again = msgspec.structs.replace(run, parent="", root="", depth=0, trace="")
        swaps = {f"{run.kind}:{run.asset}": shadow.version}
        done = await replay(ReplayAsked(run=again, steps=tuple(steps), swaps=swaps), parts, ARM)
        self._paid(run, done)
        if done.run.why == NO_ROOM:
            self._count(run, REFUSED)
            return
        await self._tell(done, _stricter(serving.servables[run.version].keeps, parts.prepared.keeps))

    async def _replay_parts(self, run: RunRecord, caller: Caller, world: World) -> ReplayParts:
        versions = self._parts.versions
        prepared = await versions.prepare(run)

        async def below(kind: str, asset: str) -> ReplayParts:
            versions.allowed(kind, asset, caller)
            arm, _ = versions.choose(kind, asset, _affinity(run))
            found = msgspec.structs.replace(run, kind=kind, asset=asset, version=arm.version)
            return await self._replay_parts(found, caller, world)

        return ReplayParts(self._parts.drivers[run.kind], prepared, caller, world, below)

    async def _tell(self, done: Replayed, keeps: str) -> None:
        """Masking takes its time, so a thread does it."""
        run = msgspec.structs.replace(done.run, root=done.run.id)
        told = await asyncio.to_thread(run_told, run, done.steps, (), keeps, self._parts.mask)
        self._count(run, run.status if self._parts.writer.append(told) else LEFT_OUT)

    def _count(self, run: RunRecord, outcome: str) -> None:
        self._parts.counters.shadows[(run.kind, run.asset, outcome)] += 1

    def _paid(self, run: RunRecord, done: Replayed) -> None:
        """What was asked anew: answers that the record gave again were paid for by the run."""
        anew = sum(step.cost_pusd or 0 for step in done.steps if not step.facts.get("recorded"))
        self._parts.counters.shadow_usd[(run.kind, run.asset)] += anew / PICO


def is_followed(run: RunRecord, steps: Sequence[StepRecord], route: Route) -> bool:
    """Whether there is something to hold against: the champion's own run, not called off, not one that takes processes down."""
    if route.shadow is None or run.arm != "champion" or run.replay_of or run.version != route.champion.version:
        return False
    if run.status == "cancelled" or run.why == "run.poisoned" or not (steps or run.status == "done"):
        return False
    return route.shadow.version != run.version and route.shadows(_affinity(run))


def _affinity(run: RunRecord) -> str:
    """What shares stick to: as when the run was begun; without user and key each run for itself."""
    return run.user or run.key or run.root


def _stricter(one: str, other: str) -> str:
    """Of two ways to keep texts the one that keeps less.

    >>> _stricter("full", "redacted"), _stricter("none", "full")
    ('redacted', 'none')
    """
    return min(one, other, key=_KEEPS.index)
