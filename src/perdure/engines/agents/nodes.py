"""Journals as what their nodes did: for each node of a run its versions, failures, and the shape of what it gave.

A node is what can be to blame, and be mended: `prompt:answer`, `route:support`, `index:handbook`, `model:air_time`, `tool:track`, or the
agent or graph itself. Several steps may be of one node, and one step of two: a chat is of its prompt and of the route that answered.
`blame` compares good runs with bad ones by it. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perdure.core.runs import StepRecord
from perdure.core.texts.refusals import refusing_language

_OVER = ("done", "failed", "unknown")
"""States of steps in which something was tried; `begun`, `waiting` and `refused` say nothing of the node."""
MISTAKEN = frozenset({"tool.unknown", "tool.bad_arguments"})
"""Errors of calls that never reached a tool: there is none of that name, or not with such arguments."""
_ROUTE, _PROMPT = "route:", "prompt:"
_MOST_NUMBERS = 50
_NOISE = ("score", "took_us", "seen_at", "event_at", "generation", "age", "latency")
"""Members whose numbers say nothing of what was found."""


@dataclass(slots=True)
class NodeSeen:
    """What one node did in one run."""

    node: str
    first: int
    """Number of its first step in the run."""
    chats: bool = False
    """It speaks by a model: what it says follows from what the other nodes gave it."""
    versions: set[str] = field(default_factory=set)
    n: int = 0
    n_failed: int = 0
    n_empty: int = 0
    n_refused: int = 0
    n_injected: int = 0
    errors: set[str] = field(default_factory=set)
    lengths: list[int] = field(default_factory=list)
    took_us: int = 0
    numbers: dict[str, list[float]] = field(default_factory=dict)
    """By the path of the member, such as `prediction`."""
    words: set[str] = field(default_factory=set)
    """Short texts that it gave, as `path=value`: labels, statuses, ids of documents."""


def nodes_of(steps: Sequence[StepRecord], owners: Mapping[str, str], own: str, version: str) -> dict[str, NodeSeen]:
    """What each node of a run did, by node.

    Args:
        steps: the journal.
        owners: `tool:NAME` or `node:NAME` → the asset behind it, such as `index:handbook`; what is not there stands for itself.
        own: the agent or graph, as `agent:NAME`.
        version: of the agent or graph.
    """
    seen: dict[str, NodeSeen] = {own: NodeSeen(own, 0, versions={version}, n=1)}
    spoke: list[str] = []
    for step in steps:
        if step.state not in _OVER:
            continue
        if step.error in MISTAKEN:
            # A call that no tool could have done is the mistake of whoever made it.
            for node in spoke:
                _fail(seen[node], step)
            continue
        took = behind(step, owners)
        spoke = [node for node, _ in took] if _chats(step) else spoke
        for node, of in took:
            found = seen.setdefault(node, NodeSeen(node, step.n))
            found.chats = found.chats or _chats(step)
            found.versions |= {of} - {""}
            _take(found, step)
    return seen


def behind(step: StepRecord, owners: Mapping[str, str]) -> list[tuple[str, str]]:
    """The nodes that a step is of, each with the version that took part; empty where it is not known."""
    if _chats(step):
        named = {node: of for node, of in step.versions.items() if node.startswith((_PROMPT, _ROUTE))}
        # An agent's chat is of its prompt, whatever the journal calls it.
        return list({**({step.node: step.version} if step.kind == "chat" and not named else {}), **named}.items())
    owner = owners.get(step.node, step.node)
    return [(owner, step.versions.get(owner, "") or (step.version if owner == step.node else ""))]


def _chats(step: StepRecord) -> bool:
    return step.kind == "chat" or any(node.startswith(_PROMPT) for node in step.versions)


def _take(found: NodeSeen, step: StepRecord) -> None:
    found.n += 1
    found.took_us += step.took_us
    if step.state != "done" or step.error:
        _fail(found, step)
        return
    value = value_of(step.output)
    found.n_empty += is_empty(value)
    found.n_injected += float(step.facts.get("injection", 0.0)) >= 0.5
    text = said_in(value)
    found.n_refused += bool(text and len(text) < 500 and refusing_language(text))
    found.lengths.append(len(step.output))
    for path, number in _numbers(value):
        found.numbers.setdefault(path, []).append(number)
    found.words |= _labels(value)


def _fail(found: NodeSeen, step: StepRecord) -> None:
    found.n_failed += 1
    found.errors.add(step.error or step.state)


def value_of(body: bytes) -> Any:
    """A JSON body; what is none, as text."""
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def is_empty(value: Any) -> bool:
    """Whether a result holds nothing: null, an empty text, list or object, or one whose only list of things is empty.

    >>> is_empty({"hits": [], "generation": 4}), is_empty({"hits": [{"text": "x"}]}), is_empty(0)
    (True, False, False)
    """
    if isinstance(value, Mapping):
        lists = [each for each in value.values() if isinstance(each, list)]
        return (
            not value or (bool(lists) and not any(lists)) or all(each is None or each == "" for each in value.values())
        )
    return value is None or value in ("", [])


def said_in(value: Any) -> str:
    """The text of a message or of an output; empty where there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        found = value.get("content", value.get("text"))
        return found if isinstance(found, str) else ""
    return ""


def _numbers(value: Any, path: str = "") -> list[tuple[str, float]]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [] if path.rpartition(".")[2] in _NOISE else [(path or "value", float(value))]
    found: list[tuple[str, float]] = []
    members = value.items() if isinstance(value, Mapping) else (("", each) for each in value)
    for name, each in members:
        found += _numbers(each, f"{path}.{name}".strip("."))
        if len(found) > _MOST_NUMBERS:
            break
    return found[:_MOST_NUMBERS]


def _labels(value: Any, path: str = "") -> set[str]:
    if isinstance(value, str):
        return {f"{path or 'value'}={value}"} if value and len(value) <= 40 else set()
    if isinstance(value, bool):
        return {f"{path or 'value'}={value}"}
    if isinstance(value, Mapping):
        pairs = [each for each in value.items() if each[0] not in _NOISE]
        return {label for name, each in pairs[:20] for label in _labels(each, f"{path}.{name}".strip("."))}
    if isinstance(value, list):
        return {label for each in value[:20] for label in _labels(each, path)}
    return set()
