"""Readings in SQLite keep every promise of their Protocol."""

from __future__ import annotations

import pytest

from perdure.stores.telemetry.sqlite import SqliteReadings
from perdure.testing.conformance.readings import ReadingsConformance


class TestSqliteReadings(ReadingsConformance):
    @pytest.fixture
    def readings(self, tmp_path):
        readings = SqliteReadings(tmp_path / "telemetry.sqlite")
        yield readings
        readings.close()
