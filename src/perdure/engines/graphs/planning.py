"""In which order the nodes of a graph run, what may run side by side, and where they wait for each other in a circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perdure.core.errors import BadGraph
from perdure.engines.graphs.compiled import CompiledGraph
from perdure.engines.graphs.values import template_refs


@dataclass(frozen=True, slots=True)
class Plan:
    """How a graph runs."""

    stages: Sequence[Sequence[str]]
    """Nodes that can run side by side, stage by stage; in a run a node begins as soon as its own needs are over."""
    needs: Mapping[str, Sequence[str]]
    """Node → those that it waits for, its fallback left out."""
    fed: Mapping[str, Sequence[str]]
    """Node → those that wait for it."""
    wanted: frozenset[str]
    """Nodes that the output comes from, directly or by others, their fallbacks too."""

    @property
    def order(self) -> list[str]:
        """Every node once, none before what it needs."""
        return [name for stage in self.stages for name in stage]


def plan_graph(graph: CompiledGraph) -> Plan:
    """The plan of a graph whose names are all there.

    Raises:
        BadGraph: a node waits for itself, or names one that is not there.
    """
    known = graph.nodes.keys()
    needs = {name: [each for each in node.needs() if each in known] for name, node in graph.nodes.items()}
    missing = [(name, each) for name, node in graph.nodes.items() for each in node.needs() if each not in known]
    if missing:
        name, other = missing[0]
        raise BadGraph(f"Node {name!r} of graph {graph.name!r} names {other!r}, which is no node of it.")
    alone = [each for others in needs.values() for each in others if graph.nodes[each].only_as_fallback]
    if alone:
        raise BadGraph(f"A node of graph {graph.name!r} names {alone[0]!r}, which only stands in for others.")
    around = circle(graph)
    if around:
        raise BadGraph(
            f"Nodes of graph {graph.name!r} wait for each other in a circle: {' → '.join(around)}.",
            hint="Let one of them do without the other.",
            circle=list(around),
        )
    fed: dict[str, list[str]] = {name: [] for name in known}
    for name, others in needs.items():
        for each in others:
            fed[each].append(name)
    return Plan(_stages(graph, needs), needs, fed, wanted_nodes(graph))


def waits_for(graph: CompiledGraph) -> dict[str, list[str]]:
    """Node → what it may have to wait for: what it reads, what it is told to run after, and its fallback."""
    found = {}
    for name, node in graph.nodes.items():
        others = [*node.needs(), *([node.fallback] if node.fallback else [])]
        found[name] = [each for each in dict.fromkeys(others) if each in graph.nodes]
    return found


def circle(graph: CompiledGraph) -> list[str]:
    """One circle of nodes, its first named again at its end; empty where there is none."""
    waits = waits_for(graph)
    over: set[str] = set()
    for start in waits:
        way: list[str] = []
        todo = [(start, iter(waits[start]))] if start not in over else []
        if todo:
            way.append(start)
        while todo:
            name, others = todo[-1]
            other = next((each for each in others if each not in over), None)
            if other is None:
                over.add(name)
                way.pop()
                todo.pop()
            elif other in way:
                return [*way[way.index(other) :], other]
            else:
                way.append(other)
                todo.append((other, iter(waits[other])))
    return []


def wanted_nodes(graph: CompiledGraph) -> frozenset[str]:
    """Nodes that the output comes from."""
    waits = waits_for(graph)
    todo = [ref.node for ref in template_refs(graph.output)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name in graph.nodes and name not in found:
            found.add(name)
            todo += waits[name]
    return frozenset(found)


def _stages(graph: CompiledGraph, needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Each node in the first stage behind all that it needs; a fallback behind those that it stands in for."""
    stands_for: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if node.fallback and graph.nodes[node.fallback].only_as_fallback:
            stands_for.setdefault(node.fallback, []).append(name)
    stage: dict[str, int] = {}
    left = list(graph.nodes)
    while left:
        ready = [each for each in left if all(other in stage for other in (*needs[each], *stands_for.get(each, ())))]
        for name in ready:
            before = [stage[each] for each in (*needs[name], *stands_for.get(name, ())) if each in stage]
            stage[name] = 1 + max(before, default=-1)
        left = [each for each in left if each not in stage]
    return [[name for name in graph.nodes if stage[name] == at] for at in range(1 + max(stage.values()))]
