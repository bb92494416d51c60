"""Telemetry, told at the end of a round: spans of the calls and runs that were drained go to a collector, each one's once.

    lake's batches of calls, of runs → spans → sender → cursor

The ledger's cursor `spans` (of runs: `spans/runs`) says up to which batch of the drain, and how far within the next one, spans were sent. It moves
after a try that arrived. A crash in between sends the same spans again, under the same ids. A collector that is down is left
alone for a while, longer each time, and nothing is lost meanwhile: calls stay in the lake. What it refuses for good is given
up and counted, so that one span that it chokes on stops no other. All waiting is on the machine's clock.

When telemetry is switched on, the newest batch is sent and what lies before it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Protocol

import msgspec
import polars as pl

from perdure.core.canonical import plain
from perdure.core.clock import Clock, MachineClock, monotonic_s
from perdure.loop.alerts import Answer
from perdure.loop.drain import finished_batch
from perdure.loop.protocols import Workplace
from perdure.loop.telemetry_tries import AT_MOST, Tried, after_try
from perdure.loop.work.captured_calls import ATTEMPTS, CALLS, GUARDED, GUARDED_SCHEMA
from perdure.loop.work.captured_runs import RUNS, read_unbodied
from perdure.loop.work.spans import Peer, SpanRecord, call_spans
from perdure.loop.work.spans_runs import run_spans
from perdure.stores.lake.protocols import Lake, Span
from perdure.stores.ledger.protocols import LedgerSession

SPANS = "spans"
"""The ledger's cursor."""
RUN_SPANS = "spans/runs"
"""That of spans of runs."""
_CALLS_A_TRY = 200


class SpanSender(Protocol):
    """Sends finished spans."""

    def send(self, spans: Sequence[SpanRecord]) -> Answer:
        """Try once, within the time-out; what goes wrong is in the answer, never raised."""
        ...


@dataclass(frozen=True, slots=True)
class SpansSent(Tried):
    """What the cursor holds."""

    batch: int
    """Calls, or runs, of all batches up to this one were sent, or given up."""
    n_calls: int = 0
    """Those of the next batch that were, in the order of their ids."""


def find_sent(session: LedgerSession, cursor: str = SPANS) -> SpansSent | None:
    """How far spans were sent, of calls or of runs (`RUN_SPANS`); None before the first round with telemetry."""
    kept = session.cursors.get(cursor)
    return None if kept is None else msgspec.convert(kept, SpansSent)


class Telemetry:
    """Sends spans of the calls that were drained.

    Args:
        sender: takes them out.
        peers: upstream's name → how spans name it.
        timeout_s: a round tries no longer than this.
        clock: the machine's.
    """

    cursor: ClassVar[str] = SPANS
    _table: ClassVar[str] = CALLS
    _id: ClassVar[str] = "call_id"

    def __init__(
        self, sender: SpanSender, peers: Mapping[str, Peer], *, timeout_s: float = 5.0, clock: Clock | None = None
    ) -> None:
        self._sender = sender
        self._peers = peers
        self._timeout_s = timeout_s
        self._clock = clock or MachineClock()

    def run(self, place: Workplace, now: datetime) -> None:
        """Send what was drained and not sent. Cost: two numbers read when there is nothing.

        Raises:
            LostLease: another worker took over, and sends again what was not yet written down.
        """
        with place.stores.ledger.read() as session:
            last, kept = finished_batch(session), find_sent(session, self.cursor)
        sent = kept or SpansSent(max(last - 1, 0))
        if sent.batch >= last or sent.must_wait(self._clock.now()):
            return
        until = monotonic_s() + self._timeout_s
        batches = self._batches(place.stores.lake, sent.batch, last)
        n_tries = 0
        for batch, ids in batches:
            sent = sent if batch == sent.batch + 1 else replace(sent, batch=batch - 1, n_calls=0)
            while sent.n_calls < len(ids):
                if n_tries >= AT_MOST or monotonic_s() >= until:
                    return
                n_tries += 1
                sent = self._try(place, now, sent, batch, ids)
                if sent.next_at:
                    return
            sent = replace(sent, batch=batch, n_calls=0)
        self._keep(place, now, replace(sent, batch=last, n_calls=0))

    def _try(self, place: Workplace, now: datetime, sent: SpansSent, batch: int, ids: Sequence[str]) -> SpansSent:
        part = ids[sent.n_calls : sent.n_calls + _CALLS_A_TRY]
        spans = self._spans(place.stores.lake, batch, part)
        answer = self._sender.send(spans) if spans else Answer(200)
        moved = replace(sent, n_calls=sent.n_calls + len(part))
        after = after_try(sent, moved, len(spans), answer, self._clock.now())
        self._keep(place, now, after)
        return after

    def _keep(self, place: Workplace, now: datetime, sent: SpansSent) -> None:
        with place.transaction(now, self.cursor) as session:
            session.cursors.put(self.cursor, plain(sent))

    def _batches(self, lake: Lake, after: int, last: int) -> list[tuple[int, list[str]]]:
        """Batches that hold calls, with the calls' ids, both in order."""
        if lake.version(self._table) is None:
            return []
        rows = lake.read(self._table, columns=[self._id, "batch"], span=Span("batch", after + 1, last + 1))
        found = rows.unique().sort("batch", self._id).group_by("batch", maintain_order=True).agg(self._id)
        return [(batch, ids) for batch, ids in found.iter_rows()]

    def _spans(self, lake: Lake, batch: int, ids: Sequence[str]) -> list[SpanRecord]:
        return call_spans(*_rows(lake, batch, ids), self._peers)


class RunTelemetry(Telemetry):
    """Sends spans of runs that were drained, in the same way, with a cursor of its own.

    Args:
        sender: takes them out.
        timeout_s: a round tries no longer than this.
        clock: the machine's.
    """

    cursor = RUN_SPANS
    _table = RUNS
    _id = "run_id"

    def __init__(self, sender: SpanSender, *, timeout_s: float = 5.0, clock: Clock | None = None) -> None:
        super().__init__(sender, {}, timeout_s=timeout_s, clock=clock)

    def _spans(self, lake: Lake, batch: int, ids: Sequence[str]) -> list[SpanRecord]:
        return [span for told in read_unbodied(lake, batch, ids) for span in run_spans(told)]


def _rows(lake: Lake, batch: int, ids: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    span, wanted = Span("batch", batch, batch + 1), pl.col("call_id").is_in(list(ids))
    calls = lake.read(CALLS, span=span).filter(wanted).drop("request", "answer")
    calls = calls.sort("call_id", "recorded_at").unique("call_id", keep="last", maintain_order=True)
    parts = [_part(lake, table, span).filter(wanted).unique(["call_id", "place"]) for table in (ATTEMPTS, GUARDED)]
    return calls, parts[0], parts[1]


def _part(lake: Lake, table: str, span: Span) -> pl.DataFrame:
    if lake.version(table) is None:
        return pl.DataFrame(schema=GUARDED_SCHEMA)
    return lake.read(table, span=span)


__all__ = ["RUN_SPANS", "SPANS", "RunTelemetry", "SpanSender", "SpansSent", "Telemetry", "find_sent"]
