"""Replays: a run done again with something changed, answered by its record up to the first difference and never acting on the world.

`replay` drives a run by the driver of its kind over a journal in memory; surface calls it. Models and nodes are answered by the record
through the driver, tools through the toolbox here. A tool that changes something is answered from the record or not at all: what it would
give is then told as not known, and its call named in `Replayed.unknown`. Nobody is asked: what a person said then stands in the record.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.errors import NotFound, PerdureError
from perdure.core.ids import new_id
from perdure.core.runs import ReplayAsked, Replayed, RunRecord
from perdure.core.usage import picodollars
from perdure.serve.boundary import contained_async
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.children import child_run, child_step
from perdure.serve.runs.doing import Around, RunDoing, effect_of
from perdure.serve.runs.going import Prepared, ended_run
from perdure.serve.runs.journaling import InMemory, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import (
    ChatSaid,
    Driven,
    Driver,
    Ended,
    Json,
    LimitHit,
    Offered,
    ToolAsked,
    Toolbox,
    ToolContext,
    ToolGave,
    World,
)
from perdure.serve.runs.recorded import Record
from perdure.serve.runs.standing import gave_of

UNKNOWN = "tool.not_in_record"


@dataclass(frozen=True, slots=True, eq=False)
class ReplayParts:
    """What a replay is driven with.

    Args:
        driver: of the run's kind.
        prepared: the version that is driven.
        caller: who acts.
        world: what is asked anew is asked of it; it answers by the versions that the swaps name.
        below: parts of a run below, by kind and asset, of which there is no record; None: those cannot be done again.
    """

    driver: Driver
    prepared: Prepared
    caller: Caller
    world: World
    below: Callable[[str, str], Awaitable[ReplayParts]] | None = None


async def replay(asked: ReplayAsked, parts: ReplayParts, arm: str = "replay") -> Replayed:
    """The run as it would have gone; never raises for the run's own failure. Cancelling it cancels what it asks.

    Args:
        asked: the run, and what is swapped.
        parts: what it is driven with.
        arm: as which it stands in records: `replay`, or `shadow`, whose run is told.
    """
    version = asked.swaps.get(f"{asked.run.kind}:{asked.run.asset}", asked.run.version)
    own = new_id("run" if arm == "shadow" else "replay")
    run = msgspec.structs.replace(
        asked.run, id=own, version=version, arm=arm, status="running", output=b"", why="", text="",
        idempotency="", began_us=machine_us(), replay_of=asked.run.id, swaps=dict(asked.swaps),
    )  # fmt: skip
    prepared = replace(parts.prepared, limits=_limits(parts.prepared.limits, asked.limits))
    return await _replayed(run, Record(asked), replace(parts, prepared=prepared), None)


async def _replayed(run: RunRecord, record: Record, parts: ReplayParts, above: Limiter | None) -> Replayed:
    journal = RunJournal(run.id, InMemory())
    limiter = Limiter(parts.prepared.limits, journal, above)
    world = _ReplayWorld(parts, limiter, journal)
    toolbox = _RecordedTools(parts.prepared.toolbox, record)
    driven = Driven(
        run=run,
        servable=parts.prepared.servable,
        journal=journal,
        doing=RunDoing(Around(run, parts.caller, world), journal, limiter, toolbox),
        toolbox=toolbox,
        caller=parts.caller,
        world=world,
        limits=limiter,
        streams=False,
        replayer=record,
    )

    async def drive() -> Ended:
        return await parts.driver.drive(driven)

    ended = await contained_async(drive, _failed)
    steps = record.as_then(journal.steps)
    return record.done(ended_run(run, steps, ended), steps)


async def _failed(error: Exception) -> Ended:
    if isinstance(error, LimitHit):
        return Ended("limited", b"", error.why, error.text)
    if isinstance(error, PerdureError):
        return Ended("failed", b"", error.code, str(error))
    return Ended("failed", b"", "run.failed", f"The replay failed: {type(error).__name__}.")


def _limits(declared: RunLimits, instead: Mapping[str, float]) -> RunLimits:
    """Limits with some members replaced; `wall` in seconds, counts as whole numbers."""
    given: dict[str, Any] = {name: value if name == "usd" else int(value) for name, value in instead.items()}
    if "wall" in instead:
        given["wall"] = timedelta(seconds=instead["wall"])
    return replace(declared, **given)


class _RecordedTools:
    """Tools of a replay (a `Toolbox`): of the record, else asked anew where they only read."""

    def __init__(self, toolbox: Toolbox, record: Record) -> None:
        self._toolbox = toolbox
        self._record = record
        self._own = {each.name: each for each in toolbox.offered}
        self.offered: Sequence[Offered] = [_harmless(each) for each in toolbox.offered]

    async def call(self, asked: ToolAsked, context: ToolContext) -> ToolGave:
        """What it gave then; else of a tool that reads what it gives now."""
        found = self._record.tool(asked)
        if found is not None:
            gave = gave_of(found)
            return replace(gave, facts={**gave.facts, "recorded": True})
        own = self._own.get(asked.name)
        if effect_of(own) != "none":
            self._record.not_known(f"tool:{asked.name}")
            text = f"What {asked.name} would give is not known: in a replay nothing is changed."
            return ToolGave(b"null", text, UNKNOWN)
        gave = await self._toolbox.call(asked, context)
        return gave if own is None else replace(gave, cost_pusd=gave.cost_pusd + picodollars(own.terms.cost_usd))

    async def happened(self, asked: ToolAsked, context: ToolContext) -> ToolGave | None:  # noqa: ARG002 - nothing is done here
        """Nothing happens in a replay."""
        return None


def _harmless(offered: Offered) -> Offered:
    """The same tool to a model; nobody is asked, and what it cost then is in its record."""
    terms = replace(offered.terms, effect="none", approve_by=None, cost_usd=0.0, teams=(), tries=1)
    return replace(offered, terms=terms)


class _ReplayWorld:
    """What a replay reaches (a `World`): the given one, but runs below are replays too."""

    def __init__(self, parts: ReplayParts, limiter: Limiter, journal: RunJournal) -> None:
        self._parts = parts
        self._limiter = limiter
        self._journal = journal
        self.search = parts.world.search
        self.predict = parts.world.predict
        self.features = parts.world.features

    async def chat(self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> ChatSaid:
        """Ask a model anew."""
        return await self._parts.world.chat(body, caller, run, tags)

    def stream(
        self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]
    ) -> AsyncIterator[str | ChatSaid]:
        """The same in pieces."""
        return self._parts.world.stream(body, caller, run, tags)

    async def child(self, kind: str, asset: str, input_: Json, parent: RunRecord, call: str) -> RunRecord:
        """A run below, done anew in memory: of it there is no record here.

        Raises:
            NotFound: runs below cannot be done again here.
            LimitHit: it would be too deep.
        """
        below = self._parts.below
        if below is None:
            raise NotFound(
                f"The run below of {kind} {asset!r} stands in no record.", hint="Replay the run above it alone."
            )
        self._limiter.check_depth()
        parts = await below(kind, asset)
        run = child_run(parent, (kind, asset, parent.swaps.get(f"{kind}:{asset}", ""), "replay"), input_, call)
        run = msgspec.structs.replace(run, replay_of=run.replay_of or run.id)
        asked = ReplayAsked(run=run, steps=(), swaps=parent.swaps)
        done = (await _replayed(run, Record(asked), parts, self._limiter)).run
        await self._journal.write(child_step(done, call))
        return done
