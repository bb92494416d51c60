"""Reads what calls cost, once for a page: the stretch that is asked about, and the one before it to compare with.

Nothing is drained: what the loop has not moved to the lake yet is not in it, and the page says until when calls are. The newest
frames are kept while the tables of the lake do not change, for every click on the page asks about the same calls again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from perdure.core.units import hours
from perdure.surface.spending import OF_ATTEMPTS

if TYPE_CHECKING:
    import polars as pl

    from perdure.stores.lake.protocols import Lake

_CALLS = ("cost_pusd", "saved_pusd", "n_input", "n_output", "outcome", "tags", "recorded_at", "team", "key", "route",
          "version", "arm", "prompt", "endpoint", "finish", "status", "cache", "stream", "affinity", "generation")  # fmt: skip
_ATTEMPTS = ("target", "n_input", "n_output", "cost_pusd")
_LOCK = Lock()
_KEPT: deque[tuple[Lake, tuple[Any, ...], pl.DataFrame]] = deque(maxlen=4)
"""Whose, of which versions and stretch, and the frame; the newest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Calls of two stretches that follow each other."""

    calls: pl.DataFrame
    before: pl.DataFrame
    newest: datetime | None
    """When the newest of them was recorded; None where there is none."""


def read_stretch(lake: Lake, until: datetime, since: timedelta, by: Sequence[str] = ()) -> Told:
    """Calls of `[until - since, until)`, and of as long a stretch before; attempts of them where a dimension is one of theirs.

    Cost: about 2 µs a call the first time.
    """
    import polars as pl

    start = until - since
    of_attempts = any(name in OF_ATTEMPTS for name in by)
    # Whole hours, so that a second later the same frame is found again.
    first, last = _hour(start - since), _hour(until) + hours(1)
    frame, at = _frame(lake, first, last, of_attempts=of_attempts), pl.col("served_at")
    frame = frame.filter(at >= start - since, at < until)
    later = at >= start
    calls = frame.filter(later)
    newest = calls["recorded_at"].max()
    return Told(calls, frame.filter(~later), newest if isinstance(newest, datetime) else None)


def unpriced(lake: Lake, until: datetime, since: timedelta) -> list[tuple[str, int]]:
    """Targets with calls whose price is not known, and how many: the most first."""
    import polars as pl

    frame = read_stretch(lake, until, since, ("target",)).calls.filter(pl.col("cost_pusd").is_null())
    counted = frame.group_by("target").agg(pl.col("call_id").n_unique().alias("n"))
    return list(counted.sort("n", "target", descending=[True, False]).iter_rows())


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _frame(lake: Lake, start: datetime, until: datetime, *, of_attempts: bool) -> pl.DataFrame:
    from perdure.loop.work.captured_calls import ATTEMPTS, CALLS

    key = (lake.version(CALLS), lake.version(ATTEMPTS) if of_attempts else None, start, until, of_attempts)
    with _LOCK:
        for whose, kept_key, frame in _KEPT:
            if whose is lake and kept_key == key:
                return frame
        frame = _read(lake, start, until, of_attempts=of_attempts)
        _KEPT.appendleft((lake, key, frame))
        return frame


def _read(lake: Lake, start: datetime, until: datetime, *, of_attempts: bool) -> pl.DataFrame:
    from perdure.engines.spend import by_target
    from perdure.loop.work.calls import read_attempts, read_calls

    calls = read_calls(lake, None, start, until, list(_CALLS))
    return by_target(calls, read_attempts(lake, None, start, until, list(_ATTEMPTS))) if of_attempts else calls
