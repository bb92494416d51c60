"""Many tests at once: p-values adjusted so that a share of false findings is bounded."""

from __future__ import annotations

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
