"""The health of every asset as a map: tiles by kind, the worst first; of hundreds, a mosaic that shows each as a square.

What surprised us: ten thousand tiles take the server 160 ms and the browser a second, and nobody reads them. So of each kind the tiles
are those that need somebody, and the mosaic is drawn by its proportions: a row of squares of one state is one dashed line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from perdure.surface.console.asking import address
from perdure.surface.console.board import Board, State, Tile
from perdure.surface.console.judging import STATES

_KINDS: Mapping[str, str] = {
    "model": "Models",
    "feature_view": "Features",
    "source": "Sources",
    "index": "Indexes",
    "prompt": "Prompts",
    "judge": "Judges",
    "guard": "Guards",
    "route": "Routes",
    "agent": "Agents",
    "graph": "Graphs",
    "team": "Teams",
}
"""In the order in which they are shown."""
_CLASSES: Mapping[State, str] = {"not measured": "unmeasured", "no objective": "none"}
_TILES = 24
"""Of a kind; where it has more, only those that are not healthy, so many at most, and a mosaic of all."""
_COLUMNS = 60
_STEP, _SIDE = 14, 10


@dataclass(frozen=True, slots=True)
class Count:
    """How many of a kind are in a state."""

    state: State
    n: int
    href: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One asset's tile."""

    name: str
    href: str
    state: State
    look: str
    """Class of its colour."""
    text: str
    """What makes it so, and what is under way."""


@dataclass(frozen=True, slots=True)
class Squares:
    """The squares of one state: lines that are dashed into squares."""

    look: str
    line: str
    """Path of an SVG."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Every asset of a kind as a square, the worst first."""

    width: int
    height: int
    told: str
    squares: tuple[Squares, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """One kind."""

    kind: str
    title: str
    n: int
    href: str
    counts: tuple[Count, ...]
    """The worst state first; those without any are left out."""
    tiles: tuple[Shown, ...]
    mosaic: Mosaic | None
    """Only where not every asset has a tile."""
    rest: str
    """What has no tile, in words; empty where all have one."""


def health_map(board: Board) -> tuple[Group, ...]:
    """Every kind that the project has. Cost: some 0.5 µs an asset."""
    by_kind: dict[str, list[Tile]] = {}
    for tile in board.tiles:
        by_kind.setdefault(tile.kind, []).append(tile)
    order = [*(kind for kind in _KINDS if kind in by_kind), *sorted(by_kind.keys() - _KINDS.keys())]
    return tuple(_group(kind, by_kind[kind]) for kind in order)


def _group(kind: str, tiles: Sequence[Tile]) -> Group:
    by_state: dict[State, list[Tile]] = {state: [] for state in STATES}
    for tile in tiles:
        by_state[tile.state].append(tile)
    counts = tuple(
        Count(state, len(of), address("/assets", kind=kind, state=state)) for state, of in by_state.items() if of
    )
    whole = len(tiles) <= _TILES
    shown = [tile for state in STATES for tile in by_state[state]] if whole else list(_pressing(by_state))
    return Group(
        kind,
        _KINDS.get(kind, kind),
        len(tiles),
        address("/assets", kind=kind),
        counts,
        tuple(_shown(tile) for tile in shown),
        None if whole else _mosaic(counts),
        "" if whole else f"{len(tiles) - len(shown):,} more are in the picture alone",
    )


def _pressing(by_state: Mapping[State, Sequence[Tile]]) -> Iterator[Tile]:
    """Those that need somebody, the ones with an incident first."""
    left = _TILES
    for state in ("broken", "unsure", "stale"):
        found = nsmallest(left, by_state[state], key=lambda each: (not each.incident, each.name))
        yield from found
        left -= len(found)


def _shown(tile: Tile) -> Shown:
    under_way = (
        ("incident", tile.incident),
        ("release under way", tile.moving),
        (f"paused: {tile.paused}", tile.paused),
        ("not declared any more", not tile.declared),
    )
    text = "; ".join([*([tile.worst] if tile.worst else []), *(word for word, is_so in under_way if is_so)])
    return Shown(
        tile.name, address("/assets", tile.kind, tile.name), tile.state, _CLASSES.get(tile.state, tile.state), text
    )


def _mosaic(counts: Sequence[Count]) -> Mosaic:
    n = sum(count.n for count in counts)
    n_rows = -(-n // _COLUMNS)
    squares, start = [], 0
    for count in counts:
        squares.append(Squares(_CLASSES.get(count.state, count.state), _lines(start, start + count.n)))
        start += count.n
    told = ", ".join(f"{count.n:,} {count.state}" for count in counts)
    return Mosaic(_COLUMNS * _STEP - (_STEP - _SIDE), n_rows * _STEP - (_STEP - _SIDE), told, tuple(squares))


def _lines(start: int, end: int) -> str:
    """One line for each row that the squares from `start` up to `end` lie in.

    >>> _lines(58, 63)
    'M812 5H840M0 19H42'
    """
    parts = []
    while start < end:
        row, column = divmod(start, _COLUMNS)
        last = min(end - row * _COLUMNS, _COLUMNS)
        parts.append(f"M{column * _STEP} {row * _STEP + _SIDE // 2}H{last * _STEP}")
        start = row * _COLUMNS + last
    return "".join(parts)
