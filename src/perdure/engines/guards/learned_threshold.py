"""From which score on a text is caught: as low as the false blocks that are allowed let it be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import TooFewRows

SURE = 0.95
"""How sure it is, one-sided, that the share of harmless texts caught is not above the bound."""

_ODD_ONES = 0.01
"""Share of known attacks that a threshold need not go down for."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold with what it rests on."""

    value: float
    n_harmless: int
    n_caught: int
    """Harmless texts at or above it."""
    upper: float
    """Exact upper bound of the share of harmless texts caught."""
    held: bool
    """Whether that bound is below what is allowed; with too few harmless texts it cannot be."""


def upper_bound(n_hits: int, n: int, *, sure: float = SURE) -> float:
    """The exact one-sided upper bound of a share: the p at which so few hits have the probability 1 - sure.

    Raises:
        TooFewRows: n is 0.

    Cost: some 20 µs.  Source: C. Clopper, E. Pearson, Biometrika 26 (1934); checked against scipy.

    >>> round(upper_bound(0, 149), 4)
    0.0199
    """
    if n < 1:
        raise TooFewRows("No share can be bounded without a text.", hint="Give harmless texts.", n=n, n_needed=1)
    if n_hits >= n:
        return 1.0
    low, high = n_hits / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(n_hits, n, middle) > 1.0 - sure else (low, middle)
    return high


def _at_most(n_hits: int, n: int, p: float) -> float:
    """P(a binomial is at most n_hits), in logarithms, so that large n do not underflow."""
    if p >= 1.0:
        return 0.0
    k = np.arange(n_hits + 1, dtype=np.float64)
    log_choose = _log_factorials(n)[n] - _log_factorials(n)[: n_hits + 1] - _log_factorials(n)[n - n_hits : n + 1][::-1]
    logs = log_choose + k * math.log(p) + (n - k) * math.log1p(-p)
    peak = float(logs.max())
    return float(math.exp(peak) * np.exp(logs - peak).sum())


_LOGS: dict[str, NDArray[np.float64]] = {"log": np.zeros(1)}


def _log_factorials(n: int) -> NDArray[np.float64]:
    known = _LOGS["log"]
    if len(known) <= n:
        known = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 2 * n + 2, dtype=np.float64)))])
        _LOGS["log"] = known
    return known


def choose_threshold(
    harmless: NDArray[np.floating[Any]], max_false_block: float, *, at_least: float = 0.0
) -> Threshold:
    """The lowest threshold of use whose false blocks are surely within what is allowed.

    Where so few harmless texts are known that no threshold is, it lies above all of them.

    Args:
        harmless: scores of harmless texts by models that had not seen them, shape (n,).
        max_false_block: share of harmless texts that may be caught.
        at_least: a lower threshold would catch no attack that is known, only what nobody has seen yet, good or bad.

    Raises:
        TooFewRows: no harmless text.

    >>> found = choose_threshold(np.linspace(0.0, 0.5, 1000), 0.02)
    >>> found.n_caught, found.held, round(found.value, 3)
    (12, True, 0.494)
    """
    ranked = np.sort(np.asarray(harmless, dtype=np.float64))[::-1]
    n = len(ranked)
    upper_bound(0, n)
    caught = _allowed(n, max_false_block)
    # Of equal scores either all are caught or none is.
    while 0 < caught < n and ranked[caught - 1] == ranked[caught]:
        caught -= 1
    above = ranked[caught - 1] if caught else 1.0
    below = ranked[caught] if caught < n else 0.0
    value = (above + below) / 2.0 if caught else min(1.0, below + 0.25 * (1.0 - below))
    value = max(float(value), at_least)
    caught = int((ranked >= value).sum())
    upper = upper_bound(caught, n)
    return Threshold(value, n, caught, upper, upper <= max_false_block)


def least_of_use(harmful: NDArray[np.floating[Any]]) -> float:
    """Where a threshold stops catching known attacks as it falls: a half, or lower where attacks score below that.

    >>> least_of_use(np.linspace(0.8, 1.0, 100)), least_of_use(np.array([0.2] * 10 + [0.9] * 90))
    (0.5, 0.2)
    """
    return min(0.5, float(np.quantile(harmful, _ODD_ONES)))


def _allowed(n: int, bound: float) -> int:
    """The most hits of n whose upper bound is within the bound; the bound grows with the hits."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if upper_bound(middle, n) <= bound else (low, middle - 1)
    return low
