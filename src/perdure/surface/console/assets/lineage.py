"""What an asset rests on and what rests on it: source → feature view → model → route, agent or graph → team, and to whom its health is owed.

From declarations alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from perdure.assets.documents import Folder, GitFiles
from perdure.assets.project import examples_of
from perdure.assets.suite import judges_of
from perdure.core.errors import NotFound
from perdure.surface.console.asking import address
from perdure.surface.console.assets.known import KINDS, Head, Known, asset_of, head_of, kind_words, page_of
from perdure.surface.console.records import Asked, Cell, Lineage, Node, Table, View

if TYPE_CHECKING:
    from perdure.assets.documents import DocumentsFrom
    from perdure.assets.project import Project
    from perdure.stores.ledger.protocols import LedgerSession

_MOST = 60
_STAKEHOLDER, _DOCUMENTS = "stakeholder", "documents"
"""What stands in a lineage and is no asset: who is served, and what an index is filled from."""
Name = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class Rests:
    """The page."""

    head: Head
    lineage: Lineage
    n_left_out: int
    """Assets beyond those drawn."""
    version: Table
    """What the version that answers was made of."""


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/lineage`."""
    known = asset_of(asked)
    drawn, n_left_out = drawing_of(asked.project.project, (known.kind, known.name.removeprefix("team:")))
    data = Rests(head_of(asked, known, "lineage"), drawn, n_left_out, _version(asked, known))
    return page_of(known, data, "lineage")


def drawing_of(project: Project, here: Name) -> tuple[Lineage, int]:
    """Everything up and down the stream from an asset, the nearest first, and how many were left out."""
    above, below = _streams(project)
    reached = {here: 0}
    for beside in (above, below):
        todo = [here]
        for each in todo:
            for other in beside.get(each, ()):
                if other not in reached:
                    reached[other] = reached[each] + 1
                    todo.append(other)
    seen = sorted(reached, key=lambda name: reached[name])[:_MOST]
    nodes = [Node(_id(name), kind_words(name[0]), name[1], _address(name), here=name == here) for name in seen]
    lines = [(_id(first), _id(second)) for second in seen for first in above.get(second, ()) if first in set(seen)]
    return Lineage("lineage", f"What {here[1]} rests on, and what rests on it", nodes, lines), len(reached) - len(seen)


def _id(name: Name) -> str:
    return f"{name[0]}:{name[1]}"


def _address(name: Name) -> str:
    return "" if name[0] in (_STAKEHOLDER, _DOCUMENTS) else address("/assets", name[0], _watched(name))


def _watched(name: Name) -> str:
    return f"team:{name[1]}" if name[0] == "team" else name[1]


@lru_cache(maxsize=4)
def _streams(project: Project) -> tuple[Mapping[Name, list[Name]], Mapping[Name, list[Name]]]:
    """Of each asset what it rests on, and what rests on it. Kept: a project does not change while the console runs."""
    above: dict[Name, list[Name]] = {}
    below: dict[Name, list[Name]] = {}
    for first, second in dict.fromkeys(_lines(project)):
        above.setdefault(second, []).append(first)
        below.setdefault(first, []).append(second)
    return above, below


def _lines(project: Project) -> Iterator[tuple[Name, Name]]:
    """What the second rests on is the first."""
    yield from _of_data(project)
    yield from _of_language(project)
    for kind, asset in [("agent", each) for each in project.agents.values()] + [
        ("graph", each) for each in project.graphs.values()
    ]:
        for used in asset.uses():
            used_kind, _, name = used.partition(":")
            yield (used_kind, name), (kind, asset.name)
    for team in project.teams.values():
        for kind in ("route", "prompt", "agent", "graph"):
            for name in getattr(project, KINDS[kind]):
                wanted = name if kind == "route" else f"{kind}:{name}"
                if team.routes and team.may_call(wanted):
                    yield (kind, name), ("team", team.name)
    yield from _of_health(project)


def _of_health(project: Project) -> Iterator[tuple[Name, Name]]:
    """To whom objectives are owed: the consumers that a model has, whoever sends its requests."""
    for kind, kept in KINDS.items():
        for name, asset in getattr(project, kept).items():
            for objective in getattr(asset, "healthy", ()):
                if objective.stakeholder:
                    yield (kind, name), (_STAKEHOLDER, objective.stakeholder)


def _of_data(project: Project) -> Iterator[tuple[Name, Name]]:
    for source in project.sources.values():
        yield ("contract", source.contract.__name__), ("source", source.name)
    for view in project.views.values():
        if view.source is not None:
            yield ("source", view.source.name), ("feature_view", view.name)
        else:
            yield ("contract", view.contract.__name__), ("feature_view", view.name)
    for model in project.models.values():
        here = ("model", model.name)
        yield ("contract", model.contract.__name__), here
        yield from ((("source", each.name), here) for each in (model.rows, model.label.source))
        yield from ((("feature_view", view.name), here) for view in model.features)
    for guard in project.guards.values():
        yield from ((("source", each.name), ("guard", guard.name)) for each in examples_of(guard))


def _of_language(project: Project) -> Iterator[tuple[Name, Name]]:
    for index in project.indexes.values():
        yield (_DOCUMENTS, _documents(index.documents)), ("index", index.name)
    for route in project.routes.values():
        yield from ((("guard", guard.name), ("route", route.name)) for guard in route.guards)
        if route.source:
            kind = "index" if route.source in project.indexes else "source"
            yield (kind, route.source), ("route", route.name)
    for kind, assets in (("prompt", project.prompts), ("judge", project.judges)):
        yield from ((("route", each.route), (kind, name)) for name, each in assets.items() if each.route)
    for suite in project.suites.values():
        here = ("suite", suite.name)
        yield from ((("judge", judge), here) for judge in judges_of(suite))
        if suite.prompt:
            yield ("prompt", suite.prompt), here


def _documents(declared: DocumentsFrom) -> str:
    """Of files where they lie; an address of a database may hold a password, and is not told."""
    kind = type(declared).__name__
    return f"{kind} {declared.path}" if isinstance(declared, Folder | GitFiles) else kind


def _version(asked: Asked, known: Known) -> Table:
    rows: list[tuple[str, Cell | str]] = []
    if known.champion:
        from perdure.surface.console.assets.texts import said

        with asked.project.place.stores.ledger.read() as session:
            version = session.registry.get_version(known.champion)
            rows = [
                (name.replace("_", " "), _part(session, name, said(value))) for name, value in version.lineage.items()
            ]
        views = version.definition.get("views") or {}
        rows += [("view", name) for name in views]
    return Table(
        ("Part", "What"),
        rows[:100],
        f"What {known.champion or 'a version'} was made of",
        empty="No version answers yet, so nothing was made of anything.",
    )


def _part(session: LedgerSession, name: str, told: str) -> Cell | str:
    """The data set that it was fitted to is a version too, unless it was fitted elsewhere."""
    if name != "dataset":
        return told
    with suppress(NotFound):
        found = session.registry.get_version(told)
        return Cell(told, href=address("/assets", found.kind, found.asset, "versions", told))
    return told
