"""Readings in SQLite keep every promise of their Protocol."""

from __future__ import annotations

import pytest

from perdure.core.errors import NotFound, StoreError
from perdure.stores.telemetry.sqlite import SqliteReadings
from perdure.testing.conformance.readings import ReadingsConformance, a_reading


class TestSqliteReadings(ReadingsConformance):
    @pytest.fixture
    def readings(self, tmp_path):
        readings = SqliteReadings(tmp_path / "telemetry.sqlite")
        yield readings
        readings.close()


def test_readings_that_are_gone_are_told_and_found_again_when_they_are_back(tmp_path):
    """What looks must not go on reading a deleted file without a word."""
    path = tmp_path / "telemetry.sqlite"
    readings = SqliteReadings(path)
    readings.put([a_reading()])
    mark, told = readings.newest()
    assert len(told) == 1
    readings.close()
    path.rename(tmp_path / "aside")
    with pytest.raises(StoreError, match="cannot be found"):
        readings.changed(mark)
    (tmp_path / "aside").rename(path)
    assert readings.changed(mark) == (mark, [])
    path.rename(tmp_path / "old")
    SqliteReadings(path).close()
    with pytest.raises(NotFound, match="another file"):
        readings.changed(mark)


def test_a_look_does_not_hold_up_a_put(readings_pair):
    """On a connection of its own: a round goes on while somebody looks at a million readings."""
    readings, looking = readings_pair
    with looking._snapshot():
        readings.put([a_reading()])
        assert len(readings.list()) == 1


@pytest.fixture
def readings_pair(tmp_path):
    readings = SqliteReadings(tmp_path / "telemetry.sqlite")
    yield readings, readings._looking
    readings.close()
