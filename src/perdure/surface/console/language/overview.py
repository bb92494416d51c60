"""`/language`: everything that speaks, at a glance, each with the way to its page; what was run, and what people are asked to label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain

from perdure.surface.console.asking import address, one_of, whole
from perdure.surface.console.board import Tile
from perdure.surface.console.language.cells import NONE, page_of, state
from perdure.surface.console.language.evals import newest_evals
from perdure.surface.console.records import Asked, Cell, Table, View

_KINDS = (
    ("prompt", "Prompts", 'Declare one: Prompt("answer", [("user", "{question}")], "main"), then perdure apply'),
    ("index", "Indexes", 'Declare one: Index("handbook", Folder("docs")), then perdure index build handbook'),
    ("judge", "Judges", 'Declare one: Judge("helpful", "The answer helps.", "main"), then perdure judge calibrate'),
    ("guard", "Guards", 'Declare one: Guard("privacy", [Pii()]), then perdure apply'),
    ("agent", "Agents", 'Declare one: Agent("support", "support_agent", tools=[…]), then perdure agent run support'),
    ("graph", "Graphs", "Declare one: Graph(…), then perdure graph run NAME"),
)
_SHOWN = 100
_WORST = {
    name: place for place, name in enumerate(("broken", "unsure", "stale", "not measured", "no objective", "healthy"))
}


@dataclass(frozen=True, slots=True)
class KindPart:
    """All assets of one kind."""

    kind: str
    title: str
    n: int
    n_broken: int
    page: str
    """These alone."""
    how: str
    """How one is declared, where there is none."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page."""

    kinds: tuple[KindPart, ...]
    kind: str
    assets: Table
    suites: Table
    evals: Table
    n_to_label: int
    may_label: bool


def view(asked: Asked) -> View:
    """The page."""
    kind = one_of(asked.query, "kind", [each for each, _, _ in _KINDS])
    after = whole(asked.query, "after", 0, most=1_000_000)
    with asked.project.place.stores.ledger.read() as session:
        n_open = Counter(each.subject for each in session.reviews.list(status="open"))
    tiles = _by_kind(asked)
    data = Overview(
        tuple(_part(tiles[each[0]], *each) for each in _KINDS),
        kind,
        _assets(tiles[kind] if kind else list(chain.from_iterable(tiles.values())), kind, after),
        _suites(asked, n_open),
        newest_evals(asked, 10),
        sum(n_open.values()),
        asked.person.may("bodies"),
    )
    return View("Language", data, cli="perdure status", live=("health", "releases"))


def _by_kind(asked: Asked) -> dict[str, list[Tile]]:
    found: dict[str, list[Tile]] = {kind: [] for kind, _, _ in _KINDS}
    for each in asked.board.tiles:
        if each.kind in found:
            found[each.kind].append(each)
    return found


def _part(tiles: Sequence[Tile], kind: str, title: str, how: str) -> KindPart:
    n_broken = sum(each.state == "broken" for each in tiles)
    return KindPart(kind, title, len(tiles), n_broken, address("/language", kind=kind), "" if tiles else how)


def _assets(tiles: Sequence[Tile], kind: str, after: int) -> Table:
    worst = nsmallest(after + _SHOWN, tiles, key=lambda each: (_rank(each.state), each.kind, each.name))
    return Table(
        headings=("Name", "Kind", "Health", "What", "Answers", "Owner"),
        rows=[_row(each) for each in worst[after:]],
        caption="What speaks, the worst first",
        more=address("/language", kind=kind, after=after + _SHOWN) if len(tiles) > after + _SHOWN else "",
        empty=next((how for each, _, how in _KINDS if each == (kind or "prompt")), ""),
    )


def _rank(name: str) -> int:
    return _WORST.get(name, len(_WORST))


def _row(tile: Tile) -> tuple[Cell | str, ...]:
    what = tile.worst or ("a release is under way" if tile.moving else "paused" if tile.paused else "")
    return (
        Cell(tile.name, page_of(tile.kind, tile.name)),
        tile.kind,
        state(tile.state),
        Cell(what, address("/incidents", tile.incident)) if tile.incident else what,
        tile.champion or "not released",
        tile.owner or NONE,
    )


def _suites(asked: Asked, n_open: Counter[str]) -> Table:
    suites = asked.project.project.suites
    rows = [
        (
            Cell(name, page_of("suite", name)),
            Cell(suite.prompt, page_of("prompt", suite.prompt)) if suite.prompt else f"route {suite.route}",
            suite.role,
            f"{len(suite.scorers):,}",
            f"{n_open[name]:,}",
        )
        for name, suite in sorted(suites.items())
    ]
    return Table(
        headings=("Suite", "Tests", "Role", "Scorers", "To label"),
        rows=rows[:_SHOWN],
        caption="Suites with what they test",
        numeric=frozenset({3, 4}),
        empty='No suite is declared: Suite("refunds", "suites/refunds.yaml", [Exact()], prompt="answer")',
    )
