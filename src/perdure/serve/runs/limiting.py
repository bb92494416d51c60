"""Limits of one run: what its journal says it took, what its steps under way will take, and what the runs below it take meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from perdure.assets.agent import RunLimits
from perdure.core.clock import monotonic_s
from perdure.core.runs import StepRecord
from perdure.engines.agents.limits import Taken, covered_s, first_reached, what_is_left
from perdure.serve.runs.protocols import Journal, LimitHit, Spent

_OPEN = ("begun", "waiting", "unknown")
_COUNTED = ("chat", "tool")
BELOW = "steps"
"""Member of `facts` of a `child` entry: how many steps the run below took."""


def spent_of(steps: Sequence[StepRecord]) -> Spent:
    """What entries of a journal took, but for time: answers of models, calls of tools, and what the runs below took.

    A call that was begun and is not over counts when it is. What a tool and the run below it cost stands in two entries, each once.
    """
    n = tokens = pusd = 0
    unpriced = False
    for step in steps:
        if step.state in _OPEN:
            continue
        n += int(step.facts.get(BELOW, 0)) if step.kind == "child" else int(step.kind in _COUNTED)
        tokens += step.usage.n_total if step.usage is not None else 0
        pusd += step.cost_pusd or 0
        unpriced = unpriced or step.cost_pusd is None or bool(step.facts.get("unpriced", False))
    return Spent(n, tokens, pusd, unpriced)


class Limiter:
    """The limits of one run (`Guarding`).

    Args:
        limits: of the run as declared.
        journal: of the run.
        above: of the run that began it, where it is driven in this process: what is left there holds here too.
    """

    def __init__(self, limits: RunLimits, journal: Journal, above: Limiter | None = None) -> None:
        self._began_s = monotonic_s()
        self._journal = journal
        self._above = above
        self._below: list[Limiter] = []
        self._under_way: set[str] = set()
        self._summed = Spent()
        self._n_summed = 0
        self._before_s = covered_s([(step.began_us, step.took_us) for step in journal.steps])
        self.limits: RunLimits = limits if above is None else what_is_left(above.limits, above.taken(), limits)
        self.depth_left: int = limits.depth if above is None else min(limits.depth, above.depth_left - 1)

    def spent(self) -> Spent:
        """So far: of its own entries, and of the runs below that are under way."""
        own = self._own()
        below = [each.spent() for each in self._below]
        return Spent(
            own.steps + sum(each.steps for each in below),
            own.tokens + sum(each.tokens for each in below),
            own.pusd + sum(each.pusd for each in below),
            own.unpriced or any(each.unpriced for each in below),
            self._before_s + monotonic_s() - self._began_s,
        )

    def taken(self) -> Taken:
        """The same with what is under way, in figures that limits are held against."""
        spent = self.spent()  # first: what it finds written is under way no more
        return Taken(spent.steps + self.n_under_way(), spent.tokens, spent.pusd, spent.wall_s)

    def check(self) -> None:
        """Before each step: its own limits, and those of every run above it.

        Raises:
            LimitHit: one is reached.
        """
        reached = first_reached(self.limits, self.taken())
        if reached is not None:
            raise LimitHit(*reached)
        if self._above is not None:
            self._above.check_below()

    def check_below(self) -> None:
        """Before a step of a run below: the tool call that it is part of is under way, and is not counted against it.

        Raises:
            LimitHit: a limit of this run, or of one above it, is reached.
        """
        taken = self.taken()
        reached = first_reached(
            self.limits, Taken(taken.steps - len(self._under_way), taken.tokens, taken.pusd, taken.wall_s)
        )
        if reached is not None:
            raise LimitHit(*reached)
        if self._above is not None:
            self._above.check_below()

    def check_depth(self) -> None:
        """Before a run is begun below this one.

        Raises:
            LimitHit: it would be too deep.
        """
        if self.depth_left < 1:
            raise LimitHit("limit.depth", "The run may begin no run below it: it is as deep as its limits allow.")

    def left_s(self) -> float:
        """Seconds that the run may still be driven; never below 0."""
        own = max(0.0, self.limits.wall.total_seconds() - self._before_s - (monotonic_s() - self._began_s))
        return own if self._above is None else min(own, self._above.left_s())

    @contextmanager
    def step(self, call: str) -> Iterator[None]:
        """Check, and count a call as under way until its entry is written: what is called side by side stays within the limits.

        Raises:
            LimitHit: a limit is reached.
        """
        self.check()
        self._under_way.add(call)
        try:
            yield
        finally:
            self._under_way.discard(call)

    @contextmanager
    def below(self, limiter: Limiter) -> Iterator[None]:
        """While a run below is driven, count what it takes."""
        self._below.append(limiter)
        try:
            yield
        finally:
            self._below.remove(limiter)

    def _own(self) -> Spent:
        """Of its own entries; each is read once."""
        steps = self._journal.steps
        if len(steps) > self._n_summed:
            added = steps[self._n_summed :]
            self._under_way.difference_update(each.call for each in added if each.state not in _OPEN)
            new = spent_of(added)
            old = self._summed
            self._summed = Spent(
                old.steps + new.steps, old.tokens + new.tokens, old.pusd + new.pusd, old.unpriced or new.unpriced
            )
            self._n_summed = len(steps)
        return self._summed

    def n_under_way(self) -> int:
        """Calls that are under way, with those of the runs below."""
        return len(self._under_way) + sum(each.n_under_way() for each in self._below)
