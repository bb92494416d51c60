"""An agent or a graph as the loop watches it: what it is made of, and which of that can be to blame and be mended.

Compose makes them by `watched_run`, and gives by `blamable` every asset that one of them uses the objective that nobody blames it.
An agent rests on what it uses: while that is mended, nothing is done to the agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perdure.assets.agent import Agent
from perdure.assets.graph import Graph, ToolNode
from perdure.assets.judge import Judge
from perdure.assets.objective import SignalSpec
from perdure.assets.repair import BLAMED
from perdure.assets.scorers import Judged
from perdure.core.units import hours
from perdure.loop.protocols import Watched

MENDED = ("prompt", "route", "index", "model", "agent", "graph")
"""Kinds with versions or a state that their own remedies mend; whatever else is to blame, a person is asked about."""
_MEMBERS = {"search": ("index", "index"), "predict": ("model", "model"), "features": ("feature_view", "view"),
            "agent": ("agent", "agent"), "prompt": ("prompt", "prompt")}  # fmt: skip
"""Kind of a tool or a node → kind of the asset behind it, and the member that names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Working:
    """The declaration of an agent or a graph, and what of the project it works with."""

    declared: Agent | Graph
    routes: Mapping[str, str] = field(default_factory=dict)
    """Prompt → its route, of the prompts that it uses."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Feature view → its source, of the views that it uses."""
    judges: tuple[Judge, ...] = ()
    """Declared ones that its `success` asks, each by itself."""


def watched_run(
    declared: Agent | Graph,
    routes: Mapping[str, str] | None = None,
    sources: Mapping[str, str] | None = None,
    judges: Mapping[str, Judge] | None = None,
) -> Watched:
    """The agent or graph as the loop sees it: resting on all that it uses.

    Args:
        declared: it.
        routes: prompt → route, of the project's prompts.
        sources: feature view → source, of the project's views.
        judges: the project's, by name.
    """
    used = [each.partition(":")[::2] for each in declared.uses()]
    mine = {name: routes[name] for kind, name in used if kind == "prompt" and routes and routes.get(name)}
    views = {name: sources[name] for kind, name in used if kind == "feature_view" and sources and name in sources}
    above = [name for kind, name in used if kind != "feature_view"]
    asked = [each.judge for each in declared.success if isinstance(each, Judged)]
    told = tuple(judges[name] for name in dict.fromkeys(asked) if name in judges) if judges else ()
    rests_on = tuple(dict.fromkeys([*above, *mine.values(), *views.values(), *(each.name for each in told)]))
    kind = "agent" if isinstance(declared, Agent) else "graph"
    return Watched(
        declared.name, kind, tuple(declared.healthy), declared.policy, Working(declared, mine, views, told), rests_on
    )


def blamable(assets: Sequence[Watched]) -> list[Watched]:
    """The assets, where those that agents and graphs use are also healthy only while nobody blames them."""
    used = {name for asset in assets if asset.kind in ("agent", "graph") for name in asset.rests_on}
    owed = {asset.name for asset in assets if asset.name in used and asset.kind in MENDED}
    return [replace(each, healthy=(*each.healthy, blamed() <= 0.0)) if each.name in owed else each for each in assets]


def blamed() -> SignalSpec:
    """1 while runs of an agent or a graph are laid at an asset's door, else 0."""
    return SignalSpec(BLAMED, hours(1))


def declared_of(asset: Watched) -> Agent | Graph:
    """The declared agent or graph."""
    given = asset.declaration
    found: Agent | Graph = given.declared if isinstance(given, Working) else given
    return found


def judges_of(asset: Watched) -> Mapping[str, Judge]:
    """The declared judges that its `success` asks, by name."""
    given = asset.declaration
    return {each.name: each for each in given.judges} if isinstance(given, Working) else {}


def own_node(asset: Watched) -> str:
    """It as a node, such as `agent:support`."""
    return f"{asset.kind}:{asset.name}"


def owners_of(asset: Watched) -> dict[str, str]:
    """`tool:NAME` or `node:NAME` → the node behind it: an asset, a tool, or of a rule or code the graph itself."""
    declared = declared_of(asset)
    if isinstance(declared, Agent):
        return dict(_tools(declared.tools))
    found: dict[str, str] = {}
    for node in declared.nodes:
        if isinstance(node, ToolNode):
            found |= dict(_tools([node.tool]))
            found[f"node:{node.name}"] = found.get(f"tool:{node.tool.name}", f"tool:{node.tool.name}")
        else:
            found[f"node:{node.name}"] = _behind(node) or own_node(asset)
    return found


def _tools(tools: Iterable[Any]) -> list[tuple[str, str]]:
    return [(f"tool:{tool.name}", behind) for tool in tools if (behind := _behind(tool))]


def _behind(part: Any) -> str:
    kind, member = _MEMBERS.get(part.kind, ("", ""))
    return f"{kind}:{getattr(part, member)}" if kind else ""


def asset_behind(node: str) -> str:
    """The name of the asset that a node is, where its own remedies can mend it; empty of tools, views and whatever else.

    >>> asset_behind("prompt:answer"), asset_behind("tool:track"), asset_behind("feature_view:weather")
    ('answer', '', '')
    """
    kind, _, name = node.partition(":")
    return name if kind in MENDED else ""
