"""What differs between two runs, step by step: the same run replayed with something swapped, or any two of one agent or graph.

Pure. Steps are laid side by side by what they are of (a chat of a prompt, a call of a tool, a node), as a text's lines are by what they
say: what stands on one side alone was added or left out. Calls side by side in one answer, and nodes side by side, may end in any order: those
that both runs have are laid in the order of the first, and two steps of one node are paired by equal input first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Literal

from perdure.core.runs import RunRecord, StepRecord

Member = Literal["input", "output", "error", "state", "version"]
_OPEN = ("begun", "waiting")
_ASIDE = frozenset({"digest"})
"""Members of an input that say nothing which the others do not."""


@dataclass(frozen=True, slots=True)
class StepPair:
    """One place in two journals."""

    before: StepRecord | None
    """None: the other run alone took this step."""
    after: StepRecord | None
    differs: tuple[Member, ...] = ()
    """Members that are not the same; empty where one side is missing."""

    @property
    def is_same(self) -> bool:
        """Whether both runs took it alike."""
        return self.before is not None and self.after is not None and not self.differs

    @property
    def node(self) -> str:
        """What it is of."""
        told = self.before or self.after
        return "" if told is None else told.node


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two runs side by side."""

    before: RunRecord
    after: RunRecord
    pairs: tuple[StepPair, ...]
    same_output: bool
    """What they gave is the same, and so is how they ended."""

    @property
    def first(self) -> int:
        """Place of the first difference; -1: there is none."""
        return next((n for n, pair in enumerate(self.pairs) if not pair.is_same), -1)


def diff_runs(before: tuple[RunRecord, Sequence[StepRecord]], after: tuple[RunRecord, Sequence[StepRecord]]) -> RunDiff:
    """Two runs with their journals, laid side by side. Cost: quadratic in the steps of a run, some 10 µs a step.

    >>> run = RunRecord(id="r1", kind="agent", asset="desk", version="v", arm="champion", status="done", input=b"{}")
    >>> def step(node: str, gave: bytes) -> StepRecord:
    ...     return StepRecord(run="r1", n=0, kind="tool", state="done", node=node, call="0.0", output=gave)
    >>> found = diff_runs((run, [step("tool:find", b"1"), step("tool:send", b"2")]), (run, [step("tool:find", b"3")]))
    >>> [(pair.node, pair.differs, pair.after is None) for pair in found.pairs]
    [('tool:find', ('output',), False), ('tool:send', (), True)]
    """
    steps = _over(before[1])
    pairs = tuple(_pairs(steps, _in_order(steps, _over(after[1]))))
    same = (before[0].status, _value(before[0].output)) == (after[0].status, _value(after[0].output))
    return RunDiff(before[0], after[0], pairs, same)


def _over(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """What was done: not what began or waited for it."""
    return [step for step in steps if step.state not in _OPEN]


def _in_order(before: list[StepRecord], after: list[StepRecord]) -> list[StepRecord]:
    """The second side with what lies between two chats in the order of the first, as far as both have it; what is new keeps its place."""
    places = {key: place for place, key in enumerate(_keys(before))}
    found: list[StepRecord] = []
    keyed = zip(_keys(after), after, strict=True)
    for chats, group in groupby(keyed, lambda each: each[1].kind == "chat"):
        steps = list(group)
        known = [each for each in steps if each[0] in places]
        ordered = iter(known if chats else sorted(known, key=lambda each: places[each[0]]))
        found += [next(ordered)[1] if key in places else step for key, step in steps]
    return found


def _keys(steps: list[StepRecord]) -> list[tuple[str, str, str, int]]:
    """Each step by its call, and how often that was written down before: what failed for now is there again."""
    seen: Counter[tuple[str, str, str]] = Counter()
    keys: list[tuple[str, str, str, int]] = []
    for step in steps:
        key = (step.kind, step.node, step.call)
        keys.append((*key, seen[key]))
        seen[key] += 1
    return keys


def _pairs(before: list[StepRecord], after: list[StepRecord]) -> list[StepPair]:
    own, other = [[(step.kind, step.node) for step in steps] for steps in (before, after)]
    found: list[StepPair] = []
    for what, a, b, c, d in SequenceMatcher(None, own, other, autojunk=False).get_opcodes():
        left, right = before[a:b], after[c:d]
        if what == "equal":
            found += [_pair(one, two) for one, two in zip(left, _reordered(left, right), strict=True)]
        else:
            found += [*(StepPair(step, None) for step in left), *(StepPair(None, step) for step in right)]
    return found


def _reordered(left: list[StepRecord], right: list[StepRecord]) -> list[StepRecord]:
    """The right side, steps of one node swapped so that equal inputs stand beside each other."""
    ordered = list(right)
    for at, step in enumerate(left):
        if _value(ordered[at].input) == _value(step.input):
            continue
        for later in range(at + 1, len(ordered)):
            same = (ordered[later].kind, ordered[later].node) == (step.kind, step.node)
            if same and _value(ordered[later].input) == _value(step.input):
                ordered[at], ordered[later] = ordered[later], ordered[at]
                break
    return ordered


def _pair(before: StepRecord, after: StepRecord) -> StepPair:
    told: dict[Member, tuple[Any, Any]] = {
        "input": (_value(before.input), _value(after.input)),
        "output": (_value(before.output), _value(after.output)),
        "error": (before.error, after.error),
        "state": (before.state, after.state),
        "version": (_versions(before), _versions(after)),
    }
    return StepPair(before, after, tuple(name for name, (one, two) in told.items() if one != two))


def _versions(step: StepRecord) -> dict[str, str]:
    own = {step.node: step.version} if step.version else {}
    return {**own, **step.versions}


def _value(data: bytes) -> Any:
    """What JSON bytes mean, whatever the order of their members; a chat's digest is left out beside its messages."""
    if not data:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if isinstance(found, dict) and len(found) > 1:
        return {name: value for name, value in found.items() if name not in _ASIDE}
    return found
