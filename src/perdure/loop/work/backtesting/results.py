"""What a backtest gives: figures a policy, and the optimum that hindsight knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perdure.loop.work.backtesting.line import Change


@dataclass(frozen=True, slots=True)
class Stretch:
    """Mean error over the answers of a month or week."""

    name: str
    start: datetime
    n: int
    error: float


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """One policy over the whole replay. All but `cpu_s` is the same in every run."""

    name: str
    error: float
    """Mean absolute error in the label's unit, or mean log loss in nats."""
    change: float
    """Share by which it differs from `never`; below 0 is better."""
    n_retrains: int
    """Times that new candidates were fitted."""
    n_releases: int
    n_rejected: int
    """Repairs of which nothing was released."""
    n_rollbacks: int
    cpu_s: float
    """Of all its fits, also those that another policy had asked for before."""
    n_false_retrains: int | None
    """Retrains in the stretch that was declared quiet; None without one."""
    costs: Mapping[float, float]
    """Cost ratio → mean error with the price of the retrains, in the error's unit."""
    regrets: Mapping[float, float]
    """Cost ratio → how much more that is than the optimum."""
    by_month: Sequence[Stretch]
    by_week: Sequence[Stretch]
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class Optimum:
    """The cheapest schedule that hindsight finds at one cost ratio."""

    ratio: float
    cost: float
    error: float
    n_retrains: int
    schedule: str
    """`hindsight`, or the policy whose own schedule was cheaper still, by going back to past versions."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """A replay of a model's history through policies."""

    model: str
    policy: str
    """The declared policy in words."""
    metric: str
    unit: str
    start: datetime
    end: datetime
    step: timedelta
    label_delay: str
    quiet: tuple[datetime, datetime] | None
    n_rows: int
    """Labelled rows that every policy answered."""
    n_fits: int
    """Candidates that were made, beside the first version."""
    fits_cpu_s: float
    ratios: Sequence[float]
    policies: Sequence[PolicyResult]
    optima: Sequence[Optimum]

    def optimum(self, ratio: float) -> Optimum:
        """The optimum at one of `ratios`."""
        return next(each for each in self.optima if each.ratio == ratio)
