"""Graphs as text for a terminal: boxes and lines of box-drawing characters; where they would not fit, a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from perdure.engines.graphs.layout import Joined, Layout, Spacing, lay_out
from perdure.engines.graphs.picturing import ENTRY, EXIT, Card, Line, Picture

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_INK = {
    _UP: "│",
    _DOWN: "│",
    _UP | _DOWN: "│",
    _LEFT: "─",
    _RIGHT: "─",
    _LEFT | _RIGHT: "─",
    _DOWN | _RIGHT: "╭",
    _DOWN | _LEFT: "╮",
    _UP | _RIGHT: "╰",
    _UP | _LEFT: "╯",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT | _RIGHT: "┴",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}
_MARKS = {
    "done": "✓",
    "failed": "✗",
    "stood in": "↺",
    "waiting": "…",
    "running": "▸",
    "skipped": "–",
    "not run": "–",
    "refused": "✗",
}


def text(found: Picture, width: int = 120) -> str:
    """The drawing, or the list where it is wider than `width` characters."""
    cards = {name: _rows(card, _given(name, found)) for name, card in found.cards.items()}
    sizes = {name: (float(len(rows[0])), float(len(rows))) for name, rows in cards.items()}
    lines = _drawn(found)
    layout = lay_out(sizes, lines, Spacing(between=3, layers=0, passing=1))
    if layout.width > width:
        return listed(found)
    return _Canvas(layout, cards, lines).drawn()


def _drawn(found: Picture) -> list[Joined]:
    """Lines of the drawing: those from the input only to nodes that nothing else leads to; boxes tell of the others."""
    there = [line for line in found.lines if line.source in found.cards and line.target in found.cards]
    led_to = {line.target for line in there if line.source != ENTRY}
    return [(line.source, line.target) for line in there if line.source != ENTRY or line.target not in led_to]


def listed(found: Picture) -> str:
    """Every node on lines of its own, in order."""
    told = []
    for name, card in found.cards.items():
        head = f"{card.name}  {card.kind if name not in (ENTRY, EXIT) else ''}  {card.of}".rstrip()
        told += [head, *(f"    {each}" for each in (*card.terms, *_given(name, found), *_state(card)))]
    return "\n".join(told) + "\n"


def _state(card: Card) -> list[str]:
    return [f"{_MARKS[card.state]} {card.told or card.state}"] if card.state else []


def _given(name: str, found: Picture) -> list[str]:
    """What a node is given, with its types."""
    told = []
    for line in found.lines:
        if line.target == name and line.kind == "fallback":
            told.append(f"for {line.source}, where it fails")
        elif line.target == name and line.kind != "condition":
            told += [f"← {_source(line)}{f'.{each}' if ':' in each else f': {each}'}" for each in line.labels]
            told += [f"after {line.source}"] if line.kind == "after" else []
    return told


def _source(line: Line) -> str:
    return "input" if line.source == ENTRY else line.source


def _rows(card: Card, given: Sequence[str]) -> list[str]:
    inside = [each for each in (card.of, *card.terms, *given, *_state(card)) if each]
    kind = "" if card.kind == card.name else f" {card.kind} ─"
    head = f"─ {card.name} "
    wide = max([len(head) + len(kind) + 1, *(len(each) + 2 for each in inside)])
    wide += 1 - wide % 2  # an odd width has a middle
    top = f"╭{head}{'─' * (wide - len(head) - len(kind))}{kind}╮"
    return [top, *(f"│ {each}{' ' * (wide - len(each) - 1)}│" for each in inside), f"╰{'─' * wide}╯"]


class _Canvas:
    """Characters, and for those of lines the directions that they go to."""

    def __init__(self, layout: Layout, cards: Mapping[str, Sequence[str]], lines: Sequence[Joined]) -> None:
        self._layout = layout
        self._cards = cards
        self._bands = self._tracks(lines)
        self._tops = self._tops_of()
        n_rows = self._tops[-1] + int(layout.heights[-1])
        self._wide = int(layout.width) + 2
        self._ink: list[list[str]] = [[" "] * self._wide for _ in range(n_rows)]
        self._ways: list[list[int]] = [[0] * self._wide for _ in range(n_rows)]

    def _tracks(self, lines: Sequence[Joined]) -> list[dict[tuple[int, str], tuple[int, set[int]]]]:
        """Between two layers: (where it begins, whose it is) → its row and where it ends."""
        bands: list[dict[tuple[int, str], tuple[int, set[int]]]] = [{} for _ in self._layout.layers[:-1]]
        depth = {name: at for at, row in enumerate(self._layout.layers) for name in row}
        for source, target in lines:
            way = [int(x) for x in self._layout.ways[source, target]]
            for n, (x, to_x) in enumerate(pairwise(way)):
                band = bands[depth[source] + n]
                _, ends = band.setdefault((x, source), (0, set()))
                ends.add(to_x)
        return [_rowed(band) for band in bands]

    def _tops_of(self) -> list[int]:
        tops = [0]
        for band, height in zip(self._bands, self._layout.heights, strict=False):
            tops.append(tops[-1] + int(height) + 2 + max((row for row, _ in band.values()), default=0))
        return tops

    def drawn(self) -> str:
        """All of it."""
        for at, band in enumerate(self._bands):
            top = self._tops[at] + int(self._layout.heights[at])
            self._lengthen(at)
            for (x, _), (row, ends) in band.items():
                for to_x in ends:
                    self._line(x, to_x, top, top + row, self._tops[at + 1] - 1)
        for ways, ink in zip(self._ways, self._ink, strict=True):
            for x, bits in enumerate(ways):
                if bits:
                    ink[x] = _INK[bits]
        self._heads()
        self._boxes()
        return "\n".join("".join(row).rstrip() for row in self._ink) + "\n"

    def _lengthen(self, at: int) -> None:
        """Lines from boxes that are lower than their layer, and through layers that a line passes."""
        under = self._tops[at] + int(self._layout.heights[at])
        names = set(self._layout.layers[at])
        for x, source in self._bands[at]:
            here = source in names and int(self._layout.boxes[source].middle) == x
            first = self._tops[at] + (len(self._cards[source]) if here else -1)
            for y in range(first, under):
                self._ways[y][x] |= _UP | _DOWN

    def _line(self, x: int, to_x: int, top: int, row: int, under: int) -> None:
        for y in range(top, under + 1):
            at = x if y < row else to_x
            if y == row and x != to_x:
                self._ways[y][x] |= _UP | (_RIGHT if to_x > x else _LEFT)
                self._ways[y][to_x] |= _DOWN | (_LEFT if to_x > x else _RIGHT)
                for between in range(min(x, to_x) + 1, max(x, to_x)):
                    self._ways[y][between] |= _LEFT | _RIGHT
            else:
                self._ways[y][at] |= _UP | _DOWN

    def _heads(self) -> None:
        for (_, target), way in self._layout.ways.items():
            y = self._tops[self._depth(target)] - 1
            self._ink[y][int(way[-1])] = "▼"

    def _boxes(self) -> None:
        for name, rows in self._cards.items():
            left, top = int(self._layout.boxes[name].middle) - len(rows[0]) // 2, self._tops[self._depth(name)]
            for y, row in enumerate(rows, top):
                for x, character in enumerate(row, max(0, left)):
                    self._ink[y][x] = character

    def _depth(self, name: str) -> int:
        return next(at for at, row in enumerate(self._layout.layers) if name in row)


def _rowed(band: Mapping[tuple[int, str], tuple[int, set[int]]]) -> dict[tuple[int, str], tuple[int, set[int]]]:
    """A row for each line that bends: one that begins where another ends stands above it."""
    bent = [key for key, (_, ends) in band.items() if ends != {key[0]}]
    order: list[tuple[int, str]] = []
    left = sorted(bent)
    while left:
        free = [key for key in left if not any(key[0] not in band[other][1] and
                                               other[0] in band[key][1] for other in left if other != key)]  # fmt: skip
        order.append((free or left)[0])
        left.remove(order[-1])
    rows = {key: 1 + at for at, key in enumerate(order)}
    return {key: (rows.get(key, 0), ends) for key, (_, ends) in band.items()}
