"""What a comparison of two versions can say: the words that statistics conclude in and gates pass on.

They live in core because `core.stats` speaks them; `assets.health` hands them on to everything that declares or judges.
"""

from __future__ import annotations

from enum import StrEnum


class Comparison(StrEnum):
    """What a gate says of a candidate.

    No word decides by itself: a gate's `passed` does, since a stage may accept what another refuses.
    """

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    """The difference lies within the declared margin for sure; never said because a difference was not found."""
    NOT_ENOUGH_EVIDENCE = "not enough evidence"
