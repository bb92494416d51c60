"""The static check of a graph: everything that would go wrong at any run, and what may, each with the nearest name that there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perdure.core.errors import nearest
from perdure.engines.graphs.compiled import EACH, INPUT, CompiledGraph, CompiledNode
from perdure.engines.graphs.expressions import SIGN, Constant, Ref
from perdure.engines.graphs.fitting import OUTPUT, Finding, Fitting, Place
from perdure.engines.graphs.planning import circle, wanted_nodes
from perdure.engines.graphs.schemas import TEXT, WHOLE, Schema, told, union
from perdure.engines.graphs.typed import Known, Types, ends_of
from perdure.engines.graphs.values import Items, Members, Template, template_refs

_KINDS = {
    "prompt": "prompt",
    "search": "index",
    "predict": "model",
    "features": "stored feature view",
    "agent": "agent",
}
_MODES = ("hybrid", "dense", "words", "lexical")
_OWN_TERMS = ("timeout", "tries")
_MOST_K = 1000
_MOST_SIDE_BY_SIDE = 64


def check_graph(graph: CompiledGraph, known: Known) -> list[Finding]:
    """What is wrong with a graph, errors first.

    Args:
        graph: compiled with `lenient`.
        known: the assets, tools and functions that its nodes may work with.
    """
    found = [Finding("error", each.node, f"{each.member}: {each.text}", each.hint) for each in graph.wrong]
    found += _names(graph)
    found += _used(graph, known)
    around = circle(graph)
    if around:
        text = f"nodes wait for each other in a circle: {' → '.join(around)}."
        found.append(Finding("error", "", text, "Let one of them do without the other."))
    else:
        types = Types(graph, known)
        found += _references(graph, types)
        found += _fits(graph, known, types)
    for node in graph.nodes.values():
        found += _terms(node)
    found += _lonely(graph)
    found += [each for value, place in _values(graph) for each in _signs(graph, value, place)]
    return sorted(dict.fromkeys(found), key=lambda each: each.level)


def _values(graph: CompiledGraph) -> Iterator[tuple[Template, Place]]:
    for node in graph.nodes.values():
        for member, value in node.given.items():
            yield value, Place(node, member)
        for _, value in node.rules:
            yield value, Place(node, "rules")
    yield graph.output, Place(None, OUTPUT)


def _names(graph: CompiledGraph) -> Iterator[Finding]:
    """Nodes that are named and not there."""
    for node in graph.nodes.values():
        for member, others in (("after", node.after), ("fallback", (node.fallback,) if node.fallback else ())):
            for other in others:
                if other not in graph.nodes:
                    yield Place(node, member).error(f"there is no node {other!r}.", _did(other, graph.nodes))
                elif member == "after" and graph.nodes[other].only_as_fallback:
                    yield Place(node, member).error(*_only_stands_in(graph, other))
    for member, owner, ref in _all_refs(graph):
        yield from _named(graph, ref, Place(owner, member))


def _named(graph: CompiledGraph, ref: Ref, place: Place) -> Iterator[Finding]:
    node = place.node
    over_list = node is not None and node.each is not None
    if ref.node == EACH and (not over_list or place.member == EACH):
        yield place.error(f"{ref} has no meaning here: nothing is computed over a list.", "Write each='$a_list'.")
    elif ref.node in graph.nodes:
        if graph.nodes[ref.node].only_as_fallback:
            yield place.error(*_only_stands_in(graph, ref.node))
    elif ref.node not in (INPUT, EACH):
        near = [*graph.nodes, INPUT, *([EACH] if over_list else [])]
        yield place.error(f"there is no node {ref.node!r} at column {ref.column}.", _did(ref.node, near, SIGN))


def _only_stands_in(graph: CompiledGraph, name: str) -> tuple[str, str]:
    instead = next((each.name for each in graph.nodes.values() if each.fallback == name), "")
    hint = f"Name {instead!r}, for which it stands in." if instead else "Leave out only_as_fallback=True."
    return f"{name!r} only stands in for others.", hint


def _all_refs(graph: CompiledGraph) -> Iterator[tuple[str, CompiledNode | None, Ref]]:
    for node in graph.nodes.values():
        for member, ref in node.refs():
            yield member, node, ref
    for ref in template_refs(graph.output):
        yield OUTPUT, None, ref


def _used(graph: CompiledGraph, known: Known) -> Iterator[Finding]:
    """Assets that are named and not there."""
    for node in graph.nodes.values():
        if node.of and node.of not in known.assets:
            kind, _, name = node.of.partition(":")
            there = [each.partition(":")[2] for each in known.assets if each.startswith(f"{kind}:")]
            yield Place(node, kind).error(f"there is no {_KINDS[node.kind]} {name!r}.", _did(name, there))


def _references(graph: CompiledGraph, types: Types) -> Iterator[Finding]:
    """Members that are read and not there."""
    for member, node, ref in _all_refs(graph):
        read = types.read(ref, node, types.facts_of(node))
        if read.schema is not None:
            continue
        owner = Ref(ref.node, ref.path[: read.at])
        step = ref.path[read.at]
        place = Place(node, member)
        if isinstance(step, int) or not read.known:
            found = types.read(owner, node, types.facts_of(node)).schema or {}
            what = "items" if isinstance(step, int) else f"member {step!r}"
            yield place.error(f"{owner} has no {what}: it is {told(found)}.", f"Write {owner}.")
        else:
            hint = _did(step, read.known, f"{owner}.")
            yield place.error(f"{owner} has no member {step!r} at column {ref.column}.", hint)


def _fits(graph: CompiledGraph, known: Known, types: Types) -> Iterator[Finding]:
    """Types that do not fit, and conditions that are never true."""
    fitting = Fitting(types)
    for node in graph.nodes.values():
        facts = frozenset(types.facts_of(node))
        if node.when is not None:
            yield from fitting.condition(node.when, Place(node, "when"))
        if node.each is not None:
            yield from fitting.each(node.each, Place(node, "each", facts))
        for condition, _ in node.rules:
            yield from fitting.condition(condition, Place(node, "rules", facts))
        wanted = _wanted(node, known)
        if wanted is not None:
            for member, value in node.given.items():
                yield from fitting.value(value, wanted, Place(node, member, facts))


def _wanted(node: CompiledNode, known: Known) -> Schema | None:
    if node.kind == "features":
        return union([TEXT, WHOLE])
    ends = ends_of(node, known)
    return None if ends is None or node.kind == "rule" else ends.takes


def _terms(node: CompiledNode) -> Iterator[Finding]:
    """Terms that mean nothing."""
    yield from _tool_terms(node)
    if node.kind == "rule" and not node.rules and not node.told.get("rules"):
        yield Place(node, "rules").warning("there is none.", "Write rules=[(\"$input.n > 3\", 'many')].")
    if node.kind == "search":
        if node.told.get("mode") not in _MODES:
            mode = str(node.told.get("mode"))
            yield Place(node, "mode").error(f"there is no way to search named {mode!r}.", _did(mode, _MODES))
        if not 1 <= int(node.told.get("k", 5)) <= _MOST_K:
            yield Place(node, "k").error(f"it gives {node.told['k']} chunks.", f"Use 1 to {_MOST_K}.")
    if node.timeout_s <= 0:
        yield Place(node, "timeout").error("it has no time.", "Give more than 0.")
    for name, least, most in (("tries", 1, 10), ("side_by_side", 1, _MOST_SIDE_BY_SIDE)):
        if not least <= int(node.told.get(name, least)) <= most:
            yield Place(node, name).error(f"{node.told[name]} is out of range.", f"Use {least} to {most}.")
    if node.fallback == node.name:
        yield Place(node, "fallback").error("it cannot stand in for itself.", "Name another node.")


def _tool_terms(node: CompiledNode) -> Iterator[Finding]:
    if node.kind not in ("tool", "agent"):
        return
    terms = node.told.get("tool", {}).get("terms", {})
    if node.cache_s and (node.kind == "agent" or terms.get("effect", "none") != "none"):
        yield Place(node, "cache").error("what may change something is never given from a cache.", "Leave cache= out.")
    for name in _OWN_TERMS:
        if name in node.told:
            whose = "the tool's terms" if node.kind == "tool" else "the agent's limits"
            yield Place(node, name).warning("it has no effect here.", f"Set it in {whose}.")


def _lonely(graph: CompiledGraph) -> Iterator[Finding]:
    """Nodes that nothing comes of."""
    wanted = wanted_nodes(graph)
    stand_ins = {node.fallback for node in graph.nodes.values()}
    for node in graph.nodes.values():
        if node.only_as_fallback and node.name not in stand_ins:
            yield Place(node, "only_as_fallback").error(
                "it stands in for no node, so it never runs.", f'Write fallback="{node.name}" at one of them.'
            )
        elif node.name not in wanted and not _changes_something(node) and not _feeds_a_change(graph, node.name):
            text = "nothing comes of it: neither the output nor a node that changes something reads it."
            yield Finding("warning", node.name, text, "Leave it out, or refer to it.")


def _changes_something(node: CompiledNode) -> bool:
    if node.kind == "agent":
        return True
    effect = node.told.get("tool", {}).get("terms", {}).get("effect", "none")
    return node.kind == "tool" and effect != "none"


def _feeds_a_change(graph: CompiledGraph, name: str) -> bool:
    todo, seen = [name], {name}
    while todo:
        here = todo.pop()
        for node in graph.nodes.values():
            if node.name not in seen and (here in node.needs() or node.fallback == here):
                if _changes_something(node):
                    return True
                seen.add(node.name)
                todo.append(node.name)
    return False


def _signs(graph: CompiledGraph, value: Template, place: Place) -> Iterator[Finding]:
    """Texts that hold what looks like a reference, and is none."""
    if isinstance(value, Constant) and isinstance(value.value, str):
        names = (*graph.nodes, INPUT, EACH)
        head, dot, rest = value.value.partition(".")
        if head in names and dot and rest.replace(".", "_").isidentifier():
            yield place.warning(
                f"{value.value!r} is given as a text.", f"Write {SIGN}{value.value} for what stands there."
            )
        told_name = next((name for name in names if f"{SIGN}{name}" in value.value[1:]), None)
        if told_name is not None:
            yield place.warning(
                f"the text {value.value[:60]!r} is given as it is: references are not filled into texts.",
                f"Give {SIGN}{told_name} alone, or put the text together in a PythonNode.",
            )
    elif isinstance(value, Members):
        for name, each in value.members.items():
            yield from _signs(graph, each, place.below(name))
    elif isinstance(value, Items):
        for each in value.items:
            yield from _signs(graph, each, place)


def _did(name: str | int, known: Iterable[str], before: str = "") -> str:
    names = list(known)
    near = nearest(str(name), names)
    if near:
        return f"Did you mean {before}{near}?"
    return f"There are {', '.join(sorted(names)[:8])}." if names else "There is none."
