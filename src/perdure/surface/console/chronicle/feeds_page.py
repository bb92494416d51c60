"""`/ledger/feeds`: every source: up to when its rows are taken in, how old the newest is, what its objectives say; and its newest rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.core.clock import from_us
from perdure.core.errors import not_found
from perdure.core.units import days, hours
from perdure.surface.console.asking import address, text, whole
from perdure.surface.console.chronicle.cells import LEDGER, NONE, when
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.words import number

if TYPE_CHECKING:
    from perdure.assets.source import Source
    from perdure.loop.work.taken import Taken
    from perdure.stores.lake.protocols import Lake
    from perdure.surface.console.board import Board, Newest

_LIMIT, _N_ROWS = 100, 20
_BACK: tuple[timedelta, ...] = (hours(1), days(1), days(30))
_TONES: Mapping[str, Tone] = {"healthy": "good", "broken": "bad", "unsure": "warn", "stale": "warn"}
_SIGNALS = ("volume", "violations_ratio", "off_profile")
_MOST_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class Feeds:
    """The sources."""

    n: int
    feeds: Table
    source: str
    """Whose newest rows are shown; empty: nobody's."""
    rows: Table | None
    may: bool
    """Whether rows are shown at all."""
    who_may: str


def feeds_page(asked: Asked) -> View:
    """Every source, and the newest rows of one.

    Raises:
        NotFound: no such source.
    """
    sources, source = asked.project.project.sources, text(asked.query, "source")
    if source and source not in sources:
        raise not_found("source", source, sources)
    stores, skip = asked.project.place.stores, whole(asked.query, "skip", 0, most=10**7)
    names = sorted(sources, key=lambda name: (_place(asked.board, name), name))
    taken = _taken(stores.ledger)
    may = asked.person.may("bodies")
    lines = [_line(asked.board, sources[name], taken.get(name)) for name in names[skip : skip + _LIMIT]]
    headings = ("Source", "State", "Taken in until", "Newest row", "Age", "Rows", "Broke the contract", "Off its profile", "Late batches")  # fmt: skip
    more = address("/ledger/feeds", skip=skip + _LIMIT) if skip + _LIMIT < len(names) else ""
    empty = "No source is declared. A `Source(…)` in the project's package is one; `perdure check` reads it."
    feeds = Table(headings, lines, "Sources, those in need first", frozenset({4, 5, 6, 7, 8}), more, empty)
    data = Feeds(
        n=len(names),
        feeds=feeds,
        source=source,
        rows=_newest_rows(stores.lake, source, asked.now) if source and may else None,
        may=may,
        who_may="Rows are shown to scientists, engineers, reviewers and administrators.",
    )
    return View("Feeds", data, crumbs=(LEDGER,), live=("health",))


def _taken(ledger: Any) -> dict[str, Taken]:
    from perdure.loop.work.taken import CURSOR, Taken

    with ledger.read() as session:
        kept = session.cursors.list(CURSOR)
    return {name.removeprefix(CURSOR): Taken.from_json(value) for name, value in kept.items()}


def _place(board: Board, name: str) -> int:
    """Those in need first."""
    tile = board.by_name.get(name)
    order = ("broken", "unsure", "stale", "healthy")
    return order.index(tile.state) if tile and tile.state in order else len(order)


def _line(board: Board, source: Source, taken: Taken | None) -> tuple[Cell | str, ...]:
    tile, newest = board.by_name.get(source.name), board.newest.get(source.name, ())
    state = tile.state if tile else "not measured"
    age = _one(newest, "freshness_h")
    seen = from_us(age.at_us) - hours(age.value) if age is not None and age.value is not None else None
    return (
        Cell(source.name, href=address("/ledger/feeds", source=source.name)),
        Cell(state, href=address("/incidents", tile.incident))
        if tile and tile.incident
        else Cell(state, tone=_TONES.get(state, "mute")),
        when(taken.until) if taken and taken.until else "not yet",
        when(seen),
        f"{number(age.value)} h" if age is not None else NONE,
        *(_said(_one(newest, signal)) for signal in _SIGNALS),
        f"{taken.n_late:,}" if taken else NONE,
    )


def _one(newest: Sequence[Newest], signal: str) -> Newest | None:
    found = [each for each in newest if each.signal == signal and not each.slice]
    return max(found, key=lambda each: each.at_us, default=None)


def _said(reading: Newest | None) -> str:
    if reading is None or reading.value is None:
        return NONE
    window = (
        f"{reading.width_us / 3_600_000_000:g} h"
        if reading.width_us < 86_400_000_000
        else f"{reading.width_us / 86_400_000_000:g} d"
    )
    value = f"{100 * reading.value:.1f}%" if reading.unit == "ratio" else number(reading.value)
    return f"{value} in {window}"


def _newest_rows(lake: Lake, source: str, now: datetime) -> Table:
    """The newest rows that are in the lake: looked for in the last hour, then in ever longer stretches."""
    import polars as pl

    from perdure.loop.intake import table_of
    from perdure.loop.work.feed import AVAILABLE_AT, known_span

    table, found = table_of(source), pl.DataFrame()
    if lake.version(table) is not None:
        for back in _BACK:
            found = lake.read(table, span=known_span(AVAILABLE_AT, now - back, now))
            if found.height >= _N_ROWS:
                break
    newest = found.sort(AVAILABLE_AT, descending=True).head(_N_ROWS) if found.height else found
    fields = [name for name in newest.columns if not name.startswith("_")][:_MOST_COLUMNS]
    rows = [(when(row[AVAILABLE_AT]), *(_value(row[name]) for name in fields)) for row in newest.iter_rows(named=True)]
    empty = "No row of the last 30 days is in the lake."
    return Table(("Known from", *fields), rows, f"The newest rows of {source}", empty=empty)


def _value(said: Any) -> Cell | str:
    if isinstance(said, datetime):
        return when(said)
    if isinstance(said, bool) or said is None:
        return NONE if said is None else "yes" if said else "no"
    return number(said) if isinstance(said, int | float) else str(said)[:200]
