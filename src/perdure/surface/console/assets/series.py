"""Readings of one signal as a picture: values with their interval, the bound, an earlier window beside it, what happened as marks.

The only module of the area that reads series of readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.clock import to_us
from perdure.stores.telemetry.protocols import Buckets, Wanted
from perdure.surface.console.asking import address
from perdure.surface.console.assets.known import Known
from perdure.surface.console.records import Asked, Mark, Picture, Series
from perdure.surface.console.thinning import MOST
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.assets.version import PointerMove
    from perdure.stores.ledger.protocols import Incident

_US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of domain time."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Told:
    """Which readings are wanted, and what is drawn with them."""

    signal: str
    slice: str
    width_us: int
    unit: str
    bound: float | None
    objective: str
    """In words; empty where no objective is of it."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What happened to an asset, newest first."""

    incidents: Sequence[Incident]
    moves: Sequence[PointerMove]


def happened(asked: Asked, known: Known) -> Happened:
    """Its incidents and the moves of its pointers."""
    with asked.project.place.stores.ledger.read() as session:
        incidents = session.incidents.list(asset=known.name)
        moves = session.pointers.history(known.name) if known.pointers else []
    return Happened(incidents[::-1], moves[::-1])


def marks_of(what: Happened, known: Known, window: Span) -> tuple[Mark, ...]:
    """Incidents as stretches and the champion's moves, within a window, oldest first."""
    found = [*_incidents(what.incidents, window), *_moves(what.moves, known, window)]
    return tuple(sorted(found, key=lambda mark: mark.at_us))


def _incidents(incidents: Sequence[Incident], window: Span) -> Iterator[Mark]:
    for each in incidents:
        end = each.closed_at or window.end
        if each.opened_at <= window.end and end >= window.start:
            words = each.kind.replace("_", " ")
            href = address("/incidents", each.id)
            yield Mark(f"Incident: {words}", to_us(each.opened_at), to_us(end), "bad", href, "incident")


def _moves(moves: Sequence[PointerMove], known: Known, window: Span) -> Iterator[Mark]:
    for move in moves:
        if move.name == CHAMPION and move.version and window.start <= move.at <= window.end:
            back = went_back(move)
            href = known.at("versions", move.version)
            words = f"{'Back to' if back else 'Release of'} {move.version} by {move.actor}: {move.reason}"
            yield Mark(words, to_us(move.at), None, "warn" if back else "info", href, "back" if back else "release")


def went_back(move: PointerMove) -> bool:
    """Whether a move of the champion was a way back."""
    return move.facts.get("stage") in ("rollback", "back")


def picture_of(
    asked: Asked, known: Known, told: Told, window: Span, *, against: Span | None = None, marks: Sequence[Mark] = ()
) -> Picture:
    """The chart of one signal over a window; with `against`, that window's means as a second line, laid on the first by place."""
    present = _read(asked, known, told, window)
    rows = _rows(present)
    at_us = tuple(row.at_us for row in rows)
    name = f"{told.signal} {told.slice}".strip()
    series = [Series(name, tuple(row.value for row in rows), *_band(rows))] if rows else []
    if against is not None and rows:
        shift = to_us(window.start) - to_us(against.start)
        earlier = [(row.at_us + shift, row.value) for row in _rows(_read(asked, known, told, against))]
        series.append(Series(f"from {instant(against.start)[:10]}", _laid(earlier, at_us)))
    return Picture(
        id="picture",
        title=name,
        unit=told.unit,
        at_us=at_us,
        series=tuple(series),
        bound=told.bound,
        bound_text=told.objective,
        marks=tuple(marks),
        n_whole=present.n_whole,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    at_us: int
    value: float | None
    low: float | None
    high: float | None
    n: int


def _read(asked: Asked, known: Known, told: Told, window: Span) -> Buckets:
    wanted = Wanted(known.name, told.signal, told.slice, told.width_us)
    readings = asked.project.place.stores.readings
    return readings.series(wanted, since=window.start, until=window.end + _US, n_buckets=MOST)


def _rows(found: Buckets) -> list[_Row]:
    """One an instant: of versions that were measured at the same one, that with most rows."""
    held: dict[int, _Row] = {}
    thinned = found.n_whole > len(found.at_us)
    for k, at_us in enumerate(found.at_us):
        low = found.least[k] if thinned and found.low[k] is None else found.low[k]
        high = found.most[k] if thinned and found.high[k] is None else found.high[k]
        row = _Row(at_us, found.value[k], low, high, found.n[k])
        if at_us not in held or held[at_us].n < row.n:
            held[at_us] = row
    return [held[at_us] for at_us in sorted(held)]


def _band(rows: Sequence[_Row]) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Lows and highs; none where no reading has an interval."""
    if all(row.low is None for row in rows):
        return (), ()
    return tuple(row.low for row in rows), tuple(row.high for row in rows)


def _laid(earlier: Sequence[tuple[int, float | None]], at_us: Sequence[int]) -> tuple[float | None, ...]:
    """Of each instant the earlier window's value nearest before it; None where it has none by then."""
    values: list[float | None] = []
    place, value = 0, None
    for at in at_us:
        while place < len(earlier) and earlier[place][0] <= at:
            value = earlier[place][1]
            place += 1
        values.append(value)
    return tuple(values)
