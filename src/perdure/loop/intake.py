"""Intake, the first step of a round: rows of sources move to the lake, newest features go online.

A row enters the lake once, by its content: what a batch brought is recorded before it is appended,
and appended under a number that the table remembers, so a crash between any two steps changes
nothing. A row that turns up after its declared `available_at` had passed is given the instant at
which it really became known, so that no join of the past ever sees it.

`Materialiser` keeps no durable cursor: writing an online row again has no effect, and after a
restart the newest row of each key is found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import polars as pl

from perdure.assets.source import Source
from perdure.core.clock import machine_now, parse_at
from perdure.loop.protocols import Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT, INSTANT, Feeds, JudgedRows
from perdure.stores.lake.protocols import AppTransaction
from perdure.stores.ledger.protocols import Lease
from perdure.stores.online.protocols import OnlineRow


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one source brought in one round."""

    source: str
    n_rows: int
    n_quarantined: int
    n_late: int
    """Rows that turned up after their declared `available_at` had been taken in."""


def table_of(source: str) -> str:
    """The lake table of a source's rows."""
    return f"sources/{source}"


class Intake:
    """Moves the rows of sources to the lake."""

    def __init__(self, place: Workplace, feeds: Feeds) -> None:
        self._place = place
        self._feeds = feeds

    def due(self, source: Source, now: datetime) -> bool:
        """True when `source.every` has passed since the last time, or a batch was left unfinished."""
        cursor = self._cursor(source)
        if cursor is None or cursor["intent"] is not None:
            return True
        return now - parse_at(cursor["until"]) >= source.every

    def ingest(self, source: Source, now: datetime, lease: Lease | None = None) -> Ingested:
        """Take in what became available until `now` (domain time); nothing twice.

        Raises:
            BadSource: the source cannot be read; nothing was changed.
        """
        cursor = self._cursor(source) or {"until": None, "batch": 0, "n_seen": 0, "intent": None}
        if cursor["intent"] is not None:
            cursor = self._take(source, cursor, lease)[0]
        rows = self._feeds.rows(source)
        since = parse_at(cursor["until"]) if cursor["until"] else None
        seen_again = rows.count_until(since) if since else 0
        intent = {"until": now.isoformat(), "late": seen_again > cursor["n_seen"]}
        fresh = rows.between(since, now).n_rows
        if not fresh and not intent["late"]:
            self._put_cursor(source, {**cursor, "until": intent["until"]}, lease)
            return Ingested(source.name, 0, 0, 0)
        cursor = {**cursor, "intent": intent}
        self._put_cursor(source, cursor, lease)
        return self._take(source, cursor, lease)[1]

    def _take(self, source: Source, cursor: dict[str, Any], lease: Lease | None) -> tuple[dict[str, Any], Ingested]:
        """Do what the recorded intent says, and mark it done."""
        rows, intent = self._feeds.rows(source), cursor["intent"]
        since, until = (parse_at(cursor["until"]) if cursor["until"] else None), parse_at(intent["until"])
        batch = rows.between(since, until)
        late = self._late(source, rows, since, until) if intent["late"] and since else None
        good = batch.good if late is None else pl.concat([batch.good, late.good])
        bad = batch.bad if late is None else pl.concat([batch.bad, late.bad])
        number = cursor["batch"] + 1
        lake = self._place.stores.lake
        if good.height:
            frame = good.with_columns(_batch=pl.lit(number, pl.Int64))
            lake.append(table_of(source.name), frame, transaction=AppTransaction("intake", number))
        if bad.height:
            lake.append(
                "quarantine",
                _quarantined(f"source:{source.name}", bad, until, number),
                transaction=AppTransaction(f"intake:{source.name}", number),
            )
        done = {"until": intent["until"], "batch": number, "n_seen": rows.count_until(until), "intent": None}
        self._put_cursor(source, done, lease)
        n_late = late.n_rows if late is not None else 0
        return done, Ingested(source.name, good.height, bad.height, n_late)

    def _late(self, source: Source, rows: JudgedRows, since: datetime, until: datetime) -> JudgedRows:
        """Rows of the past that the lake does not have, marked as known from `until` on."""
        lake, past = self._place.stores.lake, rows.between(None, since)
        columns = list(source.contract.model_fields)
        now = pl.lit(until).cast(INSTANT).alias(AVAILABLE_AT)
        good = past.good
        if lake.version(table_of(source.name)) is not None:
            known = lake.read(table_of(source.name), columns=columns)
            good = good.join(known, on=columns, how="anti", nulls_equal=True)
        bad = past.bad
        if lake.version("quarantine") is not None:
            known = lake.read("quarantine", columns=["origin", "row"])
            known = known.filter(pl.col("origin") == f"source:{source.name}").select("row")
            bad = bad.join(known, on="row", how="anti")
        return JudgedRows(good.with_columns(now), bad.with_columns(now))

    def _cursor(self, source: Source) -> dict[str, Any] | None:
        with self._place.stores.ledger.read() as session:
            cursor: dict[str, Any] | None = session.cursors.get(f"intake/{source.name}")
        return cursor

    def _put_cursor(self, source: Source, cursor: dict[str, Any], lease: Lease | None) -> None:
        at = parse_at(cursor["until"]) if cursor["until"] else parse_at(cursor["intent"]["until"])
        ledger = self._place.stores.ledger
        with ledger.transaction(actor=self._place.actor, at=at, reason="intake", lease=lease) as session:
            session.cursors.put(f"intake/{source.name}", cursor)


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
    def key(self) -> str: ...
    @property
    def values(self) -> tuple[Any, ...]: ...
    @property
    def event_us(self) -> int: ...
    @property
    def available_us(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class OnlineView:
    """A stored view that is kept online: its version, its source, and how its rows are computed."""

    id: str
    source: Source
    compute: Callable[[pl.DataFrame], Sequence[MaterialisedRow]]


class Materialiser:
    """Keeps the online rows of every stored view as new as what is known at an instant."""

    def __init__(self, place: Workplace, feeds: Feeds) -> None:
        self._place = place
        self._feeds = feeds
        self._done: dict[str, tuple[datetime, int]] = {}

    def run(self, views: Iterable[OnlineView], now: datetime) -> int:
        """Write what became available until `now`; returns the number of rows written.

        Cost: the rows that are new since the last call; after a restart, one pass over each source.
        """
        n_rows = 0
        for view in views:
            rows = self._feeds.rows(view.source)
            fresh = rows.between(self._since(view.id, rows), now).good
            if fresh.height:
                computed = view.compute(fresh.sort(EVENT_AT, AVAILABLE_AT, maintain_order=True))
                online = [OnlineRow(row.key, row.values, row.event_us, row.available_us) for row in computed]
                n_rows += self._place.stores.online.put(view.id, online)
            self._done[view.id] = (now, rows.count_until(now))
        return n_rows

    def _since(self, view: str, rows: JudgedRows) -> datetime | None:
        """Where to go on from; the beginning when rows of the past turned up late."""
        if view not in self._done:
            return None
        done, n_seen = self._done[view]
        return done if rows.count_until(done) == n_seen else None
