"""`/language/agents/{name}` and `/language/graphs/{name}`: what one is made of, and what its runs did lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.surface.console.asking import address, text
from perdure.surface.console.language.cells import NONE, OVERVIEW, count, page_of, usd
from perdure.surface.console.language.drawings import drawing_of
from perdure.surface.console.language.runs import table_of
from perdure.surface.console.language.standing import Standing, standing
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.runs_kept import Chosen, list_runs

_RUNS = 20


@dataclass(frozen=True, slots=True)
class AgentPage:
    """One version of an agent."""

    standing: Standing
    version: str
    pointers: tuple[str, ...]
    prompt: str
    prompt_page: str
    route: str
    tools: Table
    limits: Table
    keeps: str
    gives: str
    shadow: str
    runs: Table
    ended: tuple[tuple[str, int], ...]
    """How the newest runs stand."""


@dataclass(frozen=True, slots=True)
class GraphPage:
    """One version of a graph."""

    standing: Standing
    version: str
    pointers: tuple[str, ...]
    drawing: str
    """A data URI."""
    nodes: Table
    takes: str
    gives: str
    shadow: str
    runs: Table
    ended: tuple[tuple[str, int], ...]


def agent_view(asked: Asked) -> View:
    """`/language/agents/{name}`.

    Raises:
        NotFound: no such agent or version.
    """
    name, wanted = asked.path["name"], text(asked.query, "version", most=200) or "declared"
    shown = asked.project.agents.show(name, wanted)
    told = shown.definition
    runs, ended = _runs(asked, "agent", name)
    data = AgentPage(
        standing=standing(asked, "agent", name),
        version=shown.version,
        pointers=tuple(f"{each.name} {each.share:.0%}" for each in shown.pointers),
        prompt=told["prompt"],
        prompt_page=page_of("prompt", told["prompt"]),
        route=told["route"],
        tools=_tools(told),
        limits=_limits(told["limits"]),
        keeps=told["keeps"],
        gives=_json(told["output"]),
        shadow="" if shown.shadow is None else shown.shadow.words(),
        runs=runs,
        ended=ended,
    )
    return View(name, data, (OVERVIEW,), f"perdure agent show {name}", ("health", "releases"))


def graph_view(asked: Asked) -> View:
    """`/language/graphs/{name}`.

    Raises:
        NotFound: no such graph or version.
        BadGraph: its nodes go in a circle, or an expression cannot be read.
    """
    name, wanted = asked.path["name"], text(asked.query, "version", most=200) or "declared"
    shown = asked.project.show_graph(name, wanted)
    runs, ended = _runs(asked, "graph", name)
    rows = [
        (
            each.name,
            Cell(each.of, page_of(*each.of.split(":", 1))) if ":" in each.of else each.kind,
            f"{each.stage}",
            ", ".join(each.needs) or "the input",
            each.fallback or NONE,
            each.gives,
            each.version or NONE,
        )
        for each in shown.nodes
    ]
    data = GraphPage(
        standing=standing(asked, "graph", name),
        version=shown.version,
        pointers=tuple(f"{each.name} {each.share:.0%}" for each in shown.pointers),
        drawing=drawing_of(asked, name, wanted),
        nodes=Table(
            headings=("Node", "Works with", "Stage", "Needs", "Falls back to", "Gives", "Answers"),
            rows=rows,
            caption="Nodes in the order in which they can run",
            numeric=frozenset({2}),
        ),
        takes=_json(shown.takes),
        gives=_json(shown.gives),
        shadow="" if shown.shadow is None else shown.shadow.words(),
        runs=runs,
        ended=ended,
    )
    return View(name, data, (OVERVIEW,), f"perdure graph show {name}", ("health", "releases"))


def _runs(asked: Asked, kind: str, name: str) -> tuple[Table, tuple[tuple[str, int], ...]]:
    found = list_runs(asked.project, Chosen(name, limit=_RUNS + 1))
    more = address("/language/runs", asset=name) if len(found) > _RUNS else ""
    counts = Counter(str(each.status) for each in found[:_RUNS])
    return table_of(found[:_RUNS], more, f"It never ran: perdure {kind} run {name}"), tuple(counts.most_common())


def _tools(told: Mapping[str, Any]) -> Table:
    rows = []
    for each in told["tools"]:
        terms = each.get("terms", {})
        rest = ", ".join(
            f"{name} {_plain(value)}" for name, value in terms.items() if name not in ("effect", "approve_by")
        )
        effect = str(terms.get("effect", "none"))
        rows.append(
            (
                each["name"],
                each["kind"],
                Cell(effect, tone="mute" if effect == "none" else "warn"),
                terms.get("approve_by") or "nobody",
                rest,
                str(each.get("description") or "").partition("\n")[0],
            )
        )
    headings = ("Tool", "Kind", "Effect", "Needs a yes of", "Terms", "What it does")
    return Table(headings, rows, "Tools, with their terms", empty="It has no tools.")


def _limits(told: Mapping[str, Any]) -> Table:
    rows = [(name.replace("_", " "), _limit(name, value)) for name, value in told.items()]
    return Table(("Limit", "A run"), rows, "Limits of a run", numeric=frozenset({1}))


def _limit(name: str, value: Any) -> str:
    if name == "usd":
        return usd(value)
    return f"{value:g} s" if name == "wall_s" else count(value) if isinstance(value, int) else _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _json(value: Any) -> str:
    if not value:
        return ""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()
