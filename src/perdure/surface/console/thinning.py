"""Makes a long chart short: values of one bucket become their mean, with the least and the greatest as its band.

Pages call it before they give a picture away: 500 buckets are more than a screen has places for, and a page stays small.
What surprised us: taking every n-th value hides the peak that somebody came to see; so the band keeps the extremes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from perdure.surface.console.records import Picture, Series

MOST = 500


def thin(picture: Picture, n_buckets: int = MOST) -> Picture:
    """The picture with at most `n_buckets` places; as it is where it has no more.

    A bucket is a run of neighbours, as many in each; its instant is that of its middle value, its value the mean of
    those measured, its band from the least `low` (or value) to the greatest `high`. `n_whole` tells how many there were.

    >>> series = Series("mae", (1.0, 3.0, None, 5.0))
    >>> few = thin(Picture("e", "Error", "min", (0, 10, 20, 30), (series,)), 2)
    >>> few.at_us, few.series[0].values, few.series[0].low, few.series[0].high
    ((10, 30), (2.0, 5.0), (1.0, 5.0), (3.0, 5.0))
    """
    n = len(picture.at_us)
    if n <= n_buckets:
        return picture
    parts = [(k * n // n_buckets, (k + 1) * n // n_buckets) for k in range(n_buckets)]
    return replace(
        picture,
        at_us=tuple(picture.at_us[(first + last) // 2] for first, last in parts),
        series=tuple(_thinned(series, parts) for series in picture.series),
        n_whole=picture.n_whole or n,
    )


def _thinned(series: Series, parts: Sequence[tuple[int, int]]) -> Series:
    lows, highs = series.low or series.values, series.high or series.values
    values, low, high = [], [], []
    for first, last in parts:
        known = _known(series.values[first:last])
        values.append(sum(known) / len(known) if known else None)
        low.append(min(_known(lows[first:last]), default=None))
        high.append(max(_known(highs[first:last]), default=None))
    return Series(series.name, tuple(values), tuple(low), tuple(high))


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and isfinite(value)]
