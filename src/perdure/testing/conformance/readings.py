"""What every `Readings` guarantees, as tests. Subclass it and give the fixture `readings`:

    class TestMyReadings(ReadingsConformance):
        @pytest.fixture
        def readings(self, tmp_path):
            return MyReadings(tmp_path / "readings")

Needs pytest only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.assets.health import Reading
from perdure.core.errors import DeclarationError
from perdure.stores.telemetry.protocols import Readings

AT = datetime(2013, 3, 8, tzinfo=UTC)
"""When the first reading of the suite was taken."""


def a_reading(day: int = 0, **changes: Any) -> Reading:
    """A reading of one week, taken `day` days after the first."""
    at = AT + timedelta(days=day)
    reading = Reading(
        asset="air_time",
        signal="mae",
        at=at,
        window_start=at - timedelta(days=7),
        window_end=at,
        value=9.5,
        low=9.25,
        high=9.75,
        n=6000,
        unit="min",
        version="air_time@000000000001",
        facts={"by": "label", "share": 0.1 + 0.2},
    )
    return replace(reading, **changes)


class ReadingsConformance:
    """All that readings guarantee."""

    @pytest.fixture
    def readings(self) -> Readings:
        """An empty store."""
        pytest.fail("Override the fixture `readings` with one that returns an empty store.")

    def test_a_reading_comes_back_as_it_was_put(self, readings: Readings) -> None:
        """Every field survives, missing values and microseconds too."""
        put = [
            a_reading(0, at=AT + timedelta(microseconds=1)),
            a_reading(1, value=None, low=None, high=None, n=0, slice="origin=EWR", version="", facts={}),
        ]
        readings.put(put)
        assert readings.list() == put

    def test_putting_nothing_is_fine(self, readings: Readings) -> None:
        """A round without signals puts none."""
        readings.put([])
        assert readings.list() == []

    def test_an_equal_window_is_replaced(self, readings: Readings) -> None:
        """A round that is done twice leaves one reading; every part of the key makes another."""
        others = [
            a_reading(asset="fares"),
            a_reading(signal="rmse"),
            a_reading(slice="origin=EWR"),
            a_reading(version="air_time@000000000002"),
            a_reading(window_start=AT - timedelta(days=1)),
            a_reading(window_end=AT - timedelta(hours=1)),
        ]
        readings.put([a_reading(), *others])
        readings.put([a_reading(value=10.0, at=AT + timedelta(hours=1))])
        assert len(readings.list()) == len(others) + 1
        assert readings.list()[-1].value == 10.0

    def test_readings_are_listed_oldest_first(self, readings: Readings) -> None:
        """In whatever order they were put; the limit keeps the newest."""
        readings.put([a_reading(day) for day in (2, 0, 3, 1)])
        assert readings.list() == [a_reading(day) for day in range(4)]
        assert readings.list(limit=2) == [a_reading(2), a_reading(3)]

    def test_readings_are_listed_by_asset_signal_and_instant(self, readings: Readings) -> None:
        """`since` includes its instant."""
        readings.put([a_reading(day, signal=signal) for day in range(3) for signal in ("mae", "drift")])
        readings.put([a_reading(1, asset="fares")])
        assert [each.asset for each in readings.list("fares")] == ["fares"]
        assert readings.list("air_time", "drift") == [a_reading(day, signal="drift") for day in range(3)]
        assert readings.list("air_time", "mae", since=AT + timedelta(days=1)) == [a_reading(1), a_reading(2)]
        assert readings.list(since=AT + timedelta(days=9)) == []

    def test_equal_instants_have_one_order(self, readings: Readings) -> None:
        """Whatever order they were put in."""
        same = [a_reading(slice=f"origin={name}") for name in ("EWR", "JFK", "LGA")]
        readings.put([same[2], same[0], same[1]])
        assert readings.list() == same

    def test_the_latest_of_each_signal_and_slice(self, readings: Readings) -> None:
        """Of one asset; a slice that was not measured lately still has its last reading."""
        readings.put([a_reading(day) for day in range(3)])
        readings.put([a_reading(1, slice="origin=EWR"), a_reading(0, signal="drift"), a_reading(5, asset="fares")])
        latest = readings.latest("air_time")
        assert latest == [a_reading(0, signal="drift"), a_reading(2), a_reading(1, slice="origin=EWR")]
        assert readings.latest("unknown") == []

    def test_the_latest_of_one_instant_are_all_given(self, readings: Readings) -> None:
        """Two versions, or two windows, measured at once."""
        both = [a_reading(), a_reading(version="air_time@000000000002")]
        readings.put([*both, a_reading(-1)])
        assert readings.latest("air_time") == both

    def test_a_put_is_whole_or_nothing(self, readings: Readings) -> None:
        """One reading that cannot be kept keeps the others out."""
        with pytest.raises(DeclarationError):
            readings.put([a_reading(0), a_reading(1, facts={"value": float("nan")})])
        assert readings.list() == []

    def test_threads_may_put_and_list(self, readings: Readings) -> None:
        """Nothing is lost between them."""

        def put_ten(worker: int) -> int:
            for number in range(10):
                readings.put([a_reading(number, asset=f"asset_{worker}")])
            return len(readings.list(f"asset_{worker}"))

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(put_ten, range(4))) == [10] * 4
        assert len(readings.list()) == 40
