"""How long somebody waits who failed to sign in: nothing at first, then twice as long each time. Every store of tries counts so.

The count begins anew when nothing failed for 15 minutes; a wait is never longer than that, so nobody is locked out for good by a
stranger who types their name.
"""

from __future__ import annotations

N_FREE = 5
"""From this failed try on there is a wait."""
FORGET_US = 900_000_000
"""Without a failed try for so long all is forgotten; the longest wait."""


def wait_us(n_failed: int, last_us: int, now_us: int) -> int:
    """What is left of the wait after the newest of some failed tries; 2^(n - 5) seconds, 15 minutes at most.

    >>> [wait_us(n, 0, 0) // 1_000_000 for n in (4, 5, 6, 10, 40)]
    [0, 1, 2, 32, 900]
    """
    if n_failed < N_FREE:
        return 0
    whole = min(FORGET_US, 1_000_000 << min(n_failed - N_FREE, 10))
    return max(0, last_us + whole - now_us)
