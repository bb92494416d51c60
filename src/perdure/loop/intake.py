"""Intake, the first step of a round: rows of sources move to the lake, newest features go online.

A row enters the lake once, by its content: what a batch brings is recorded before it is appended,
and appended under a number that the table remembers, so a crash between any two steps changes
nothing. A row of the past that turns up late, or was changed, is given the instant at which it was
found, so that no join of the past ever sees it. Rows that a source does not have any more stay in
the lake: what was known is not forgotten.

`Materialiser` takes rows from the source up to now, and those of the past only as the lake has them:
online and offline agree on when a late row became known. It keeps no durable cursor: writing an
online row again has no effect, and after a restart the newest row of each key is found anew. Rows in
quarantine are left out at every call; what they had become online is replaced by the last good row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import polars as pl

from perdure.assets.source import Source
from perdure.core.canonical import plain
from perdure.core.clock import machine_now
from perdure.core.errors import NotFound
from perdure.loop.failures import Failures
from perdure.loop.protocols import Workplace
from perdure.loop.work.feed import (
    AVAILABLE_AT,
    EVENT_AT,
    INSTANT,
    Feeds,
    JudgedRows,
    declared_available_at,
    known_span,
)
from perdure.loop.work.kept import KeptRows
from perdure.loop.work.ranges import Ranges, all_ranges, outside, record_applied
from perdure.loop.work.taken import CURSOR, Begun, Taken, known_until, read_taken
from perdure.stores.lake.protocols import AppTransaction, Lake
from perdure.stores.ledger.protocols import Lease
from perdure.stores.online.protocols import OnlineRow


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one source brought in one round."""

    source: str
    n_rows: int
    n_quarantined: int
    n_late: int
    """Of them rows that turned up, or were changed, after their declared `available_at` had been taken in."""

    def plus(self, other: Ingested) -> Ingested:
        """Both together; of one source."""
        return Ingested(
            self.source,
            self.n_rows + other.n_rows,
            self.n_quarantined + other.n_quarantined,
            self.n_late + other.n_late,
        )


def table_of(source: str) -> str:
    """The lake table of a source's rows."""
    return f"sources/{source}"


class Intake:
    """Moves the rows of sources to the lake."""

    def __init__(self, place: Workplace, feeds: Feeds) -> None:
        self._place = place
        self._feeds = feeds
        self._looked_at: set[str] = set()

    def due(self, source: Source, now: datetime, *, online: bool = False) -> bool:
        """True when `source.every` has passed since the last time, or a batch was left unfinished.

        Args:
            source: whose rows may be due.
            now: domain time.
            online: its rows are brought online whatever `every` says. It is looked at: late rows are due at
                once, so that no join of the past sees them after a crash either; and where there is nothing
                new, saying so costs nothing.

        Raises:
            BadSource: it was looked at, and cannot be read.
        """
        cursor = self._cursor(source)
        if cursor.until is None or cursor.intent is not None or now - cursor.until >= source.every:
            return True
        if online and now > cursor.until:
            rows, is_first = self._feeds.rows(source, now), source.name not in self._looked_at
            self._looked_at.add(source.name)
            # Later on the feed itself remembers what it showed: a file that only forgets rows is not due.
            if not rows.between(cursor.until, now).n_rows or (
                is_first and rows.fingerprint_until(cursor.until) != cursor.seen
            ):
                return True
        late_at = self._feeds.late_at(source)
        return late_at is not None and late_at >= cursor.until

    def known_until(self, source: Source) -> datetime | None:
        """The instant up to which the lake has the source's rows; None before the first time."""
        return known_until(self._place.stores.ledger, source.name)

    def late_batches(self) -> dict[str, int]:
        """How many batches of each source brought late rows; one look at the ledger."""
        with self._place.stores.ledger.read() as session:
            cursors = session.cursors.list(CURSOR)
        return {name.removeprefix(CURSOR): cursor["n_late"] for name, cursor in cursors.items()}

    def ingest(self, source: Source, now: datetime, lease: Lease | None = None) -> Ingested:
        """Take in what became available until `now` (domain time); nothing twice, nothing for a `now` of the past.

        Raises:
            BadSource: the source cannot be read; nothing was changed.
            LostLease: another worker took over, and finishes what this one began.
        """
        rows, cursor, before = self._feeds.rows(source, now), self._cursor(source), Ingested(source.name, 0, 0, 0)
        if cursor.intent is not None:
            cursor, before = self._take(source, rows, cursor, cursor.intent, lease)
        if cursor.until is not None and now < cursor.until:
            return before
        intent = self._intend(source, rows, cursor, now)
        if intent.batch == cursor.batch:
            self._put_cursor(source, replace(cursor, until=now, seen=intent.seen), now, lease)
            return before
        self._put_cursor(source, replace(cursor, intent=intent), now, lease)
        return before.plus(self._take(source, rows, cursor, intent, lease)[1])

    def _intend(self, source: Source, rows: JudgedRows, cursor: Taken, now: datetime) -> Begun:
        """The next batch; its number is the last one's when nothing is new."""
        batch, lake = cursor.batch, self._place.stores.lake
        if cursor.until is None:
            # A table without a cursor: the ledger is younger than the lake.
            late = lake.version(table_of(source.name)) is not None
        else:
            late = rows.fingerprint_until(cursor.until) != cursor.seen
        if late or rows.between(cursor.until, now).n_rows:
            batch = 1 + max(batch, *(lake.last_transaction(table, app) or 0 for table, app in _appends(source)))
        return Begun(now, batch, rows.fingerprint_until(now), late)

    def _take(
        self, source: Source, rows: JudgedRows, cursor: Taken, intent: Begun, lease: Lease | None
    ) -> tuple[Taken, Ingested]:
        """Do what the recorded intent says, and mark it done."""
        late = JudgedRows(pl.DataFrame(), pl.DataFrame())
        fresh = rows.between(cursor.until, intent.until)
        if intent.late and cursor.until is None:
            fresh = self._unknown(source, fresh)
        elif intent.late and cursor.until is not None:
            past = rows.between(None, cursor.until)
            late = self._unknown(source, past, taken_back=True).known_from(intent.until)
        n_late = late.n_rows + _n_found_late(source, fresh.good)
        good, bad = (pl.concat(part, how="diagonal") for part in ((fresh.good, late.good), (fresh.bad, late.bad)))
        self._append(source, intent, good, bad)
        done = Taken(intent.until, intent.batch, intent.seen, cursor.n_late + int(n_late > 0))
        self._put_cursor(source, done, intent.until, lease)
        return done, Ingested(source.name, good.height, bad.height, n_late)

    def _append(self, source: Source, intent: Begun, good: pl.DataFrame, bad: pl.DataFrame) -> None:
        (table, app), (quarantine, quarantine_app) = _appends(source)
        lake = self._place.stores.lake
        if good.height:
            frame = good.with_columns(_batch=pl.lit(intent.batch, pl.Int64))
            lake.append(table, frame, transaction=AppTransaction(app, intent.batch))
        if bad.height:
            frame = _quarantined(_origin(source), bad, intent.until, intent.batch)
            lake.append(quarantine, frame, transaction=AppTransaction(quarantine_app, intent.batch))

    def _unknown(self, source: Source, rows: JudgedRows, *, taken_back: bool = False) -> JudgedRows:
        """Those of the rows that the lake does not have, compared by the fields that it keeps."""
        lake, good, bad = self._place.stores.lake, rows.good, rows.bad
        kept = kept_rows(lake, source, good)
        if kept is not None:
            good = pl.concat([kept.lacks(good), kept.taken_back(good)] if taken_back else [kept.lacks(good)])
        if lake.version("quarantine") is not None and bad.height:
            known = lake.read("quarantine", columns=["origin", "row"])
            bad = bad.join(known.filter(pl.col("origin") == _origin(source)), on="row", how="anti")
        return JudgedRows(good, bad)

    def _cursor(self, source: Source) -> Taken:
        return read_taken(self._place.stores.ledger, source.name)

    def _put_cursor(self, source: Source, cursor: Taken, at: datetime, lease: Lease | None) -> None:
        ledger = self._place.stores.ledger
        with ledger.transaction(actor=self._place.actor, at=at, reason="intake", lease=lease) as session:
            session.cursors.put(CURSOR + source.name, plain(cursor))


def kept_rows(lake: Lake, source: Source, like: pl.DataFrame) -> KeptRows | None:
    """What the lake has of a source, to compare rows with; None where it has no table."""
    table = table_of(source.name)
    return None if lake.version(table) is None else KeptRows(source, lake.read(table), like)


def _n_found_late(source: Source, good: pl.DataFrame) -> int:
    """Rows that do not count from the instant that they declare."""
    return good.filter(pl.col(AVAILABLE_AT) != declared_available_at(source)).height


def _origin(source: Source) -> str:
    return f"source:{source.name}"


def _appends(source: Source) -> tuple[tuple[str, str], tuple[str, str]]:
    """Where good and bad rows go: table and name of the application transactions."""
    return (table_of(source.name), "intake"), ("quarantine", f"intake:{source.name}")


def _quarantined(origin: str, bad: pl.DataFrame, at: datetime, batch: int) -> pl.DataFrame:
    return bad.select(
        origin=pl.lit(origin),
        at=pl.col(AVAILABLE_AT).fill_null(pl.lit(at).cast(INSTANT)),
        recorded_at=pl.lit(machine_now()).cast(INSTANT),
        row="row",
        errors="errors",
        batch=pl.lit(batch, pl.Int64),
    )


class MaterialisedRow(Protocol):
    """A row for the online store as the features engine makes it."""

    @property
    def key(self) -> str:
        """Value of the view's key."""
        ...

    @property
    def values(self) -> tuple[Any, ...]:
        """Features in the order of the view."""
        ...

    @property
    def event_us(self) -> int:
        """What the row is about."""
        ...

    @property
    def available_us(self) -> int:
        """From when it could be known."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class OnlineView:
    """A stored view that is kept online: its version, its source, and how its rows are computed."""

    id: str
    source: Source
    compute: Callable[[pl.DataFrame], Sequence[MaterialisedRow]]


@dataclass(frozen=True, slots=True)
class LostView:
    """A stored view that a released version pins and whose source is not declared any more."""

    id: str
    source: str

    def error(self) -> NotFound:
        """What is told of it in every round, until the source is declared again or the version is replaced."""
        return NotFound(
            f"View {self.id} of a released version reads source {self.source!r}, which is not declared any more: "
            "its online rows stay as they are.",
            hint="Declare the source again, or release a version that does without it.",
        )


class Materialiser:
    """Keeps the online rows of every stored view as new as what is known at an instant, without quarantined rows."""

    def __init__(self, place: Workplace, feeds: Feeds, intake: Intake) -> None:
        self._place = place
        self._feeds = feeds
        self._intake = intake
        self._done: dict[str, datetime] = {}
        self._late: dict[str, int] = {}
        self._followed: dict[str, int] = {}
        """The revision of its source's quarantine that each view follows."""

    def run(
        self,
        views: Iterable[OnlineView | LostView],
        now: datetime,
        *,
        failures: Failures | None = None,
        lease: Lease | None = None,
    ) -> int:
        """Write what became available until `now`; returns the number of rows written.

        A view that cannot be computed, or has lost its source, stops no other. Where a source's quarantine has
        changed, each key gets its newest usable row, or none, and then the ledger notes that the online
        rows follow: a crash between the two is healed by the next call. Cost: the rows that are new since the last
        call; after a restart or such a change, one pass over each source's table.

        Raises:
            Exception: the first failure, once every other view is done; kept instead where
                `failures` are given.
        """
        kept, n_rows = Failures() if failures is None else failures, 0
        quarantine, behind = all_ranges(self._place.stores.ledger), set[str]()
        for view in views:
            name = view.source if isinstance(view, LostView) else view.source.name
            behind.add(name)
            with kept.kept():
                if isinstance(view, LostView):
                    raise view.error()
                n_rows += self._bring(view, now, quarantine.get(name, Ranges()), lease)
                behind.discard(name)
        self._note(quarantine, behind, now, lease)
        if failures is None:
            kept.raise_first()
        return n_rows

    def take_late(self, views: Iterable[OnlineView | LostView]) -> None:
        """Begin anew where intake took late rows, here or in another process, since the last call."""
        late = self._intake.late_batches()
        for view in views:
            if isinstance(view, OnlineView) and late.get(view.source.name, 0) != self._late.get(view.source.name, 0):
                self._done.pop(view.id, None)
        self._late = late

    def _bring(self, view: OnlineView, now: datetime, quarantine: Ranges, lease: Lease | None) -> int:
        follows = self._followed.get(view.id, quarantine.applied) == quarantine.revision
        done, feed, n_rows = self._done.get(view.id) if follows else None, self._feeds.rows(view.source, now), 0
        known = self._intake.known_until(view.source) if done is None else done
        known = known if known is None or done is not None else min(known, now)
        fresh = feed.between(known, now).good
        if done is None:
            kept = outside(self._kept_rows(view.source, feed, now), quarantine.ranges)
            if not follows:
                kept = pl.concat([kept, outside(fresh, quarantine.ranges)], how="diagonal_relaxed")
                n_rows += self._replace(view, kept, lease)
            else:
                n_rows += self._put(view, kept, lease)
        if follows:
            n_rows += self._put(view, outside(fresh, quarantine.ranges), lease)
        self._done[view.id] = now if known is None else max(known, now)
        self._followed[view.id] = quarantine.revision
        return n_rows

    def _note(
        self, quarantine: Mapping[str, Ranges], behind: Collection[str], now: datetime, lease: Lease | None
    ) -> None:
        """Tell the ledger which sources' online rows follow their quarantine now."""
        place = self._place if lease is None else self._place.under(lease)
        for name, ranges in quarantine.items():
            if ranges.applied != ranges.revision and name not in behind:
                record_applied(place, name, ranges.revision, now)

    def _kept_rows(self, source: Source, feed: JudgedRows, now: datetime) -> pl.DataFrame:
        """What the lake knows of the source at `now`, in the columns of its contract."""
        lake, like = self._place.stores.lake, feed.good.clear()
        if lake.version(table_of(source.name)) is None:
            return like
        kept = lake.read(table_of(source.name), span=known_span(AVAILABLE_AT, None, now))
        return pl.concat([like, kept.select(n for n in like.columns if n in kept.columns)], how="diagonal_relaxed")

    def _put(self, view: OnlineView, rows: pl.DataFrame, lease: Lease | None) -> int:
        if not rows.height:
            return 0
        return self._place.stores.online.put(view.id, _computed(view, rows), epoch=_epoch(lease))

    def _replace(self, view: OnlineView, rows: pl.DataFrame, lease: Lease | None) -> int:
        computed = _computed(view, rows) if rows.height else []
        return self._place.stores.online.replace(view.id, computed, epoch=_epoch(lease))


def _computed(view: OnlineView, rows: pl.DataFrame) -> list[OnlineRow]:
    computed = view.compute(rows.sort(EVENT_AT, AVAILABLE_AT, maintain_order=True))
    return [OnlineRow(row.key, row.values, row.event_us, row.available_us) for row in computed]


def _epoch(lease: Lease | None) -> int:
    return 0 if lease is None else lease.epoch
