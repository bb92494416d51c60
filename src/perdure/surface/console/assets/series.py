"""Readings of one signal as a picture: values with their interval, the bound, an earlier window beside it, what happened as marks.

The only module of the area that reads series of readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.clock import from_us, to_us
from perdure.surface.console.asking import address
from perdure.surface.console.assets.known import Known
from perdure.surface.console.records import Asked, Mark, Picture, Series
from perdure.surface.console.thinning import MOST
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.assets.health import Reading
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
        incidents = [each for each in session.incidents.list() if each.asset == known.name]
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
            back = move.facts.get("stage") in ("rollback", "back")
            href = known.at("versions", move.version)
            words = f"{'Back to' if back else 'Release of'} {move.version} by {move.actor}: {move.reason}"
            yield Mark(words, to_us(move.at), None, "warn" if back else "info", href, "back" if back else "release")


def picture_of(
    asked: Asked, known: Known, told: Told, window: Span, *, against: Span | None = None, marks: Sequence[Mark] = ()
) -> Picture:
    """The chart of one signal over a window; with `against`, that window's means as a second line, laid on the first by its place in it."""
    present = _buckets(_read(asked, known, told, window), window)
    at_us = tuple(at for at, *_ in present)
    name = f"{told.signal} {told.slice}".strip()
    series = [Series(name, *(tuple(part) for part in list(zip(*present, strict=True))[1:4]))] if present else []
    n_whole = sum(row[4] for row in present)
    if against is not None and present:
        earlier = _buckets(_read(asked, known, told, against), against)
        shift = to_us(window.start) - to_us(against.start)
        series.append(
            Series(f"from {instant(against.start)[:10]}", _laid([(row[0] + shift, row[1]) for row in earlier], at_us))
        )
    return Picture(
        id="picture",
        title=name,
        unit=told.unit,
        at_us=at_us,
        series=tuple(series),
        bound=told.bound,
        bound_text=told.objective,
        marks=tuple(marks),
        n_whole=n_whole,
    )


Row = tuple[int, float | None, float | None, float | None, int]
"""Instant, value, low, high, readings."""


def _read(asked: Asked, known: Known, told: Told, window: Span) -> list[Reading]:
    found = asked.project.place.stores.readings.list(known.name, told.signal, since=window.start)
    width = told.width_us * _US
    return [
        each
        for each in found
        if each.slice == told.slice and each.window_end - each.window_start == width and each.at <= window.end
    ]


def _buckets(readings: Sequence[Reading], window: Span) -> list[Row]:
    """At most `MOST` rows, in order of time: means of values, and the widest interval of each bucket."""
    start, length = to_us(window.start), max(window.length // _US, 1)
    held: dict[int, list[Reading]] = {}
    for each in readings:
        key = to_us(each.at) if len(readings) <= MOST else (to_us(each.at) - start) * MOST // length
        held.setdefault(key, []).append(each)
    return [_bucket(held[key]) for key in sorted(held)]


def _bucket(readings: Sequence[Reading]) -> Row:
    values = [each.value for each in readings if each.value is not None]
    return (
        to_us(readings[len(readings) // 2].at),
        sum(values) / len(values) if values else None,
        min((each.low for each in readings if each.low is not None), default=None),
        max((each.high for each in readings if each.high is not None), default=None),
        len(readings),
    )


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


def span_around(end: datetime, length: timedelta) -> Span:
    """The window of that length that ends at an instant."""
    return Span(end - length, end)


def instant_us(at_us: int) -> str:
    """Microseconds as people read an instant."""
    return instant(from_us(at_us))
