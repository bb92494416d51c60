"""Many tests at once: p-values and error rates that stay true over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def adjusted_p_values(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Benjamini–Hochberg adjusted p-values, in the order given.

    Calling everything with an adjusted p of at most q a finding keeps the expected share of false
    findings below q, for independent or positively dependent tests.

    Cost: O(k log k).  Source: Y. Benjamini, Y. Hochberg, JRSS B 57 (1995).

    >>> adjusted_p_values([0.01, 0.02, 0.03, 0.5]).tolist()
    [0.04, 0.04, 0.04, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    descending = np.argsort(-p, kind="stable")
    ranks = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[descending] = np.minimum(1.0, np.minimum.accumulate(p[descending] * len(p) / ranks))
    return adjusted


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's adjusted p-values, in the order given: what is at most alpha is found, with no false one in 1 - alpha of all.

    Unlike `adjusted_p_values` it bounds the chance of *any* false finding, as a promotion by any of several suites needs.

    Cost: O(k log k).  Source: S. Holm, Scandinavian J. Statistics 6 (1979).

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    ascending = np.argsort(p, kind="stable")
    left = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[ascending] = np.minimum(1.0, np.maximum.accumulate(p[ascending] * left))
    return adjusted


def attempt_alpha(attempt: int, alpha: float = 0.05) -> float:
    """The error that the k-th attempt on the same suite may spend: 6 alpha / (π² k²), alpha over all attempts together.

    Whoever edits, runs and edits again tests many candidates on one suite: at 5% each, 10 null edits promote one in
    40% of all series.

    Args:
        attempt: from 1; counted for a version of a suite, and begun anew when much of it is new.
        alpha: error of all attempts together.

    >>> round(attempt_alpha(1), 4), round(attempt_alpha(2), 4)
    (0.0304, 0.0076)
    """
    return 6.0 * alpha / (math.pi * attempt) ** 2
