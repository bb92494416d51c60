"""Where the boxes of a drawing stand: in layers, with few crossings, each near what it is joined with.

The layered way of drawing graphs (Sugiyama, Tagawa and Toda, 1981): layers by longest paths, places for lines that pass a layer,
order by barycentres, and coordinates by least squares (pool adjacent violators). Units are the caller's: pixels or characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 12

Joined = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distances."""

    between: float
    """From box to box in one layer."""
    layers: float
    """From layer to layer."""
    passing: float
    """Width that a line takes where it passes a layer."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One box, by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Where lines begin and end."""
        return self.x + self.width / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing without its ink."""

    boxes: Mapping[str, Placed]
    ways: Mapping[Joined, Sequence[float]]
    """Line → where it is at its source, in each layer that it passes, and at its target."""
    layers: Sequence[Sequence[str]]
    """Boxes, layer by layer."""
    tops: Sequence[float]
    heights: Sequence[float]
    width: float
    height: float


@dataclass(slots=True)
class _Slot:
    name: str
    width: float
    x: float = 0.0
    """Of its middle."""


def lay_out(sizes: Mapping[str, tuple[float, float]], lines: Sequence[Joined], spacing: Spacing) -> Layout:
    """Places for boxes.

    Args:
        sizes: box → width and height.
        lines: from box to box, none in a circle.
        spacing: distances.
    """
    depth = _depths(sizes, lines)
    slots, chains = _slots(sizes, lines, depth, spacing)
    joined = [pair for chain in chains.values() for pair in pairwise(chain)]
    rows = _ordered(slots, joined)
    _set_x(rows, joined, spacing.between)
    least = min(slot.x - slot.width / 2 for row in rows for slot in row)
    heights = [max((sizes[slot.name][1] for slot in row if slot.name in sizes), default=0.0) for row in rows]
    tops = [sum(heights[:n]) + n * spacing.layers for n in range(len(rows))]
    at = {slot.name: slot.x - least for row in rows for slot in row}
    boxes = {
        name: Placed(at[name] - width / 2, tops[depth[name]], width, height) for name, (width, height) in sizes.items()
    }
    ways = {line: [at[name] for name in chain] for line, chain in chains.items()}
    width = max(slot.x - least + slot.width / 2 for row in rows for slot in row)
    named = [[slot.name for slot in row if slot.name in sizes] for row in rows]
    return Layout(boxes, ways, named, tops, heights, width, tops[-1] + heights[-1])


def _depths(sizes: Mapping[str, object], lines: Sequence[Joined]) -> dict[str, int]:
    depth = dict.fromkeys(sizes, 0)
    for _ in sizes:
        moved = False
        for source, target in lines:
            if depth[target] <= depth[source]:
                depth[target] = depth[source] + 1
                moved = True
        if not moved:
            break
    return depth


def _slots(
    sizes: Mapping[str, tuple[float, float]], lines: Sequence[Joined], depth: Mapping[str, int], spacing: Spacing
) -> tuple[list[list[_Slot]], dict[Joined, list[str]]]:
    """Boxes and passing lines by layer; each line with all the slots on its way."""
    rows: list[list[_Slot]] = [[] for _ in range(1 + max(depth.values()))]
    for name, (width, _) in sizes.items():
        rows[depth[name]].append(_Slot(name, width))
    chains = {}
    for source, target in lines:
        passed = [f"{source}\n{target}\n{at}" for at in range(depth[source] + 1, depth[target])]
        for at, name in enumerate(passed, depth[source] + 1):
            rows[at].append(_Slot(name, spacing.passing))
        chains[source, target] = [source, *passed, target]
    return rows, chains


def _ordered(rows: list[list[_Slot]], joined: Sequence[Joined]) -> list[list[_Slot]]:
    """Each layer in the order with the fewest crossings that sweeping down and up finds."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for first, second in joined:
        below.setdefault(first, []).append(second)
        above.setdefault(second, []).append(first)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for at in order:
            beside = rows[at - 1] if down else rows[at + 1]
            places = {slot.name: n for n, slot in enumerate(beside)}
            _sort(rows[at], above if down else below, places)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _sort(row: list[_Slot], joined: Mapping[str, Sequence[str]], places: Mapping[str, int]) -> None:
    means = {}
    for n, slot in enumerate(row):
        others = [places[name] for name in joined.get(slot.name, ())]
        means[slot.name] = sum(others) / len(others) if others else float(n)
    row.sort(key=lambda slot: means[slot.name])


def _crossings(rows: Sequence[Sequence[_Slot]], below: Mapping[str, Sequence[str]]) -> int:
    total = 0
    for row, under in pairwise(rows):
        places = {slot.name: n for n, slot in enumerate(under)}
        ends = [sorted(places[name] for name in below.get(slot.name, ())) for slot in row]
        flat = [end for each in ends for end in each]
        total += sum(left > right for n, left in enumerate(flat) for right in flat[n + 1 :])
    return total


def _set_x(rows: Sequence[Sequence[_Slot]], joined: Sequence[Joined], between: float) -> None:
    """Each slot near the mean of those that it is joined with, none over another."""
    here = {slot.name: slot for row in rows for slot in row}
    beside: dict[str, list[str]] = {}
    for first, second in joined:
        beside.setdefault(first, []).append(second)
        beside.setdefault(second, []).append(first)
    for row in rows:
        _spread(row, [0.0] * len(row), between)
    for sweep in range(2 * _SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for slot in row:
                others = [here[name].x for name in beside.get(slot.name, ())]
                wanted.append(sum(others) / len(others) if others else slot.x)
            _spread(row, wanted, between)


def _spread(row: Sequence[_Slot], wanted: Sequence[float], between: float) -> None:
    """The places nearest to those wanted that keep order and distance: least squares by pooling neighbours."""
    offsets, offset = [], 0.0
    for n, slot in enumerate(row):
        offset += 0.0 if n == 0 else (row[n - 1].width + slot.width) / 2 + between
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, off in zip(wanted, offsets, strict=True):
        total, n = want - off, 1
        while pools and pools[-1][0] / pools[-1][1] > total / n:
            before, count = pools.pop()
            total, n = total + before, n + count
        pools.append((total, n))
    at = 0
    for total, n in pools:
        for slot, off in zip(row[at : at + n], offsets[at : at + n], strict=True):
            slot.x = total / n + off
        at += n
