"""Repeated attempts on one suite: edit, ask, edit, ask. Each attempt may err less than the one before, so that all together hold.

Attempt k of a suite tests at 6 α / (π² k²), which sums to α over all of them. The count begins anew when three in ten
of its cases are new: another exam. What is kept of an attempt's cases is a sketch, the 256 least of their digests, so
that the ledger holds no list of them.

Source: D. Foster, R. Stine, JRSS B 70 (2008) for spending by 1/k²; the 30 % are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

ALPHA = 0.05
"""Two-sided, of all attempts together: a prompt is promoted in error half as often."""
NEW_SHARE = 0.3
"""From so many new cases on a suite is another exam."""
_KEPT = 256
_DIGITS = 10


def attempt_alpha(attempt: int, alpha: float = ALPHA) -> float:
    """The two-sided error that attempt k may spend, from 1.

    >>> round(attempt_alpha(1), 4), round(attempt_alpha(5), 5)
    (0.0304, 0.00122)
    >>> sum(attempt_alpha(k) for k in range(1, 10_000)) < 0.05
    True
    """
    return 6.0 * alpha / (math.pi**2 * attempt**2)


def sketch(cases: Iterable[str]) -> list[str]:
    """What is kept of a set of case digests: the least of them."""
    return sorted({case.rpartition(":")[2][:_DIGITS] for case in cases})[:_KEPT]


def new_share(before: Sequence[str], now: Sequence[str]) -> float:
    """The share of today's cases that were not there before, from two sketches; exact below 256 cases.

    >>> new_share(["a", "b", "c", "d"], ["a", "b", "c", "e"])
    0.25
    """
    ends = [each[-1] for each in (before, now) if len(each) == _KEPT]
    seen = [case for case in now if not ends or case <= min(ends)]
    known = set(before)
    return sum(case not in known for case in seen) / len(seen) if seen else 1.0
