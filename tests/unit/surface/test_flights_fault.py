"""The injector of the flights' demo: it does what its record says, and counts who met it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType

import polars as pl
import pytest

from perdure.surface.examples import find_example

ONSET = datetime(2013, 11, 4, 5, tzinfo=UTC)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's module."""
    monkeypatch.syspath_prepend(str(find_example("flights")))
    import flights.fault as module

    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == "flights"]:
        sys.modules.pop(name)


@pytest.fixture
def weather() -> pl.DataFrame:
    """Thirty days of two airports, an hour a row."""
    at = pl.datetime_range(ONSET - timedelta(days=3), ONSET + timedelta(days=27), "1h", eager=True)
    hours = pl.DataFrame({"observed_at": at}).with_columns(
        wind_mph=10.0, gust_mph=pl.lit(None, pl.Float64), rain_in=0.1
    )
    return pl.concat([hours.with_columns(origin=pl.lit(origin)) for origin in ("EWR", "JFK")])


def test_wind_is_in_km_h_for_two_weeks_and_three_days_are_missing(fault: ModuleType, weather: pl.DataFrame) -> None:
    shown, (unit, stop) = fault.inject(weather, fault.Fault(ONSET))
    wrong = shown.filter(pl.col("wind_mph") != 10.0)
    assert wrong["wind_mph"].unique().to_list() == [16.09344]
    assert (wrong.height, unit["rows"], len(unit["keys"])) == (2 * 14 * 24,) * 3
    assert wrong["observed_at"].min() == ONSET
    assert weather.height - shown.height == stop["rows"] == 2 * 3 * 24
    assert shown["rain_in"].unique().to_list() == [0.1]
    assert shown.filter(pl.col("observed_at") >= ONSET + timedelta(days=21)).height > 0


def test_a_fault_survives_its_way_through_the_environment(fault: ModuleType) -> None:
    made = fault.Fault(ONSET, timedelta(hours=5), timedelta(days=2), timedelta(minutes=90))
    assert fault.Fault.from_json(made.as_json()) == made


def test_a_row_meets_the_fault_when_it_was_answered_with_an_injected_observation(
    fault: ModuleType, weather: pl.DataFrame
) -> None:
    """Of the same hours, one answered with a good observation of before is as good as any."""
    hours = pl.col("observed_at").dt.epoch("s") // 3600
    told = weather.with_columns(temperature_f=(hours % 90).cast(pl.Float64), humidity=50.0, pressure_mb=None)
    told = told.with_columns(pl.col("pressure_mb").cast(pl.Float64))
    shown, record = fault.inject(told, fault.Fault(ONSET))
    injected, hour = fault.injected_keys(record), timedelta(hours=1)

    def met(observed: datetime, as_of: datetime, origin: str = "JFK") -> int:
        row = shown.filter((pl.col("observed_at") == observed) & (pl.col("origin") == origin))
        values = row.select("origin", pl.col(fault.WEATHER).cast(pl.Float32)).with_columns(
            as_of=pl.lit(as_of).cast(pl.Datetime("us", "UTC"))
        )
        return int(fault.n_rows_touched(values, shown, injected))

    assert met(ONSET, ONSET + hour) == 1
    assert met(ONSET, ONSET + hour - timedelta(minutes=1)) == 0, "it could not be known yet"
    assert met(ONSET - hour, ONSET + 5 * hour) == 0, "the last good observation"
    last = ONSET + timedelta(days=14)
    assert (met(last - hour, last + hour), met(last, last + hour)) == (1, 0)
