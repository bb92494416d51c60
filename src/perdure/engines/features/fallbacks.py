"""Fallbacks of joined rows: which rows past their TTL count, and the values of rows that have none.

Called by `plan` for features computed offline; `online` writes the same rules into its functions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.fallback import Default
from perdure.engines.features.point_in_time import EXPIRED, FALLBACK_DEFAULT, FALLBACK_LAST_GOOD, FRESH

_INSTANT = pl.Datetime("us", "UTC")


def by_age(
    status: NDArray[np.uint8], as_of: pl.Series, event_at: pl.Series, limits_us: tuple[int, int | None]
) -> NDArray[np.uint8]:
    """The statuses of rows joined without a TTL, told apart by the age `as_of - event_at`.

    Args:
        status: shape (n,), uint8; only fresh ones change.
        as_of: n instants from which the rows look back.
        event_at: when the row that each found had happened; null where it found none.
        limits_us: up to the first age a row is fresh; up to the second it is a last good one, and past
            that expired (None: however old).
    """
    ttl_us, within_us = limits_us
    ages = as_of.cast(_INSTANT).to_physical() - event_at.cast(_INSTANT).to_physical()
    old = (status == FRESH) & (ages > ttl_us).fill_null(value=False).to_numpy()
    judged = np.where(old, np.uint8(FALLBACK_LAST_GOOD), status)
    if within_us is not None:
        judged[old & (ages > within_us).fill_null(value=False).to_numpy()] = EXPIRED
    return judged


def with_defaults(
    features: pl.DataFrame, status: NDArray[np.uint8], defaults: Mapping[str, Default]
) -> tuple[pl.DataFrame, NDArray[np.uint8]]:
    """The declared values in every row that is not fresh; a null of a fresh row stays.

    >>> frame, status = with_defaults(pl.DataFrame({"gust": [3.0, None]}), np.array([0, 2], np.uint8), {"gust": 8.0})
    >>> frame["gust"].to_list(), status.tolist()
    ([3.0, 8.0], [0, 5])
    """
    absent = status != FRESH
    instead = pl.lit(pl.Series(absent))
    filled = features.with_columns(
        pl.when(instead).then(pl.lit(value, features.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in defaults.items()
    )
    return filled, np.where(absent, np.uint8(FALLBACK_DEFAULT), status)
