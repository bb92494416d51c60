"""What spending out of a hold moves, by the hold's state: the rule that the adapters in Python share."""

from __future__ import annotations

from typing import NamedTuple

LIVE, SETTLED, CHARGED, RELEASED = range(4)
"""States of a hold: it goes on; it was settled; it expired and counts as used; it expired and was given back."""


class Moved(NamedTuple):
    """By how much a bucket changes, and what the hold keeps of it."""

    used: int
    held: int
    kept: int


def moved(state: int, kept: int, used: int, give_back: int) -> Moved:
    """What changes where `used` is counted out of a hold that keeps `kept`, and some is given back.

    >>> moved(LIVE, 100, 30, 20), moved(LIVE, 10, 30, 0)
    (Moved(used=30, held=-50, kept=50), Moved(used=30, held=-10, kept=0))

    Charged amounts are used already: only what goes beyond them is counted, and what comes back is taken off.

    >>> moved(CHARGED, 100, 130, 0), moved(CHARGED, 100, 30, 20)
    (Moved(used=30, held=0, kept=0), Moved(used=-20, held=0, kept=50))
    """
    covered = min(kept, used)
    returned = min(kept - covered, give_back)
    left = kept - covered - returned
    if state == CHARGED:
        return Moved(used - covered - returned, 0, left)
    return Moved(used, -(covered + returned), left)
