"""The drain: captured events move from their segments to the lake, each exactly once.

A round calls `Drain.run` under a lease. One batch goes through five steps, and a crash between any
two of them changes nothing in the end:

1. read how far each segment was drained, and see how far it could be;
2. record the intent, a batch number and ranges of whole frames, in a fenced transaction;
3. append the events of those ranges to their tables, marked with the batch number, so that a table
   that has the batch already ignores it;
4. record in a fenced transaction that the ranges are drained, and forget the intent;
5. delete the segments that are closed and wholly drained.

A run that finds an intent repeats step 3 from the very same ranges. A worker that lost its lease
between steps cannot record anything, and what it may still append is what the new holder appends too.

Losses that writers tell of, and bytes that cannot be read, become incidents in the transaction of
step 4. A ledger that was restored from a backup is behind the lake: batch numbers go on after the
greatest that any table has seen, since a table ignores the numbers it knows, events and all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from perdure.core.errors import Corrupt, NotFound
from perdure.loop.damage import Damage, report_captures
from perdure.loop.work.captured import CapturedBatch
from perdure.stores.capture.events import Lost
from perdure.stores.capture.protocols import CaptureLog, SegmentRange
from perdure.stores.lake.protocols import AppTransaction, Lake
from perdure.stores.ledger.protocols import Incident, Lease, Ledger, LedgerSession

APP = "drain"
"""Name of the lake's application transactions, and of the ledger's cursor."""
_COUNTED = {
    "captures": "n_rows",
    "labels": "n_labels",
    "quarantine": "n_rejected",
    "calls": "n_calls",
    "feedback": "n_feedback",
    "searches": "n_searches",
    "runs": "n_runs",
}
"""First part of a table's name → the report's count of its rows."""
_TABLES = (*_COUNTED, "attempts", "guarded", "compared", "run_steps")
"""First parts of the names of the tables it appends to."""
_BATCH_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one run moved. A batch that an earlier run began is counted where it was finished."""

    n_frames: int = 0
    n_rows: int = 0
    n_labels: int = 0
    n_rejected: int = 0
    n_calls: int = 0
    n_feedback: int = 0
    n_searches: int = 0
    n_runs: int = 0
    batches: int = 0
    n_lost: int = 0
    """Events that writers could not write, as they told it themselves."""
    corrupt: tuple[Damage, ...] = ()
    opened: tuple[Incident, ...] = field(default=(), compare=False)
    """Incidents that losses and damage opened."""

    def plus(self, other: DrainReport) -> DrainReport:
        """Both together."""
        return DrainReport(
            self.n_frames + other.n_frames,
            self.n_rows + other.n_rows,
            self.n_labels + other.n_labels,
            self.n_rejected + other.n_rejected,
            self.n_calls + other.n_calls,
            self.n_feedback + other.n_feedback,
            self.n_searches + other.n_searches,
            self.n_runs + other.n_runs,
            self.batches + other.batches,
            self.n_lost + other.n_lost,
            self.corrupt + other.corrupt,
            self.opened + other.opened,
        )


def finished_batch(session: LedgerSession) -> int:
    """Number of the last batch whose rows are all in the lake; 0 before the first."""
    progress = _Progress.from_json(session.cursors.get(APP))
    return progress.batch - bool(progress.intent)


@dataclass(frozen=True, slots=True)
class _Progress:
    """The drain's cursor in the ledger: the last batch, offsets of what is drained, and the intent."""

    batch: int
    offsets: dict[str, int]
    intent: tuple[SegmentRange, ...] = ()

    @classmethod
    def from_json(cls, value: Any | None) -> Self:
        if value is None:
            return cls(0, {})
        return cls(value["batch"], value["offsets"], tuple(SegmentRange(*span) for span in value["intent"]))

    def as_json(self) -> dict[str, Any]:
        intent = [[span.segment, span.start, span.end] for span in self.intent]
        return {"batch": self.batch, "offsets": self.offsets, "intent": intent}

    def intending(self, batch: int, ranges: Sequence[SegmentRange], alive: set[str]) -> _Progress:
        """A batch begun; offsets of segments that are gone are forgotten, their names never come back."""
        offsets = {segment: offset for segment, offset in self.offsets.items() if segment in alive}
        return _Progress(batch, offsets, tuple(ranges))

    def done(self) -> _Progress:
        """The batch finished: its ranges are drained."""
        return _Progress(self.batch, self.offsets | {span.segment: span.end for span in self.intent})


@dataclass(frozen=True, slots=True)
class _Authority:
    """In whose name the ledger is written."""

    now: datetime
    actor: str
    lease: Lease


class Drain:
    """Moves captured events to the lake.

    Args:
        capture: the segments of all serving processes.
        lake: where their rows go.
        ledger: keeps the offsets and the intent.
        batch_bytes: a batch ends with the segment that reaches this size; it is held in memory.
    """

    def __init__(self, capture: CaptureLog, lake: Lake, ledger: Ledger, *, batch_bytes: int = _BATCH_BYTES) -> None:
        self._capture = capture
        self._lake = lake
        self._ledger = ledger
        self._batch_bytes = batch_bytes
        self._highest: int | None = None

    def run(self, *, now: datetime, actor: str, lease: Lease) -> DrainReport:
        """Move everything that was acknowledged before the call.

        Args:
            now: domain time of the records in the ledger.
            actor: who drains.
            lease: the drainer's lease; nothing is recorded without it.

        Raises:
            LostLease: another worker drains now, and finishes what this one began.
            StoreError: a store failed; the next run goes on from there.

        Cost: about 12 µs CPU an event of one row, 3 µs a row of large requests, and 20 ms a batch and table.
        """
        authority = _Authority(now, actor, lease)
        with self._ledger.read() as session:
            progress = _Progress.from_json(session.cursors.get(APP))
        report = DrainReport()
        if progress.intent:
            progress, report = self._finish(progress, authority)
        report = report.plus(self._remove_drained(progress))
        for ranges in self._pending(progress):
            number = self._next_number(progress)
            progress = progress.intending(number, ranges, {info.name for info in self._capture.segments()})
            self._record(progress, authority)
            progress, finished = self._finish(progress, authority)
            report = report.plus(finished).plus(self._remove_drained(progress))
        return report

    def behind(self) -> bool:
        """Whether something that was acknowledged is not in the lake yet. Changes nothing."""
        with self._ledger.read() as session:
            progress = _Progress.from_json(session.cursors.get(APP))
        return bool(progress.intent or self._pending(progress))

    def _pending(self, progress: _Progress) -> list[list[SegmentRange]]:
        """Batches of ranges that are whole and not drained, in order of the segments."""
        batches: list[list[SegmentRange]] = [[]]
        n_bytes = 0
        for info in self._capture.segments():
            start = progress.offsets.get(info.name, 0)
            end = self._capture.complete_end(info.name, start)
            if n_bytes >= self._batch_bytes:
                batches.append([])
                n_bytes = 0
            if end > start:
                batches[-1].append(SegmentRange(info.name, start, end))
                n_bytes += end - start
        return [ranges for ranges in batches if ranges]

    def _next_number(self, progress: _Progress) -> int:
        """One more than any batch before, as far as the ledger and, once a process, the lake know."""
        if self._highest is None:
            tables = [name for name in self._lake.tables() if name.partition("/")[0] in _TABLES]
            self._highest = max((self._lake.last_transaction(name, APP) or 0 for name in tables), default=0)
        self._highest = max(self._highest, progress.batch) + 1
        return self._highest

    def _finish(self, progress: _Progress, authority: _Authority) -> tuple[_Progress, DrainReport]:
        """Steps 3 and 4 of the batch that was intended."""
        batch = CapturedBatch(progress.batch)
        damages: list[Damage] = []
        for span in progress.intent:
            damages += self._collect(span, batch)
        counts = dict.fromkeys(_COUNTED.values(), 0)
        for table, frame in batch.tables().items():
            self._lake.append(table, frame, transaction=AppTransaction(APP, progress.batch))
            count = _COUNTED.get(table.partition("/")[0])
            if count is not None:
                counts[count] += frame.height
        done = progress.done()
        opened = self._record(done, authority, batch.losses, damages)
        report = DrainReport(
            n_frames=batch.n_frames,
            batches=1,
            n_lost=sum(loss.n for loss in batch.losses),
            corrupt=tuple(damages),
            opened=opened,
            **counts,
        )
        return done, report

    def _collect(self, span: SegmentRange, batch: CapturedBatch) -> list[Damage]:
        """Put a range's events into the batch; where bytes are damaged or gone, go on behind them."""
        damages = []
        while span.start < span.end:
            try:
                for event in self._capture.read(span):
                    batch.add(event)
            except Corrupt as error:
                start, end = int(error.facts["start"]), int(error.facts["end"])
                damages.append(Damage(span.segment, start, end, "corrupt"))
                span = replace(span, start=end)
            except NotFound:
                damages.append(Damage(span.segment, span.start, span.end, "missing"))
                break
            else:
                break
        return damages

    def _record(
        self, progress: _Progress, authority: _Authority, losses: Sequence[Lost] = (), damages: Sequence[Damage] = ()
    ) -> tuple[Incident, ...]:
        with self._ledger.transaction(
            actor=authority.actor, at=authority.now, reason="drain captures", lease=authority.lease
        ) as session:
            session.cursors.put(APP, progress.as_json())
            return report_captures(session, progress.batch, losses, damages)

    def _remove_drained(self, progress: _Progress) -> DrainReport:
        """Step 5. Reports the torn tail of a dead writer's segment, which ends with it."""
        torn = []
        for info in self._capture.segments():
            offset = progress.offsets.get(info.name, 0)
            if info.closed and self._capture.complete_end(info.name, offset) <= offset:
                self._capture.remove(info.name)
                if offset < info.size_bytes:
                    torn.append(Damage(info.name, offset, info.size_bytes, "torn"))
        return DrainReport(corrupt=tuple(torn))
