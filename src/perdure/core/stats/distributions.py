"""The few distribution functions that intervals and tests need, without scipy.

Importing `scipy.stats` costs half a second and 60 MB in every process that observes; four functions
do not justify that. Called by `core.stats.intervals` and `engines.drift`; checked against scipy in
the oracle tests.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
_CONVERGED = 1e-15
_MAX_TERMS = 100_000


def normal_quantile(p: float) -> float:
    """The standard normal's quantile at `p`, 0 < p < 1.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    return _NORMAL.inv_cdf(p)


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: int) -> float:
    """Student's t quantile at `p` with `df` degrees of freedom, to about 5 digits.

    Source: G. W. Hill, Algorithm 396, Communications of the ACM 13 (1970); exact for df 1 and 2.

    >>> round(t_quantile(0.975, 6), 3)
    2.447
    """
    if p < 0.5:
        return -t_quantile(1.0 - p, df)
    tails = 2.0 * (1.0 - p)
    if tails >= 1.0:
        return 0.0
    if df == 1:
        return math.tan(math.pi * (p - 0.5))
    if df == 2:
        return math.sqrt(2.0 / (tails * (2.0 - tails)) - 2.0)
    return _hill(tails, df)


def _hill(tails: float, df: int) -> float:
    a = 1.0 / (df - 0.5)
    b = 48.0 / (a * a)
    c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36
    d = ((94.5 / (b + c) - 3.0) / b + 1.0) * math.sqrt(a * math.pi / 2.0) * df
    y = (d * tails) ** (2.0 / df)
    if y <= 0.05 + a:
        y = ((1.0 / (((df + 6.0) / (df * y) - 0.089 * d - 0.822) * (df + 2.0) * 3.0) + 0.5 / (df + 4.0)) * y - 1.0) * (
            df + 1.0
        ) / (df + 2.0) + 1.0 / y
        return math.sqrt(df * y)
    x = normal_quantile(tails / 2.0)
    y = x * x
    if df < 5:
        c += 0.3 * (df - 4.5) * (x + 0.6)
    c = (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b + c
    y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x
    return math.sqrt(df * math.expm1(a * y * y))


def chi2_tail(x: float, df: int) -> float:
    """P(chi-squared with `df` degrees of freedom > `x`).

    The regularised upper incomplete gamma function: series below the mean, Lentz's continued
    fraction above. Source: Press et al., Numerical Recipes (2007), 6.2.

    >>> round(chi2_tail(3.841, 1), 3)
    0.05
    """
    if x <= 0.0:
        return 1.0
    a, half = df / 2.0, x / 2.0
    log_scale = a * math.log(half) - half - math.lgamma(a)
    if log_scale < -745.0 and half > a:
        return 0.0
    scale = math.exp(log_scale)
    return 1.0 - scale * _lower_series(a, half) if half < a + 1.0 else scale * _upper_fraction(a, half)


def _lower_series(a: float, x: float) -> float:
    term = total = 1.0 / a
    for k in range(1, _MAX_TERMS):
        term *= x / (a + k)
        total += term
        if term < total * _CONVERGED:
            break
    return total


def _upper_fraction(a: float, x: float) -> float:
    tiny = 1e-300
    b = x + 1.0 - a
    c = 1.0 / tiny
    d = 1.0 / b
    fraction = d
    for k in range(1, _MAX_TERMS):
        an = -k * (k - a)
        b += 2.0
        d = 1.0 / (an * d + b or tiny)
        c = b + an / c or tiny
        step = d * c
        fraction *= step
        if abs(step - 1.0) < _CONVERGED:
            break
    return fraction


def binomial_ranks(n: int, p: float, confidence: float) -> tuple[int, int]:
    """Ranks (low, high), 1-based, whose order statistics hold the `p` quantile of `n` values.

    The probability that the quantile lies below x_(low) is at most half of 1 - confidence, and
    likewise above x_(high). Rank 0 or n + 1 means that n values cannot bound that side.

    Cost: O(sqrt(n)).  Source: H. A. David, H. N. Nagaraja, Order Statistics (2003), 7.1.

    >>> binomial_ranks(100, 0.5, 0.95)
    (40, 61)
    """
    spread = 12.0 * math.sqrt(n * p * (1.0 - p)) + 40.0
    first = max(0, math.floor(n * p - spread))
    last = min(n, math.ceil(n * p + spread))
    k = np.arange(first, last + 1, dtype=np.float64)
    steps = np.log((n - k[:-1]) / k[1:]) + math.log(p / (1.0 - p))
    start = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    start += first * math.log(p) + (n - first) * math.log1p(-p)
    cumulative = np.cumsum(np.exp(start + np.concatenate([[0.0], np.cumsum(steps)])))
    tail = (1.0 - confidence) / 2.0
    low = first + int(np.searchsorted(cumulative, tail, side="right"))
    high = first + int(np.searchsorted(cumulative, 1.0 - tail, side="left")) + 1
    return low, high
