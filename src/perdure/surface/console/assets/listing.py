"""All assets: filtered by kind, state and text, a page at a time, the worst first. Reads the board alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from perdure.surface.console.asking import address, behind, one_of, text, whole
from perdure.surface.console.assets.known import KINDS, kind_words
from perdure.surface.console.board import Tile
from perdure.surface.console.records import Asked, Cell, Table, Tone, View

_STATES = ("broken", "unsure", "stale", "not measured", "healthy", "no objective")
"""The worst first, as the list is sorted."""
_TONES: dict[str, Tone] = {"broken": "bad", "unsure": "warn", "stale": "warn", "healthy": "good"}
_PAGE = 100
_UNJUDGED = ("contract", "feature_view", "suite")
"""Declared kinds that the loop does not watch: they have no tile."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter."""

    value: str
    words: str
    n: int
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The list."""

    kinds: tuple[Choice, ...]
    states: tuple[Choice, ...]
    kind: str
    state: str
    q: str
    n: int
    """Assets that fit."""
    n_all: int
    assets: Table


def view(asked: Asked) -> View:
    """`/assets?kind=&state=&q=&from=`."""
    tiles = [*asked.board.tiles, *_others(asked)]
    known = sorted({each.kind for each in tiles})
    kind, state = one_of(asked.query, "kind", sorted({*known, *KINDS})), one_of(asked.query, "state", _STATES)
    wanted, start = text(asked.query, "q", most=100), whole(asked.query, "start", 0, most=10**6)
    of_kind = [each for each in tiles if (not kind or each.kind == kind) and _fits(each, wanted)]
    fitting = [each for each in of_kind if not state or each.state == state]
    fitting.sort(key=lambda each: (_STATES.index(each.state), each.kind, each.name))
    more = address("/assets", kind=kind, state=state, q=wanted, start=start + _PAGE)
    table = Table(
        ("Asset", "Kind", "State", "Worst objective", "Owner", "Champion"),
        [_row(each) for each in fitting[start : start + _PAGE]],
        "Assets, the worst first",
        more=more if start + _PAGE < len(fitting) else "",
        empty=behind(start, _empty(bool(tiles))),
    )
    kinds, states = Counter(each.kind for each in tiles), Counter[str](each.state for each in of_kind)
    data = Listing(
        kinds=tuple(
            Choice(
                each, kind_words(each), kinds[each], address("/assets", kind=each, state=state, q=wanted), each == kind
            )
            for each in known
        ),
        states=tuple(
            Choice(each, each, states[each], address("/assets", kind=kind, state=each, q=wanted), each == state)
            for each in _STATES
            if states[each]
        ),
        kind=kind,
        state=state,
        q=wanted,
        n=len(fitting),
        n_all=len(tiles),
        assets=table,
    )
    return View("Assets", data, cli="perdure status", live=("health", "incidents", "releases"))


def _others(asked: Asked) -> Iterator[Tile]:
    """What is declared and has no health of its own."""
    seen = {(each.kind, each.name) for each in asked.board.tiles}
    for kind in _UNJUDGED:
        for name, declared in getattr(asked.project.project, KINDS[kind]).items():
            if (kind, name) not in seen:
                owner = str(getattr(declared, "owner", ""))
                yield Tile(
                    kind, name, owner, "no objective", "", "", moving=False, incident="", paused="", declared=True
                )


def _fits(tile: Tile, wanted: str) -> bool:
    said = wanted.lower()
    return not said or said in tile.name.lower() or said in tile.owner.lower()


def _row(tile: Tile) -> tuple[Cell | str, ...]:
    words = f"{tile.state}, paused" if tile.paused else tile.state
    return (
        Cell(tile.name, href=address("/assets", tile.kind, tile.name)),
        kind_words(tile.kind),
        Cell(words, tone=_TONES.get(tile.state, "mute")),
        Cell(tile.worst or "–", href=address("/incidents", tile.incident) if tile.incident else ""),
        tile.owner or "–",
        Cell(tile.champion, href=address("/assets", tile.kind, tile.name, "versions", tile.champion))
        if tile.champion
        else "–",
    )


def _empty(any_at_all: bool) -> str:
    if any_at_all:
        return "No asset fits these filters: choose fewer of them."
    return "Nothing is declared yet: write a source and a model into the project's package, then run perdure apply."
