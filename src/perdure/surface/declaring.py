"""Versions that are what is declared: of a route, a prompt, a judge, an index, an agent, a graph, and of a guard that has learned nothing.

A model's version is made by training; of these the declaration is all there is. So `apply` registers it, and points the
champion at it: at once where there is none, else when the declaration has changed since the champion last moved. A
release of the loop is not undone by applying the same declaration again, nor by one in which only objectives or the
policy are others; the way back to an earlier declaration is a change like any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from perdure.assets.guard import Guard, Learned
from perdure.assets.version import CHAMPION, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import BadAgent, BadGraph, BadGuard, BadIndex, BadJudge, BadPrompt, DeclarationError
from perdure.core.ids import version_id
from perdure.surface.governance.entries import entries
from perdure.surface.pinning import pinned_as_known

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.agent import Agent
    from perdure.assets.graph import Graph
    from perdure.assets.index import Index
    from perdure.assets.judge import Judge
    from perdure.assets.project import Project
    from perdure.assets.prompt import Prompt
    from perdure.assets.route import Route
    from perdure.stores.ledger.protocols import LedgerSession
    from perdure.surface.check_policies import Said

    Plain = Route | Guard | Prompt | Judge | Index | Agent | Graph
    """Assets of which the declaration is all there is."""

_OPTIONAL: Mapping[str, frozenset[str]] = {"prompt": frozenset({"examples", "variants"})}
"""Kind → members that a definition has only where they are declared."""
_WITH_PARENT = frozenset({"prompt", "judge", "index", "agent", "graph"})
"""Kinds whose versions say what they were written from: the one that answered then, else the newest."""
DECLARED = "registry.declare"
"""Action of the audit's entry for a declaration that has another version than the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredVersion:
    """The version of a declaration, and how it stands in the ledger."""

    version: Version
    changed: bool
    """The declaration before was of another version, or there was none."""
    registered: bool

    def write(self, session: LedgerSession) -> None:
        """Register it, and tell the change."""
        session.registry.put_version(self.version)
        if self.changed:
            said = {"kind": self.version.kind, "version": self.version.id}
            session.audit.append(DECLARED, self.version.asset, said)

    def target(self, session: LedgerSession, champion: str | None) -> str | None:
        """The version if the champion should move to it, else None."""
        if champion is None or self.changed:
            return self.version.id
        asset = self.version.asset
        moved = max((move.sequence for move in session.pointers.history(asset) if move.name == CHAMPION), default=0)
        since = list(entries(session, subject=asset, after=moved, actions=(DECLARED,)))
        return self.version.id if since and since[-1].facts["version"] == self.version.id else None


def has_learned(guard: Guard) -> bool:
    """Whether a guard's versions hold what a check has learned: then they are made by training."""
    return any(isinstance(check, Learned) for check in guard.checks)


def declared_versions(project: Project, session: LedgerSession, actor: str, at: datetime) -> list[DeclaredVersion]:
    """The version of every route, prompt, judge, index, agent and graph, and of every guard without a learned check."""
    known = {(record.kind, record.name): record.definition for record in session.registry.list_assets()}
    return [
        _declared(session, _version(kind, pinned_as_known(asset, before), actor, at), before)
        for kind, asset in _plain_assets(project)
        for before in (known.get((kind, asset.name)),)
    ]


def refuse_unready(project: Project, names: Iterable[str]) -> None:
    """Nothing is released that no server could load: it would answer no call.

    Args:
        project: where they are declared.
        names: of routes, guards, prompts, judges, indexes, agents and graphs that are to be released as they are declared.

    Raises:
        BadGuard: a guard that cannot judge.
        BadPrompt: a prompt that cannot be rendered, or whose route is not there.
        BadJudge: a judge whose route is not there.
        BadIndex: an index whose documents or embedder are not there.
        BadAgent: an agent whose prompt, tools or what they are of are not there.
        BadGraph: a graph that cannot go through.
    """
    for name in names:
        for level, text, hint in _unready(project, name):
            if level == "error":
                kind = project.kind_of(name)
                raise _UNREADY[kind](f"{kind.capitalize()} {name!r} {text}", hint=hint)


_UNREADY: Mapping[str, type[DeclarationError]] = {
    "guard": BadGuard,
    "prompt": BadPrompt,
    "judge": BadJudge,
    "index": BadIndex,
    "agent": BadAgent,
    "graph": BadGraph,
}


def _unready(project: Project, name: str) -> Said:
    from perdure.surface.check_agents import agent_notes
    from perdure.surface.check_gateway import cannot_judge
    from perdure.surface.check_indexes import index_notes
    from perdure.surface.check_judges import judge_notes
    from perdure.surface.check_prompts import prompt_notes

    if name in project.guards:
        yield from cannot_judge(project.guards[name])
    elif name in project.prompts:
        yield from prompt_notes(project.prompts[name], project)
    elif name in project.judges:
        yield from judge_notes(project.judges[name], project)
    elif name in project.indexes:
        yield from index_notes(project.indexes[name], project)
    elif name in project.agents:
        yield from agent_notes(project.agents[name], project)
    elif name in project.graphs:
        from perdure.surface.check_graphs import graph_notes

        yield from graph_notes(project.graphs[name], project)


def _plain_assets(project: Project) -> Iterator[tuple[str, Plain]]:
    for guard in project.guards.values():
        if not has_learned(guard):
            yield "guard", guard
    for route in project.routes.values():
        yield "route", route
    for prompt in project.prompts.values():
        yield "prompt", prompt
    for judge in project.judges.values():
        yield "judge", judge
    for index in project.indexes.values():
        yield "index", index
    for agent in project.agents.values():
        yield "agent", agent
    for graph in project.graphs.values():
        yield "graph", graph


def _version(kind: str, asset: Plain, actor: str, at: datetime) -> Version:
    definition = plain(asset.definition())
    digest = content_hash(definition)
    return Version(version_id(asset.name, digest), asset.name, kind, definition, {}, {}, {}, at, actor)


def _declared(session: LedgerSession, version: Version, before: Mapping[str, Any] | None) -> DeclaredVersion:
    """The asset's record holds objectives and policy too: only what makes the version is compared."""
    members = {*version.definition, *_OPTIONAL.get(version.kind, ())}
    same = before is not None and {name: before[name] for name in members if name in before} == version.definition
    known = {each.id: each for each in session.registry.list_versions(version.asset)}
    stored = known.get(version.id)
    if stored is not None:
        return DeclaredVersion(stored, not same, registered=True)
    if version.kind in _WITH_PARENT:
        pointed = [each.version for each in session.pointers.list(version.asset) if each.name == CHAMPION]
        parent = [*known, *pointed][-1:]
        version = replace(version, lineage={"parent": parent[0]}) if parent else version
    return DeclaredVersion(version, not same, registered=False)
