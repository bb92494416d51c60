"""The record of a run, as replays are answered by it (a `Replayer`): by the same request, the same arguments, the same input. Pure.

A record whose texts were masked does not give the digests that it was made with: what is masked is said again as it is, and other requests
come of it. As long as nothing differs, the next request is known to be the next one of the record, and is answered by that.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from perdure.core.canonical import bytes_hash
from perdure.core.runs import ReplayAsked, Replayed, RunRecord, StepKind, StepRecord
from perdure.engines.agents.looping import digest_of
from perdure.serve.runs.protocols import ToolAsked
from perdure.serve.runs.showing import value_of
from perdure.serve.runs.standing import ENDS, made_of
from perdure.serve.runs.telling import KEPT

LIVE, RECORDED = "live", "recorded"
"""What a swap of `tool:NAME` or `node:NAME` may say; anything else is JSON of what it gives."""
_COMPUTED = ("tool:", "node:")
_COMPARED = ("chat", "tool", "node")


class _Turns:
    """Entries of one kind, each given once: by its key, or as the next in order."""

    def __init__(self, steps: Iterable[StepRecord], key: Callable[[StepRecord], str]) -> None:
        self._left = dict(enumerate(steps))
        self._by_key: dict[str, deque[int]] = defaultdict(deque)
        for place, step in self._left.items():
            self._by_key[key(step)].append(place)

    def take(self, key: str) -> StepRecord | None:
        places = self._by_key.get(key, deque())
        while places:
            found = self._left.pop(places.popleft(), None)
            if found is not None:
                return found
        return None

    def next(self, node: str) -> StepRecord | None:
        """Of a node; of any where it is empty."""
        place = next((place for place, step in self._left.items() if node in ("", step.node)), None)
        return None if place is None else self._left.pop(place)


class Record:
    """What a run was answered (a `Replayer`).

    Args:
        asked: the run, its journal, and what is swapped.
    """

    def __init__(self, asked: ReplayAsked) -> None:
        self._swaps = asked.swaps
        self._steps = [step for step in asked.steps if step.state in ENDS]
        self._is_masked = any(step.facts.get(KEPT) == "redacted" for step in self._steps)
        self._is_same = True
        """Everything so far was answered as it was then."""
        self._unknown: list[str] = []
        known = [step for step in self._steps if step.facts.get(KEPT) != "none"]
        self._chats = _Turns((step for step in known if step.kind == "chat" and step.state == "done"), _request)
        tools = (step for step in known if step.kind == "tool" and not step.error.startswith("limit."))
        self._tools = _Turns(tools, _tool_key)
        self._nodes = _Turns((step for step in known if step.kind == "node"), _node_key)

    def chat(self, request: bytes) -> StepRecord | None:
        """The recorded answer to the very same request; see `Replayer.chat`."""
        return self._found(self._chats, bytes_hash(request), "")

    def tool(self, asked: ToolAsked) -> StepRecord | None:
        """The recorded result of the same call, or what a swap puts in its place; None: not recorded."""
        node = f"tool:{asked.name}"
        return self._of(self._tools, node, f"{node} {digest_of(asked.arguments)}", "tool")

    def node(self, node: str, input_: bytes) -> StepRecord | None:
        """What `node:NAME` gave to the same input, or what a swap puts in its place; see `Replayer.node`."""
        return self._of(self._nodes, node, f"{node} {digest_of(value_of(input_))}", "node")

    def not_known(self, node: str) -> None:
        """An effect was asked for that stands in no record."""
        self._unknown.append(node)
        self._is_same = False

    def done(self, run: RunRecord, steps: Sequence[StepRecord]) -> Replayed:
        """What came of it, with the first step that differs from the recorded one."""
        return Replayed(
            run=run, steps=tuple(steps), diverged_at=diverged_at(self._steps, steps), unknown=tuple(self._unknown)
        )

    def as_then(self, steps: Sequence[StepRecord]) -> list[StepRecord]:
        """Entries of a replay with what those that the record answered took then: their time, and what runs below them cost."""
        turns = {kind: _Turns((each for each in self._steps if each.kind == kind), key) for kind, key in _KEYS.items()}
        below = defaultdict(list)
        for each in self._steps:
            if each.kind == "child":
                below[each.call].append(each)
        found, added = list(steps), []
        for place, step in enumerate(steps):
            if step.kind not in _KEYS or not step.facts.get("recorded"):
                continue
            then = turns[step.kind].take(_KEYS[step.kind](step)) or turns[step.kind].next(step.node)
            if then is not None:
                found[place] = msgspec.structs.replace(step, took_us=then.took_us)
                added += [_again(each, step) for each in below[then.call]]
        numbered = [msgspec.structs.replace(each, n=n) for n, each in enumerate(added, len(found))]
        return [*found, *numbered]

    def _of(self, turns: _Turns, node: str, key: str, kind: StepKind) -> StepRecord | None:
        """By what a swap says of the node, else from the record."""
        swap = self._swaps.get(node)
        if swap is None:
            return self._found(turns, key, node)
        if swap == RECORDED:
            return self._found(turns, key, node) or turns.next(node)
        self._is_same = False
        if swap == LIVE:
            return None
        return StepRecord(run="", n=0, kind=kind, state="done", node=node, call="", output=swap.encode())

    def _found(self, turns: _Turns, key: str, node: str) -> StepRecord | None:
        """By its key; of a masked record by its turn, as long as nothing differs. What another version answered is none."""
        found = turns.take(key)
        if found is None and self._is_masked and self._is_same:
            found = turns.next(node)
        if found is not None and self._fits(found):
            return found
        self._is_same = False
        return None

    def _fits(self, step: StepRecord) -> bool:
        """Whether what took part is of the versions that the swaps say."""
        took_part = {step.node: step.version, **step.versions} if step.version else step.versions
        swapped = ((name, each) for name, each in self._swaps.items() if not name.startswith(_COMPUTED))
        return all(took_part.get(name, each) == each for name, each in swapped)


def diverged_at(recorded: Sequence[StepRecord], replayed: Sequence[StepRecord]) -> int:
    """Number of the first entry of a replay that says something else than the recorded one of the same call; -1: none does.

    A replay that ends early differs behind its last entry. Side by side calls are held against each other whatever their order.
    """
    then = {(step.kind, step.call): step for step in recorded if step.kind in _COMPARED and step.state in ENDS}
    seen = set()
    for step in replayed:
        if step.kind not in _COMPARED or step.state not in ENDS:
            continue
        known = then.get((step.kind, step.call))
        if known is None or _said(known) != _said(step):
            return step.n
        seen.add((step.kind, step.call))
    return -1 if len(seen) == len(then) else len(replayed)


def _said(step: StepRecord) -> tuple[str, str, bytes, str]:
    """What is compared: the arguments of a call, not those of a model, and what came of it."""
    arguments = made_of(step).arguments if step.kind == "tool" else ""
    return step.node, arguments, step.output, step.error


def _again(below: StepRecord, step: StepRecord) -> StepRecord:
    """What a run below took, under the entry that gives its output again."""
    return msgspec.structs.replace(below, run=step.run, call=step.call, facts={**below.facts, "recorded": True})


def _request(step: StepRecord) -> str:
    told = value_of(step.input)
    digest = told.get("digest", "") if isinstance(told, dict) else ""
    return str(step.facts.get("request") or digest)


def _tool_key(step: StepRecord) -> str:
    return f"{step.node} {made_of(step).arguments}"


def _node_key(step: StepRecord) -> str:
    return f"{step.node} {digest_of(value_of(step.input))}"


_KEYS: Mapping[StepKind, Callable[[StepRecord], str]] = {"tool": _tool_key, "node": _node_key}
"""Of what is computed in no time where it is recorded; answers of models are given again with their time."""
