"""Wires the loop's side of agents and graphs: their kinds, what of the project can be blamed, and how they are watched.

Nothing of their recipes is loaded for a project that declares neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from perdure.assets.project import Project
from perdure.loop.protocols import Kind, Watched

if TYPE_CHECKING:
    from perdure.assets.agent import Agent
    from perdure.assets.graph import Graph
    from perdure.loop.work.prompts.online_judged import Judging


def with_runs(made: Mapping[str, Kind], assets: Sequence[Watched]) -> Mapping[str, Kind]:
    """The kinds with those of agents and graphs, and with what of the others can be blamed.

    Args:
        made: the other kinds.
        assets: everything that is watched.
    """
    from perdure.loop.work.runs.blamed import with_blame
    from perdure.loop.work.runs.kind import run_kind
    from perdure.loop.work.runs.watched import MENDED

    known = {**made, "agent": run_kind("agent", assets), "graph": run_kind("graph", assets)}
    return {name: with_blame(kind, assets) if name in MENDED else kind for name, kind in known.items()}


def watched_with_runs(project: Project, others: Sequence[Watched]) -> list[Watched]:
    """The other assets and then agents and graphs; what these use is also healthy only while nobody blames it."""
    runs: list[Agent | Graph] = [*project.agents.values(), *project.graphs.values()]
    if not runs:
        return list(others)
    from perdure.loop.work.runs.watched import blamable, watched_run

    routes = {prompt.name: prompt.route for prompt in project.prompts.values()}
    sources = {view.name: view.source.name for view in project.views.values() if view.source is not None}
    return blamable([*others, *(watched_run(each, routes, sources, project.judges) for each in runs)])


def judging_of_runs(assets: Sequence[Watched]) -> Sequence[tuple[Watched, Sequence[Judging]]]:
    """Agents and graphs whose objectives rest on judges, with what these are asked."""
    runs = [each for each in assets if each.kind in ("agent", "graph")]
    if not runs:
        return []
    from perdure.loop.work.runs.judging import all_wanted

    return [(each, list(all_wanted(each))) for each in runs]
