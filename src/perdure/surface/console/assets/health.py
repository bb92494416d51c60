"""What healthy means for an asset, and one signal over time: a window to zoom into, and an earlier one beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.core.clock import iso
from perdure.core.errors import BadRequest
from perdure.surface.console.asking import instant, text, whole, whole_minute
from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of
from perdure.surface.console.assets.readings import measured_table, objectives, told_of, width_words
from perdure.surface.console.assets.series import Span, Told, happened, marks_of, picture_of
from perdure.surface.console.records import Asked, Picture, Table, View

_USUAL = timedelta(days=90)
_LENGTHS = (("1 day", 1), ("1 week", 7), ("30 days", 30), ("90 days", 90), ("1 year", 366))
_BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A window of a usual length that ends now."""

    words: str
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Window:
    """What the chart is asked for; a form gives it again."""

    signal: str
    slice: str
    width_us: int
    width: str
    start: str
    end: str
    against: str
    """Start of the window beside it; empty for none."""
    action: str
    shortcuts: tuple[Shortcut, ...]
    beside: str
    """Address with the window before beside it, or without one."""
    beside_words: str


@dataclass(frozen=True, slots=True)
class Health:
    """The page."""

    head: Head
    objectives: Table
    window: Window | None
    picture: Picture | None
    readings: Table


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/health?signal=&slice=&width=&from=&to=&against=`.

    `against` is where an earlier window of the same length begins, or `before`: the window just before this one.
    """
    known = asset_of(asked)
    query = asked.query
    signal, part = text(query, "signal", most=200), text(query, "slice", most=300)
    told = told_of(asked, known, signal, part, whole(query, "width", 0, most=10**16))
    window = _window(asked)
    against = _against(asked, window)
    picture = None
    if told is not None:
        marks = marks_of(happened(asked, known), known, window)
        picture = picture_of(asked, known, told, window, against=against, marks=marks)
    data = Health(
        head=head_of(asked, known, "health"),
        objectives=objectives(asked, known),
        window=None if told is None else _told(asked, known, told, window, against),
        picture=picture,
        readings=measured_table(asked, known),
    )
    return page_of(known, data, "health")


def _window(asked: Asked) -> Span:
    end = instant(asked.query, "to", whole_minute(asked.board.at))
    start = instant(asked.query, "from", end - _USUAL)
    if start >= end:
        raise BadRequest("The window ends before it begins.", hint="Give `from` before `to`.")
    return Span(start, end)


def _against(asked: Asked, window: Span) -> Span | None:
    said = asked.query.get("against", "")
    if not said:
        return None
    start = window.start - window.length if said == _BEFORE else instant(asked.query, "against", window.start)
    return Span(start, start + window.length)


def _told(asked: Asked, known: Known, told: Told, window: Span, against: Span | None) -> Window:
    def at(start: datetime, end: datetime, beside: str) -> str:
        same = {"signal": told.signal, "slice": told.slice, "width": told.width_us}
        return known.at("health", **same, **{"from": iso(start), "to": iso(end), "against": beside})

    now = asked.board.at
    present = "" if against is None else iso(against.start)
    return Window(
        signal=told.signal,
        slice=told.slice,
        width_us=told.width_us,
        width=width_words(told.width_us),
        start=iso(window.start),
        end=iso(window.end),
        against=present,
        action=known.at("health"),
        shortcuts=tuple(
            Shortcut(
                words,
                at(now - timedelta(days=n), now, _BEFORE if against else ""),
                window.end == now and window.length == timedelta(days=n),
            )
            for words, n in _LENGTHS
        ),
        beside=at(window.start, window.end, "" if against else _BEFORE),
        beside_words="Without the earlier window" if against else f"Beside the {_days(window.length)} before",
    )


def _days(length: timedelta) -> str:
    """A length as people say it.

    >>> _days(timedelta(days=7)), _days(timedelta(hours=6))
    ('7 days', '6 hours')
    """
    if length >= timedelta(days=2):
        return f"{length / timedelta(days=1):.0f} days"
    return f"{length / timedelta(hours=1):.0f} hours"
