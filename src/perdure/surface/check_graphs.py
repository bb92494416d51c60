"""What `perdure check` says of graphs: circles, nodes and members that are not there, types that do not fit, each with its line.

Called by `checks`, and before a graph is released.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.surface.check_agents import unasked_notes

if TYPE_CHECKING:
    from perdure.assets.graph import Graph
    from perdure.assets.project import Project
    from perdure.surface.check_policies import Said

_ENOUGH = "task_success(over=days(1)) >= 0.8, failed_ratio(over=hours(6)) <= 0.05"


def graph_notes(graph: Graph, project: Project) -> Said:
    """A graph against what the project declares, its functions, and its objectives."""
    from perdure.engines.graphs.checking import check_graph
    from perdure.engines.graphs.compiled import compile_graph
    from perdure.surface.graph_known import known_nodes, known_of

    compiled = compile_graph(graph.name, graph.definition(), lenient=True)
    known, wrong = known_nodes(graph, project, known_of(project))
    lines = _lines(graph, project)
    for name, error in wrong.items():
        yield "error", f"{_told(name, lines)}{_going_on(error.message)}", error.hint
    for found in check_graph(compiled, known):
        yield found.level, f"{_told(found.node, lines)}{_going_on(found.text)}", found.hint
    if not graph.healthy:
        yield "warning", "has no objectives: it can decay unseen.", f"Write: healthy=[{_ENOUGH}]"
    yield from unasked_notes(graph, project)


def _told(node: str, lines: dict[str, int]) -> str:
    if not node:
        return "cannot run: "
    if node == "output":
        return "at its "
    return f"in node {node!r} (line {lines[node]}), " if node in lines else f"in node {node!r}, "


def _going_on(text: str) -> str:
    """A sentence that goes on where another began: its first word small, unless that is a name in capitals."""
    first = text.partition(" ")[0]
    return text if first[1:] != first[1:].lower() else text[:1].lower() + text[1:]


def _lines(graph: Graph, project: Project) -> dict[str, int]:
    """Line of each node in the graph's own file, where it can be told."""
    place = getattr(project, "places", {}).get(("graph", graph.name))
    if not place:
        return {}
    name, _, line = str(place).rpartition(":")
    try:
        tree = ast.parse(Path(getattr(project, "folder", ""), name).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    own = next((each for each in tree.body if each.lineno == int(line)), None)
    return {**dict(_named(tree)), **(dict(_named(own)) if own is not None else {})}


def _named(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _callee(call).endswith("Node"):
            named = [each.value for each in call.keywords if each.arg == "name"]
            first = next(iter([*call.args, *named]), None)
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, call.lineno


def _callee(call: ast.Call) -> str:
    function = call.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
