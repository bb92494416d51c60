"""What a route's clients met in a window: its calls and its tries, and shares of them with intervals.

Evals, probes and shadows are nobody's calls: signals of traffic leave them out. Calls of one outage fail together, so a share's
interval takes stretches of the window as its units where that makes it wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.core.stats import Interval, clustered_mean_interval, mean_interval, proportion_interval
from perdure.loop.work.calls import read_attempts, read_calls
from perdure.stores.lake.protocols import Lake

NOBODYS = ("eval", "probe", "shadow")
"""Arms that answer no client."""
PROBE = "probe"
BUSY = (429, 503, 529)
"""Statuses by which an upstream says that it takes no more."""
_STRETCHES = 12
_MIN_STRETCHES = 5
_FAILING = "upstream"
"""How the codes of errors begin that are an upstream's; a client's own fault and a cancel are not."""

Floats = NDArray[np.float64]


def read_traffic(lake: Lake, route: str, start: datetime, end: datetime, columns: Sequence[str]) -> pl.DataFrame:
    """Calls of clients that began in the window, with the arm that answered."""
    return read_calls(lake, route, start, end, [*columns, "arm"]).filter(~pl.col("arm").is_in(NOBODYS))


def read_tries(lake: Lake, route: str, start: datetime, end: datetime, *, shadows: bool = False) -> pl.DataFrame:
    """Tries of the calls that began in the window, those of shadows where they are asked for; by time.

    Columns: those of `attempts` that are read, `arm`, `stream`, `version`, and made of them `failed`, `busy`, `is_probe`, `first_ms`
    (of tries that answered), `tokens_per_s` (of streams that did).
    """
    wanted = ["target", "status", "first_us", "took_us", "error", "n_input", "n_output", "cost_pusd"]
    tries = read_attempts(lake, route, start, end, wanted)
    calls = read_calls(lake, route, start, end, ["arm", "stream", "version"]).select(
        "call_id", "arm", "stream", "version"
    )
    known = tries.join(calls, on="call_id", how="inner", maintain_order="left")
    known = known.filter(~pl.col("arm").is_in(("eval",) if shadows else ("eval", "shadow")))
    failed = pl.col("error").str.starts_with(_FAILING)
    answered = (pl.col("error") == "") & (pl.col("status") < 400) & (pl.col("first_us") > 0)
    after_s = (pl.col("took_us") - pl.col("first_us")) / 1e6
    flows = answered & pl.col("stream") & (pl.col("n_output") >= 8) & (after_s > 0.0)
    return known.with_columns(
        failed=failed,
        busy=pl.col("status").is_in(BUSY) & failed,
        answered=answered,
        is_probe=pl.col("arm") == PROBE,
        first_ms=pl.when(answered).then(pl.col("first_us") / 1000.0),
        tokens_per_s=pl.when(flows).then(pl.col("n_output") / after_s),
    )


def share(hits: pl.Series, served_at: pl.Series, over: timedelta, *, confidence: float) -> Interval:
    """The share of rows that hit; of its Wilson interval and that of stretches of the window the wider on each side.

    Raises:
        TooFewRows: no row.
    """
    found = proportion_interval(int(hits.sum()), len(hits), confidence=confidence)
    stretch = stretches(served_at, over)
    if len(np.unique(stretch)) < _MIN_STRETCHES:
        return found
    apart = clustered_mean_interval(hits.cast(pl.Float64).to_numpy(), stretch, confidence=confidence)
    return Interval(found.value, max(0.0, min(found.low, apart.low)), min(1.0, max(found.high, apart.high)), found.n)


def mean(values: Floats, served_at: pl.Series, over: timedelta, *, confidence: float) -> Interval:
    """The mean with its interval, likewise.

    Raises:
        TooFewRows: fewer than two rows.
    """
    found = mean_interval(values, confidence=confidence)
    stretch = stretches(served_at, over)
    if len(np.unique(stretch)) < _MIN_STRETCHES:
        return found
    apart = clustered_mean_interval(values, stretch, confidence=confidence)
    return Interval(found.value, min(found.low, apart.low), max(found.high, apart.high), found.n)


def stretches(served_at: pl.Series, over: timedelta) -> NDArray[np.int64]:
    """The twelfth of a window's length that each row falls into."""
    length_us = max(1, int(over.total_seconds() * 1e6) // _STRETCHES)
    found: NDArray[np.int64] = served_at.dt.epoch("us").cast(pl.Int64).to_numpy() // length_us
    return found
