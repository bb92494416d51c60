"""How a signal's measured value becomes a `Reading` of an asset: every signal makes its own here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.stats import Interval
from perdure.loop.protocols import Watched


def reading_of(asset: Watched, spec: SignalSpec, now: datetime, found: Interval | None, **more: Any) -> Reading:
    """What a signal says of an asset at `now`, over the `spec.over` before it.

    Args:
        asset: whose reading it is.
        spec: the signal as an objective asks for it.
        now: domain time.
        found: value, bounds and size; None: nothing could be measured, of 0 rows.
        more: further fields of `Reading`, and those that are other than said above, such as `window_start` or `n`.
    """
    value, low, high, n = (None, None, None, 0) if found is None else (found.value, found.low, found.high, found.n)
    fields: dict[str, Any] = {
        "window_start": now - spec.over,
        "window_end": now,
        "value": value,
        "low": low,
        "high": high,
        "n": n,
        **more,
    }
    return Reading(asset=asset.name, signal=spec.series, at=now, **fields)


def exactly(value: float, n: int) -> Interval:
    """A value that is known and not estimated: it is its own bounds.

    >>> exactly(2.5, 4)
    Interval(value=2.5, low=2.5, high=2.5, n=4)
    """
    return Interval(value, value, value, n)
