"""Counts requests and spend by the hour, reading only the rows of the lake that are new.

Called by `boards`. What was captured last may still miss rows of the hour before (workers write each their own segments), so the
newest hours are counted again whenever a table has grown, and those before are never read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

import polars as pl

from perdure.core.clock import from_us, to_us
from perdure.core.units import days
from perdure.core.usage import PICO
from perdure.loop.work.calls import read_calls
from perdure.loop.work.captured_calls import CALLS
from perdure.loop.work.outcomes import captures_table, read_captures
from perdure.serve.boundary import contained
from perdure.surface.console.board import Hour

if TYPE_CHECKING:
    from perdure.stores.lake.protocols import Lake

KEPT = days(90)
_HOUR_US = 3_600_000_000
_AGAIN_US = 2 * _HOUR_US
"""So much before the newest row is counted again."""
_TABLES_EVERY = 20
"""Looks after which tables that were not there are looked for."""
_NOBODYS = ("shadow", "probe")
_CAPTURES = captures_table("")
_FAILED = ("failed", "cut")


@dataclass(slots=True)
class _Counted:
    """One table, as far as it was read."""

    version: int = -1
    newest_us: int | None = None
    hours: dict[tuple[str, int], Hour] = field(default_factory=dict)


class Counting:
    """Requests of every model and route by the hour, of the newest 90 days of domain time.

    Args:
        lake: opened for this alone: a read holds the lake's lock, and must not hold up the loop's appends.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._tables: dict[str, _Counted] = {}
        self._looks = 0
        self.hours: Mapping[str, Sequence[Hour]] = {}
        """By the name of the model or route, oldest first."""
        self.problem = ""
        """Why a table, or the whole lake, could not be read the last time; its hours are as they were."""

    def look(self, now: datetime) -> bool:
        """Count what is new; True where anything was, or where something has begun or ceased to be wrong.

        Cost: 20 µs a table where nothing is. What is wrong with one table holds up no other.
        """
        before = self.problem
        wrong: list[Exception] = []

        def failed(error: Exception) -> bool:
            wrong.append(error)
            return False

        grown = contained(lambda: self._look(now, failed), failed)
        self.problem = f"Requests and spend are not counted anew. {wrong[0]}" if wrong else ""
        return grown or before != self.problem

    def _look(self, now: datetime, failed: Callable[[Exception], bool]) -> bool:
        if self._looks % _TABLES_EVERY == 0:
            for table in self._lake.tables():
                if table == CALLS or table.startswith(_CAPTURES):
                    self._tables.setdefault(table, _Counted())
        self._looks += 1
        told = [contained(partial(self._grown, name, of, now), failed) for name, of in self._tables.items()]
        grown = any(told)
        if grown:
            self.hours = self._by_name(to_us(now - KEPT))
        return grown

    def _grown(self, table: str, counted: _Counted, now: datetime) -> bool:
        version = self._lake.version(table)
        if version is None or version == counted.version:
            return False
        first_us = to_us(now - KEPT) if counted.newest_us is None else counted.newest_us - _AGAIN_US
        first_us -= first_us % _HOUR_US
        found = list(_calls(self._lake, first_us) if table == CALLS else _captures(self._lake, table, first_us))
        counted.hours = {key: hour for key, hour in counted.hours.items() if hour.at_us < first_us}
        counted.hours |= {(hour.name, hour.at_us): hour for hour in found}
        counted.version = version
        counted.newest_us = max((hour.at_us for hour in counted.hours.values()), default=None)
        return True

    def _by_name(self, from_us: int) -> dict[str, Sequence[Hour]]:
        found: dict[str, list[Hour]] = {}
        for counted in self._tables.values():
            for hour in counted.hours.values():
                if hour.at_us >= from_us:
                    found.setdefault(hour.name, []).append(hour)
        return {name: sorted(hours, key=lambda each: each.at_us) for name, hours in sorted(found.items())}


def _captures(lake: Lake, table: str, first_us: int) -> Iterator[Hour]:
    model = table.removeprefix(_CAPTURES)
    rows = read_captures(lake, model, from_us(first_us), None, []).with_columns(
        name=pl.lit(model), failed=pl.lit(value=False), cost=pl.lit(0), counts=pl.lit(value=True)
    )
    yield from _hours("model", rows)


def _calls(lake: Lake, first_us: int) -> Iterator[Hour]:
    rows = read_calls(lake, None, from_us(first_us), None, ["route", "arm", "outcome", "cost_pusd"]).with_columns(
        name=pl.col("route"),
        failed=pl.col("outcome").is_in(_FAILED),
        cost=pl.col("cost_pusd").fill_null(0),
        counts=~pl.col("arm").is_in(_NOBODYS),
    )
    yield from _hours("route", rows)


def _hours(kind: Literal["model", "route"], rows: pl.DataFrame) -> Iterator[Hour]:
    if rows.is_empty():
        return
    hour = pl.col("served_at").dt.truncate("1h").dt.epoch("us")
    told = rows.group_by("name", hour.alias("at_us")).agg(
        n=pl.col("counts").sum(), n_failed=(pl.col("failed") & pl.col("counts")).sum(), cost=pl.col("cost").sum()
    )
    for name, at_us, n, n_failed, cost in told.sort("name", "at_us").iter_rows():
        yield Hour(at_us, kind, name, n, n_failed, cost / PICO)


def summed(
    hours: Mapping[str, Sequence[Hour]], since: datetime, until: datetime, each: timedelta = timedelta(hours=1)
) -> list[tuple[int, int, int, float]]:
    """All models and routes together: (first instant, requests, failed, US dollars) of each stretch, those without any too.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    >>> hours = {"a": [Hour(to_us(at), "model", "a", 3, 0, 0.0)], "b": [Hour(to_us(at), "route", "b", 2, 1, 0.5)]}
    >>> [row[1:] for row in summed(hours, at, at + timedelta(hours=2))]
    [(5, 1, 0.5), (0, 0, 0.0)]
    """
    step_us = each // timedelta(microseconds=1)
    first_us = to_us(since) - to_us(since) % step_us
    n_stretches = max(0, -(-(to_us(until) - first_us) // step_us))
    n, failed, cost = [0] * n_stretches, [0] * n_stretches, [0.0] * n_stretches
    for told in hours.values():
        for hour in reversed(told):
            place = (hour.at_us - first_us) // step_us
            if place < 0:
                break
            if place < n_stretches:
                n[place] += hour.n
                failed[place] += hour.n_failed
                cost[place] += hour.cost_usd
    starts = [first_us + place * step_us for place in range(n_stretches)]
    return list(zip(starts, n, failed, cost, strict=True))
