"""Journals of runs: entries of all runs of this process go to the store together, one write under way at a time.

While one write waits for the disk the entries of every other run gather, and go out with the next: a disk that takes 5 ms serves
hundreds of runs at once. Numbers are given when a write leaves, so a write that fails leaves no gap. What was given to `write` goes on
its way even if whoever waits for it is cancelled: an effect that was done is written down though its run is being stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from perdure.core.errors import LostLease, StoreError
from perdure.core.runs import Claim, RunRecord, StepRecord, Wait
from perdure.serve.boundary import contained_async
from perdure.serve.runs.protocols import RunEvent
from perdure.serve.runs.showing import shown_step, shown_wait
from perdure.stores.runs.protocols import Progress, Runs, Told

_ODD = (TypeError, ValueError, OverflowError)
"""Raised of an entry that cannot be encoded, before anything is written."""
_MOST = 256
"""Writes that go out together; more wait for the next, so that none waits for a very long one."""


def lost_claim(run: str) -> LostLease:
    """The error for a run that another worker drives now."""
    return LostLease(
        f"The run {run} is driven by another worker now.", hint="Nothing more may be done for it here.", run=run
    )


class Keeps(Protocol):
    """Where entries of journals go."""

    async def keep(self, journal: RunJournal, entry: Entry) -> None:
        """Durable when it returns; sets what the journal holds.

        Raises:
            LostLease: another worker drives this run now.
            StoreFull: there is no room.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written to one run at once: all of it or nothing."""

    steps: Sequence[StepRecord] = ()
    waits: Sequence[Wait] = ()
    run: RunRecord | None = None
    """Its new state."""
    kept: Told | None = None
    """What stays of one that is over; see `Progress.kept`."""


class RunJournal:
    """The journal of one run (a `Journal`).

    Args:
        run: its id.
        keeps: where entries go.
        claim: the right to write; None in memory.
        steps: what is written already.
        waits: questions that were asked already.
        tells: hears events, which are kept nowhere; false while nobody listens.
    """

    __slots__ = ("_keeps", "_tells", "claim", "left", "run", "steps", "waits")

    def __init__(
        self,
        run: str,
        keeps: Keeps,
        claim: Claim | None = None,
        steps: Sequence[StepRecord] = (),
        waits: Sequence[Wait] = (),
        tells: Callable[[RunEvent], None] | None = None,
    ) -> None:
        self.run = run
        self.claim = claim
        self.steps: list[StepRecord] = list(steps)
        self.waits: Sequence[Wait] = list(waits)
        self.left: list[asyncio.Event] = []
        """Writes that nobody waits for any more, for he was cancelled; each is set when it is over."""
        self._keeps = keeps
        self._tells = tells

    async def write(self, *steps: StepRecord, waits: Sequence[Wait] = ()) -> None:
        """Append; see `Journal.write`."""
        if steps or waits:
            await self._keeps.keep(self, Entry(steps, tuple(waits)))

    async def settled(self) -> None:
        """Once everything that was given to it is written or refused: an effect that was done is known then."""
        for each in self.left:
            await each.wait()
        self.left.clear()

    async def close(self, run: RunRecord, kept: Told | None = None) -> None:
        """The run's new state: its claim is given back.

        Args:
            run: as it is from now on.
            kept: what stays of its entries and questions, where it is over; None: all of them.

        Raises:
            LostLease: another worker drives this run now.
            StoreFull: there is no room.
        """
        await self._keeps.keep(self, Entry((), (), run, kept))

    def tell(self, event: RunEvent) -> None:
        """To listeners; kept nowhere."""
        if self._tells:
            self._tells(event)

    def numbered(self, entry: Entry) -> Sequence[StepRecord]:
        """Entries as they go out next: of this run, numbered on from the last."""
        first = len(self.steps)
        return [msgspec.structs.replace(_sound(step), run=self.run, n=first + n) for n, step in enumerate(entry.steps)]

    def written(self, steps: Sequence[StepRecord], waits: Sequence[Wait]) -> None:
        """They are durable: hold them, and tell listeners."""
        asked = {each.id for each in waits}
        self.steps.extend(steps)
        self.waits = [*(each for each in self.waits if each.id not in asked), *waits]
        if self._tells:
            events = [RunEvent("step", shown_step(step)) for step in steps]
            for event in (*events, *(RunEvent("wait", shown_wait(wait)) for wait in waits)):
                self._tells(event)


class InMemory:
    """Keeps entries nowhere but in the journal: of a replay, which is over when its process is."""

    async def keep(self, journal: RunJournal, entry: Entry) -> None:
        """At once."""
        journal.written(journal.numbered(entry), entry.waits)


@dataclass(slots=True, eq=False)
class _Pending:
    journal: RunJournal
    entry: Entry
    done: asyncio.Future[None]
    steps: Sequence[StepRecord] = ()
    left: asyncio.Event | None = None


class JournalWriter:
    """Writes the entries of all runs of this process: while one write is under way, the others gather for the next.

    Used on one event loop. Cost: 15 µs a write and a hop to a thread for all that go out together.

    Args:
        runs: the store.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._thread = ThreadPoolExecutor(1, "perdure-runs")
        self._pending: list[_Pending] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, journal: RunJournal, entry: Entry) -> None:
        """Durable when it returns; goes on its way when whoever waits is cancelled.

        Raises:
            LostLease: another worker drives this run now; nothing of it is written.
            StoreFull: there is no room; nothing is written.
            StoreError: the store cannot be reached; nothing is written.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(journal, entry, loop.create_future())
        self._pending.append(pending)
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        try:
            await pending.done
        except asyncio.CancelledError:
            pending.left = asyncio.Event()
            journal.left.append(pending.left)
            raise

    async def close(self) -> None:
        """Once what is under way is written."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        self._thread.shutdown(wait=False)

    async def _write_all(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending[:_MOST], self._pending[_MOST:]
                await contained_async(partial(self._write, batch), partial(self._failed, batch))
        finally:
            self._writing = None

    async def _write(self, batch: Sequence[_Pending]) -> None:
        progress = [self._progress(each, batch[:n]) for n, each in enumerate(batch)]
        held = await asyncio.get_running_loop().run_in_executor(self._thread, self._runs.write, progress)
        for each, is_held in zip(batch, held, strict=True):
            if is_held:
                each.journal.written(each.steps, each.entry.waits)
                _settle(each, None)
            else:
                _settle(each, lost_claim(each.journal.run))

    def _progress(self, pending: _Pending, before: Sequence[_Pending]) -> Progress:
        """Numbered on from what the same run has further ahead in the same write."""
        journal, claim = pending.journal, pending.journal.claim
        assert claim is not None, "only a run that is claimed is written to a store"
        ahead = sum(len(each.steps) for each in before if each.journal is journal)
        steps = journal.numbered(pending.entry)
        if ahead:
            steps = [msgspec.structs.replace(step, n=step.n + ahead) for step in steps]
        pending.steps = steps
        return Progress(claim, steps, pending.entry.waits, pending.entry.run, pending.entry.kept)

    async def _failed(self, batch: Sequence[_Pending], error: Exception) -> None:
        """Nothing was written. What no store takes is not to stop what else goes out with it: each goes alone then."""
        is_odd = isinstance(error, _ODD)
        if is_odd and len(batch) > 1:
            for each in batch:
                await contained_async(partial(self._write, [each]), partial(self._failed, [each]))
            return
        if is_odd:
            error = ValueError(f"What a run says of itself cannot be written down: {type(error).__name__}.")
        elif not isinstance(error, StoreError):
            error = StoreError(f"The journals of runs cannot be written: {type(error).__name__}.")
        for each in batch:
            _settle(each, error)


def sound(text: str) -> str:
    r"""A text as UTF-8 has it: names of files and errors of tools may hold what no disk and no wire takes.

    >>> sound("caf\udce9")
    'caf?'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _sound(step: StepRecord) -> StepRecord:
    """An entry whose words can be written."""
    if step.text.isascii() and step.node.isascii() and not step.facts:
        return step
    facts = {sound(name): sound(each) if isinstance(each, str) else each for name, each in step.facts.items()}
    return msgspec.structs.replace(step, text=sound(step.text), node=sound(step.node), facts=facts)


def _settle(pending: _Pending, error: Exception | None) -> None:
    """Wake whoever waits, where he still does."""
    if pending.left is not None:
        pending.left.set()
    if pending.done.done():
        return
    if error is None:
        pending.done.set_result(None)
    else:
        pending.done.set_exception(error)
