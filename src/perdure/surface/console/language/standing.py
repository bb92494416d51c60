"""How one asset stands, for the head of its page: all of it from the board, so that it costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.core.clock import from_us
from perdure.surface.console.asking import address
from perdure.surface.console.board import Newest
from perdure.surface.console.language.cells import NONE, at
from perdure.surface.console.records import Asked, Cell, Table
from perdure.surface.words import number

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Standing:
    """One asset's health, and where all about it stands."""

    kind: str
    name: str
    state: str
    worst: str
    champion: str
    moving: bool
    incident: str
    paused: str
    page: str
    """Of the asset with its charts and lineage."""
    history: str
    readings: Table


def standing(asked: Asked, kind: str, name: str) -> Standing:
    """What the board says of an asset; one that it does not know is not measured."""
    tile = asked.board.by_name.get(name)
    page = address("/assets", kind, name)
    newest = asked.board.newest.get(name, ())
    readings = Table(
        headings=("Signal", "Value", "95% interval", "Over", "n", "As of"),
        rows=[_reading(each) for each in newest[:_SHOWN]],
        caption=f"Newest readings of {name}",
        numeric=frozenset({1, 2, 4}),
        more=page + "/health" if len(newest) > _SHOWN else "",
        empty="Nothing is measured yet. Declare healthy=[…] of it, then perdure apply: the next round measures it.",
    )
    if tile is None:
        return Standing(
            kind, name, "not measured", "", "", False, "", "", page, address("/registry", name, "history"), readings
        )
    return Standing(
        kind,
        name,
        tile.state,
        tile.worst,
        tile.champion,
        tile.moving,
        tile.incident,
        tile.paused,
        page,
        address("/registry", name, "history"),
        readings,
    )


def _reading(found: Newest) -> tuple[Cell | str, ...]:
    name = f"{found.signal}, {found.slice}" if found.slice else found.signal
    bounds = NONE if found.low is None or found.high is None else f"{number(found.low)} to {number(found.high)}"
    value = NONE if found.value is None else f"{number(found.value)} {found.unit}".strip()
    return (name, value, bounds, _over(found.width_us), f"{found.n:,}", at(from_us(found.at_us)))


def _over(us: int) -> str:
    """A window in words.

    >>> _over(86_400_000_000), _over(3_600_000_000), _over(60_000_000)
    ('1 day', '1 hour', '1 minute')
    """
    for size, one in ((86_400_000_000, "day"), (3_600_000_000, "hour"), (60_000_000, "minute")):
        if us >= size:
            n = us / size
            return f"{n:g} {one}" if n == 1 else f"{n:.3g} {one}s"
    return f"{us / 1e6:g} s"
