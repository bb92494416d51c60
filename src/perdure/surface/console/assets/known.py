"""Which asset an address names: declared, or known to the ledger alone; what stands at the head of each of its pages.

Every view of the area begins with `asset_of` and ends with `page_of`. Nothing here reads a store but for an asset that is not declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.errors import NotFound, not_found
from perdure.surface.console.asking import address
from perdure.surface.console.records import Asked, Cell, View

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.surface.console.board import Tile

KINDS: Mapping[str, str] = {
    "model": "models",
    "source": "sources",
    "feature_view": "views",
    "contract": "contracts",
    "index": "indexes",
    "prompt": "prompts",
    "judge": "judges",
    "guard": "guards",
    "route": "routes",
    "suite": "suites",
    "agent": "agents",
    "graph": "graphs",
    "team": "teams",
}
"""Kind → where a project keeps its assets."""
RELEASED = frozenset({"model", "index", "prompt", "judge", "guard", "route", "agent", "graph"})
"""Kinds with versions and pointers."""
RICHER: Mapping[str, str] = {
    "prompt": "/language/prompts",
    "index": "/language/indexes",
    "agent": "/language/agents",
    "graph": "/language/graphs",
    "judge": "/language/judges",
    "guard": "/language/guards",
    "suite": "/language/suites",
}
"""Kinds with a page of their own that shows more."""
_TEAM = "team:"


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """One asset. Not shown: views make their records of it."""

    kind: str
    name: str
    declared: Any
    """The declared object; None where the ledger alone knows it."""
    tile: Tile | None
    """None for what has no health of its own, such as a contract."""
    pointers: Sequence[Pointer] = ()

    @property
    def champion(self) -> str:
        """Id of the version that answers; empty without."""
        return next((each.version for each in self.pointers if each.name == CHAMPION), "")

    def at(self, *parts: str, **query: object) -> str:
        """Address of one of its pages."""
        return address("/assets", self.kind, self.name, *parts, **query)


@dataclass(frozen=True, slots=True)
class Tab:
    """One of an asset's pages."""

    words: str
    href: str
    here: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above each of an asset's pages."""

    kind: str
    name: str
    purpose: str
    owner: str
    state: str
    worst: str
    champion: Cell | None
    moving: bool
    incident: str
    """Address of its oldest open incident; empty without."""
    paused: str
    declared: bool
    richer: str
    """Address of a page that shows more of this kind; empty without."""
    tabs: tuple[Tab, ...]


def asset_of(asked: Asked) -> Known:
    """The asset of the address `/assets/{kind}/{name}`.

    Raises:
        NotFound: neither the project nor the ledger knows it; the message names the nearest.
    """
    kind, name = asked.path["kind"], asked.path["name"]
    board = asked.board
    tile = board.by_name.get(name)
    if tile is not None and tile.kind != kind:
        tile = next((each for each in board.tiles if (each.kind, each.name) == (kind, name)), None)
    declared = declared_of(asked.project.project, kind, name)
    if declared is None and tile is None and not _in_ledger(asked, kind, name):
        names = [each.name for each in board.tiles if each.kind == kind] + _names(asked.project.project, kind)
        raise not_found(kind if kind in KINDS else "asset", name, dict.fromkeys(names))
    return Known(kind, name, declared, tile, board.pointers.get(name, ()) if kind in RELEASED else ())


def model_of(asked: Asked) -> Known:
    """The same, where only a model has the page.

    Raises:
        NotFound: it is no model.
    """
    known = asset_of(asked)
    if known.kind != "model":
        raise NotFound(
            f"{known.name} is a {kind_words(known.kind)}: only models predict.", hint="Look at its overview."
        )
    return known


def declared_of(project: Project, kind: str, name: str) -> Any:
    """The declared object, or None."""
    where = KINDS.get(kind)
    return None if where is None else getattr(project, where).get(name.removeprefix(_TEAM) if kind == "team" else name)


def _names(project: Project, kind: str) -> list[str]:
    return list(getattr(project, KINDS[kind])) if kind in KINDS else []


def _in_ledger(asked: Asked, kind: str, name: str) -> bool:
    with asked.project.place.stores.ledger.read() as session:
        return any(each.kind == kind for each in session.registry.list_versions(name, limit=1))


def page_of(known: Known, data: Any, tab: str = "", *, cli: str = "") -> View:
    """The view of one of an asset's pages; `tab` in words, empty on its first page."""
    crumbs = [("Assets", "/assets"), (kind_words(known.kind), address("/assets", kind=known.kind))]
    if tab:
        crumbs.append((known.name, known.at()))
    title = f"{known.name}: {tab}" if tab else known.name
    return View(title, data, crumbs=crumbs, cli=cli, live=("health", "incidents", "releases"))


def kind_words(kind: str) -> str:
    """A kind as words.

    >>> kind_words("feature_view")
    'feature view'
    """
    return kind.replace("_", " ")


def head_of(asked: Asked, known: Known, tab: str) -> Head:
    """The head of one of its pages, with the tab that is open."""
    tile, declared = known.tile, known.declared
    return Head(
        kind=known.kind,
        name=known.name,
        purpose=str(getattr(declared, "purpose", "") or _summary(declared)),
        owner=str(getattr(declared, "owner", "") or (tile.owner if tile else "")),
        state=tile.state if tile else "no objective",
        worst=tile.worst if tile else "",
        champion=version_cell(known, known.champion) if known.champion else None,
        moving=bool(tile and tile.moving),
        incident=address("/incidents", tile.incident) if tile and tile.incident else "",
        paused=tile.paused if tile else "",
        declared=declared is not None,
        richer=address(RICHER[known.kind], known.name) if known.kind in RICHER else "",
        tabs=_tabs(asked, known, tab),
    )


def _summary(declared: Any) -> str:
    """The first line of a contract's docstring: all that it says of its purpose."""
    kind = declared if isinstance(declared, type) else None
    text = (kind.__dict__.get("__doc__") or "") if kind is not None else ""
    return text.strip().partition("\n")[0]


def version_cell(known: Known, version: str) -> Cell:
    """A version's id as a link to it."""
    return Cell(version, href=known.at("versions", version))


def _tabs(asked: Asked, known: Known, tab: str) -> tuple[Tab, ...]:
    """Only those that have something to show, and that the person may see."""
    newest = asked.board.newest.get(known.name, ()) if known.tile else ()
    judged = asked.board.judged.get(known.name, ()) if known.tile else ()
    wanted = [
        ("Overview", "", True),
        ("Health", "health", bool(newest or judged)),
        ("Versions", "versions", known.kind in RELEASED),
        ("Drift", "drift", known.kind == "model"),
        ("Slices", "slices", known.kind == "model" or any(each.slice for each in newest)),
        ("Lineage", "lineage", True),
        (
            "Contract" if known.kind in ("model", "source", "contract", "feature_view") else "Definition",
            "contract",
            True,
        ),
        ("Predictions", "predictions", known.kind == "model" and asked.person.may("bodies")),
    ]
    return tuple(
        Tab(words, known.at(path) if path else known.at(), path == tab)
        for words, path, seen in wanted
        if seen or path == tab
    )
