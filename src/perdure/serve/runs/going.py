"""One run in the hands of this process: made ready, driven, and brought to its end or to where it waits.

Called by `running`, which owns which runs go on here. How a drive ends is written in this order: the run's own entries, the record of the
run for the capture log, its end in the store. A process that dies in between leaves a run that is driven once more, does nothing again,
and is told twice; of these the last counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import msgspec

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.errors import LostLease, PerdureError, StoreError, StoreFull, Temporary
from perdure.core.runs import ENDED, RunRecord, StepRecord
from perdure.serve.boundary import contained, contained_async, is_cancelled
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.doing import Around, RunDoing
from perdure.serve.runs.journaling import InMemory, RunJournal, sound
from perdure.serve.runs.limiting import Limiter, spent_of
from perdure.serve.runs.protocols import Driven, Driver, Ended, Parked, RunEvent, Toolbox, World
from perdure.serve.runs.showing import shown_run
from perdure.serve.runs.standing import open_calls
from perdure.serve.runs.telling import Mask, kept_of, run_told
from perdure.stores.capture.events import RunTold
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.runs.protocols import Told

log = logging.getLogger("perdure.serve")

Stopping = Literal["", "cancel", "stop", "lost"]
"""Why a drive is ended from outside: somebody called the run off, the process stops, or another worker has it."""
CANCELLED = "run.cancelled"
CALLED_OFF = "The run was called off."
_AT_ONCE_BYTES = 10_000
"""Of texts that are masked on the event loop: some 10 ms."""
SUSPECT = 2
"""Claims that ran out one after the other without a new entry: such runs are driven one at a time, so that none dies of another."""
MOST_DEATHS = 5
"""Then the run is ended: whatever it does next takes the process down that drives it."""
_PAUSE_S = 10.0
"""A run whose journal cannot be written is let be for so long: what was asked and could not be written down is asked anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A run's version, ready to be driven."""

    servable: Any
    """What the loader of its kind made."""
    toolbox: Toolbox
    """For this run alone."""
    limits: RunLimits
    keeps: str = "redacted"


async def _nowhere(run: str) -> Told | None:  # noqa: ARG001 - as the runtime's
    return None


def _unheard(run: RunRecord, steps: Sequence[StepRecord]) -> None:
    """Nobody hears of runs that are over."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What runs of a process are driven with.

    Args:
        drivers: by kind.
        prepare: makes a run's version ready; raises NotReady where it cannot be yet, and what else ends the run.
        caller_of: who acts in a run, from its key.
        world: what drivers and tools reach.
        writer: where runs that are over are told; None: nowhere.
        mask: takes personal data and secrets out of a text.
        expires_us: how long an approval waits; 0: for ever.
        find: reads a run of the store; the runtime gives it.
        ended: hears of each run that is over, with its journal as it was driven.
    """

    drivers: Mapping[str, Driver]
    prepare: Callable[[RunRecord], Awaitable[Prepared]]
    caller_of: Callable[[RunRecord], Caller]
    world: World
    writer: CaptureWriter | None = None
    mask: Mask = str
    expires_us: int = 0
    find: Callable[[str], Awaitable[Told | None]] = _nowhere
    ended: Callable[[RunRecord, Sequence[StepRecord]], None] = _unheard


@dataclass(slots=True, eq=False)
class Going:
    """One run that goes on here."""

    run: RunRecord
    journal: RunJournal
    above: Going | None = None
    """Run that began it, where that goes on here too."""
    limiter: Limiter | None = None
    keeps: str = ""
    """What is told of texts; empty until its version is ready."""
    stopping: Stopping = ""
    called_off: str = CALLED_OFF
    """Why, in words, where it is."""
    is_ending: bool = False
    """Its end is being written: it is not called off any more."""
    held_us: int = 0
    """It could not go on: until then nobody should try again."""
    n_found: int = 0
    """Entries that its journal had when it was taken."""
    has_below: bool = False
    """Runs were begun below it."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing of it goes on here."""
    task: asyncio.Task[None] | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether processes died one after the other while they drove it, and it has got no further here."""
        claim = self.journal.claim
        return claim is not None and claim.deaths >= SUSPECT and len(self.journal.steps) <= self.n_found

    def end(self, why: Stopping) -> None:
        """Have the drive ended; it is over some time later."""
        if self.is_ending or self.stopping or self.task is None:
            return
        self.stopping = why
        self.task.cancel()


async def go(going: Going, parts: Parts, *, streams: bool) -> None:
    """Drive a run to its end, or to where it waits or is given up here; never raises, but for a cancellation from elsewhere."""
    ended = await _drive_contained(going, parts, streams=streams)
    if going.stopping == "cancel":  # also where the drive made something else of it
        ended = called_off(going.called_off)
    elif going.stopping:
        return
    if ended is not None:
        going.is_ending = True
        await contained_async(partial(settle, going, parts, ended), partial(_gave_up, going))


async def _drive_contained(going: Going, parts: Parts, *, streams: bool) -> Ended | None:
    try:
        return await contained_async(partial(_drive, going, parts, streams=streams), partial(_ended_by, going))
    except asyncio.CancelledError:
        if going.stopping:
            return None
        if is_cancelled():
            raise
        return Ended("failed", b"", "run.failed", "The run failed: it was cancelled from within.")


async def _drive(going: Going, parts: Parts, *, streams: bool) -> Ended:
    prepared = await parts.prepare(going.run)
    journal, run = going.journal, going.run
    above = await _limits_above(going, parts)
    limiter = going.limiter = Limiter(prepared.limits, journal, above)
    going.keeps = prepared.keeps
    caller = parts.caller_of(run)
    driven = Driven(
        run=run,
        servable=prepared.servable,
        journal=journal,
        doing=RunDoing(Around(run, caller, parts.world, parts.expires_us), journal, limiter, prepared.toolbox),
        toolbox=prepared.toolbox,
        caller=caller,
        world=parts.world,
        limits=limiter,
        streams=streams,
    )
    journal.tell(RunEvent("begin", shown_run(run)))
    with nullcontext() if above is None else above.below(limiter):
        return await parts.drivers[run.kind].drive(driven)


async def _limits_above(going: Going, parts: Parts) -> Limiter | None:
    """What is left to the run above: where it is driven here as it goes on, else as its journal stands."""
    if going.above is not None and going.above.limiter is not None:
        return going.above.limiter
    return await _limits_of(going.run.parent, parts) if going.run.parent else None


async def _limits_of(run: str, parts: Parts) -> Limiter | None:
    told = await contained_async(partial(parts.find, run), _not_there)
    if told is None or told.run.ended:
        return None
    prepared = await contained_async(partial(parts.prepare, told.run), _not_there)
    if prepared is None:
        return None
    above = await _limits_of(told.run.parent, parts) if told.run.parent else None
    return Limiter(prepared.limits, RunJournal(run, InMemory(), None, told.steps), above)


async def _not_there(error: Exception) -> None:
    """The run above cannot be read or made ready: it will say so itself.

    Raises:
        Exception: where that is for now only, this run waits as well.
    """
    if isinstance(error, Temporary):
        raise error


async def _ended_by(going: Going, error: Exception) -> Ended | None:
    """How an error ends a drive; None: the run is not over, and goes on elsewhere or later."""
    if isinstance(error, Parked):
        return Ended("waiting")
    is_early = going.limiter is None and isinstance(error, Temporary)  # its version is not there yet
    if is_early or isinstance(error, LostLease | StoreError):
        await _gave_up(going, error)
        return None
    if isinstance(error, PerdureError):
        return Ended("failed", b"", error.code, str(error))
    log.error("Run %s: the drive failed: %s.", going.run.id, type(error).__name__, exc_info=error)
    return Ended("failed", b"", "run.failed", f"The run failed: {type(error).__name__}.")


async def _gave_up(going: Going, error: Exception) -> None:
    """Nothing more can be written of it here: another drive goes on, of this process or another."""
    if isinstance(error, LostLease):
        going.stopping = "lost"
        return
    log.warning("Run %s cannot go on now: %s", going.run.id, error)
    delay_s = max(error.delay_s, _PAUSE_S) if isinstance(error, Temporary) else _PAUSE_S
    going.held_us = machine_us() + int(delay_s * 1e6)


def poisoned(n_deaths: int) -> Ended:
    """The end of a run that takes down whoever drives it."""
    text = f"{n_deaths} processes in a row died, or were silent for too long, while they drove this run, and it got no further."
    return Ended("failed", b"", "run.poisoned", text)


def called_off(why: str) -> Ended:
    """The end of a run that somebody called off."""
    return Ended("cancelled", b"", CANCELLED, why)


async def settle(going: Going, parts: Parts, ended: Ended) -> None:
    """Write how a drive ended; what was begun and has no end is told as unknown where the run is over.

    Raises:
        LostLease: another worker drives this run now.
        StoreError: it cannot be written.
    """
    journal = going.journal
    await journal.settled()
    is_over = ended.status in ENDED
    unknown = [_unknown(each) for each in open_calls(journal.steps)] if is_over else []
    run = going.run = ended_run(going.run, [*journal.steps, *unknown], ended)
    if unknown:
        await journal.write(*unknown)
    driven = list(journal.steps)  # closing leaves them as they are told
    kept = None
    if is_over and parts.writer is not None and not run.replay_of:
        keeps = going.keeps or await contained_async(partial(_keeps_of, going.run, parts), _nothing)
        told = await _told(going, run, keeps, parts.mask)
        if not parts.writer.append(told):
            raise StoreFull(f"The record of the run {run.id} could not be written.", hint="Make room; it is over then.")
        kept = kept_of(told)
    await journal.close(run, kept)
    if is_over:
        journal.tell(RunEvent("end", shown_run(run)))
        contained(lambda: parts.ended(run, driven), lambda error: _unfollowed(run, error))


def _unfollowed(run: RunRecord, error: Exception) -> None:
    log.error("What follows the end of run %s failed: %s.", run.id, type(error).__name__, exc_info=error)


async def _told(going: Going, run: RunRecord, keeps: str, mask: Mask) -> RunTold:
    """The record of a run that is over; a large one is masked on a thread, for a megabyte takes a second."""
    steps, waits = list(going.journal.steps), list(going.journal.waits)

    def told() -> RunTold:
        return contained(lambda: run_told(run, steps, waits, keeps, mask), lambda error: _unmasked(going, run, error))

    n_bytes = sum(len(step.input) + len(step.output) + len(step.text) for step in steps)
    return told() if n_bytes <= _AT_ONCE_BYTES or keeps != "redacted" else await asyncio.to_thread(told)


def _unmasked(going: Going, run: RunRecord, error: Exception) -> RunTold:
    """What cannot be masked leaves without its texts; the run is over all the same."""
    log.warning("The texts of run %s cannot be masked, and are not told: %s.", run.id, type(error).__name__)
    return run_told(run, going.journal.steps, going.journal.waits, "none", str)


async def _keeps_of(run: RunRecord, parts: Parts) -> str:
    """Of a run that was not driven here."""
    return (await parts.prepare(run)).keeps


async def _nothing(error: Exception) -> str:
    """A version that cannot be made ready does not say what may be told."""
    log.info("What is told of a run is told without texts: %s", error)
    return "none"


def ended_run(run: RunRecord, steps: list[StepRecord], ended: Ended) -> RunRecord:
    """The run's new state, with what it took."""
    spent = spent_of(steps)
    return msgspec.structs.replace(
        run,
        status=ended.status,
        output=ended.output,
        why=ended.why,
        text=sound(ended.text),
        ended_us=machine_us() if ended.status in ENDED else 0,
        n_steps=sum(step.state not in ("begun", "waiting") for step in steps),
        n_tokens=spent.tokens,
        cost_pusd=spent.pusd,
        unpriced=spent.unpriced,
    )


def _unknown(begun: StepRecord) -> StepRecord:
    text = "The run was over before it was known whether this happened."
    return msgspec.structs.replace(begun, state="unknown", text=text)


async def waited(event: asyncio.Event, timeout_s: float) -> None:
    """Until it is set or the time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
