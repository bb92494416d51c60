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
from perdure.core.clock import to_us
from perdure.core.errors import DeclarationError, NotFound
from perdure.stores.telemetry.protocols import Newest, Readings, Wanted

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

    def test_readings_are_listed_by_slice_up_to_an_instant(self, readings: Readings) -> None:
        """The ends belong to what is asked; of it the newest are given."""
        readings.put([a_reading(day, slice=part) for day in range(4) for part in ("", "origin=EWR")])
        until = AT + timedelta(days=2)
        assert readings.list("air_time", "mae", "", since=AT, until=until) == [a_reading(day) for day in range(3)]
        assert readings.list("air_time", "mae", "origin=EWR", until=until, limit=1) == [
            a_reading(2, slice="origin=EWR")
        ]

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

    def test_the_newest_of_all_are_told_without_what_they_rest_on(self, readings: Readings) -> None:
        """One of each asset, signal, slice and width; several where they were taken at one instant, as of two versions."""
        newest = [
            a_reading(2),
            a_reading(2, version="air_time@000000000002"),
            a_reading(1, slice="origin=EWR", facts={"harm_low": 0.25}),
            a_reading(1, window_start=AT),
            a_reading(0, asset="fares", value=None, low=None, high=None, n=0),
        ]
        readings.put([a_reading(0), a_reading(1), *newest])
        _, told = readings.newest()
        assert sorted(told, key=repr) == sorted(map(_thin, newest), key=repr)

    def test_what_was_put_since_is_told_once_and_again_when_it_is_replaced(self, readings: Readings) -> None:
        """From the mark of the newest on; in pages, none of which is lost."""
        readings.put([a_reading(0), a_reading(1)])
        mark, _ = readings.newest()
        assert readings.changed(mark) == (mark, [])
        readings.put([a_reading(2), a_reading(3)])
        readings.put([a_reading(0, value=7.0)])
        first, told = readings.changed(mark, limit=2)
        assert told == [_thin(a_reading(2)), _thin(a_reading(3))]
        last, told = readings.changed(first, limit=2)
        assert told == [_thin(a_reading(0, value=7.0))]
        assert readings.changed(last) == (last, [])
        with pytest.raises(NotFound):
            readings.changed(last + 1_000_000)

    def test_a_short_series_is_told_reading_by_reading(self, readings: Readings) -> None:
        """Of one slice and width alone, in the order of time, between two instants."""
        readings.put([a_reading(day, value=float(day)) for day in (3, 0, 1, 2)])
        readings.put([a_reading(1, slice="origin=EWR"), a_reading(1, window_start=AT), a_reading(1, signal="rmse")])
        wanted = Wanted("air_time", "mae", "", to_us(AT + timedelta(days=7)) - to_us(AT))
        found = readings.series(wanted)
        assert (found.value, found.n_whole, found.unit) == ((0.0, 1.0, 2.0, 3.0), 4, "min")
        assert found.at_us == tuple(to_us(AT + timedelta(days=day)) for day in range(4))
        part = readings.series(wanted, since=AT + timedelta(days=1), until=AT + timedelta(days=3))
        assert part.value == (1.0, 2.0)
        none = readings.series(Wanted("air_time", "mae", "", wanted.width_us, version="air_time@000000000009"))
        assert (none.at_us, none.n_whole) == ((), 0)

    def test_a_long_series_is_thinned_and_loses_no_peak(self, readings: Readings) -> None:
        """Each stretch has its mean, its extremes, and how much lies behind it."""
        put = [a_reading(day, value=float(day % 10), low=None if day == 5 else -float(day)) for day in range(100)]
        readings.put([*put, a_reading(100, value=None, low=None, high=None, n=0)])
        wanted = Wanted("air_time", "mae", "", to_us(AT + timedelta(days=7)) - to_us(AT))
        found = readings.series(wanted, n_buckets=10)
        assert 5 <= len(found.at_us) <= 10
        assert (found.n_whole, sum(found.n)) == (101, 600_000)
        assert list(found.at_us) == sorted(set(found.at_us))
        assert (min(each for each in found.least if each is not None), max(filter(None, found.most))) == (0.0, 9.0)
        assert min(filter(None, found.low)) == -99.0


def _thin(reading: Reading) -> Newest:
    return Newest(
        signal=reading.signal,
        slice=reading.slice,
        width_us=to_us(reading.window_end) - to_us(reading.window_start),
        at_us=to_us(reading.at),
        value=reading.value,
        low=reading.low,
        high=reading.high,
        n=reading.n,
        unit=reading.unit,
        version=reading.version,
        asset=reading.asset,
        harm_low=reading.facts.get("harm_low"),
    )
