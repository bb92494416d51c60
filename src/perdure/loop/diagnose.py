"""Diagnose, the third step: which causes may be behind what broke, ranked, with their evidence.

Every `Cause` of the kind weighs; none is asked twice for one answer, and what has no weight is left
out. Ties go by name, so that the same records give the same ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.loop.failures import Failures
from perdure.loop.protocols import Kind, Watched, Workplace


def diagnose(
    place: Workplace, kind: Kind, asset: Watched, findings: Sequence[Finding], now: datetime
) -> tuple[RankedCause, ...]:
    """The causes that something speaks for, the heaviest first.

    A cause that cannot be weighed is left out while another can be.

    Raises:
        Exception: the first failure, when no cause could be weighed although some tried.
    """
    failures, found = Failures(), []
    for cause in kind.causes:
        with failures.kept():
            weighed = cause.weigh(place, asset, findings, now)
            if weighed is not None and weighed.weight > 0.0:
                found.append(weighed)
    if not found:
        failures.raise_first()
    return tuple(sorted(found, key=lambda cause: (-cause.weight, cause.name)))


def broken(findings: Sequence[Finding]) -> list[Finding]:
    """Those that are broken for sure."""
    return [finding for finding in findings if finding.state is State.BROKEN]
