"""A short slice of the demo: real flights, four deployments with servers of their own, the real report."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perdure.surface.examples import find_example, run_demo

N_DAYS = 3


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The demo's summary and its folder; the fault begins with the traffic."""
    folder = tmp_path_factory.mktemp("demo")
    sys.path.insert(0, str(find_example("flights")))
    from flights import data
    from flights.fault import Fault

    fault = Fault(data.TRAINED_AT, timedelta(days=1), timedelta(hours=36), timedelta(days=1))
    return run_demo("flights", days=N_DAYS, out=folder, quiet=True, fault=fault), folder


def test_every_deployment_serves_labels_and_measures_the_same_flights(summary: tuple[dict[str, Any], Path]) -> None:
    from flights import data

    found, folder = summary
    asked = data.all_flights().filter(
        (pl.col("planned_at") >= data.TRAINED_AT)
        & (pl.col("planned_at") < data.TRAINED_AT + timedelta(days=N_DAYS - 1))
    )
    landed = asked.filter(pl.col("air_time_min").is_not_null())
    assert found == json.loads((folder / "summary.json").read_text())
    assert found["rows"] == found["rows_captured"] == asked.height
    assert found["labels"] == found["labels_joined"] == landed.height
    assert (found["labels_orphaned"], found["skew_mismatches"]) == (0, 0)
    assert found["skew_checked"] > 1000
    assert found["ledger_intact"]
    for figures in (found, found["without_fault"]):
        assert list(figures["mae_frozen_by_month"]) == list(figures["mae_managed_by_month"]) == ["2013-03"]
        assert 5.0 < figures["mae_frozen_by_month"]["2013-03"] < 15.0
        assert figures["decisions_equal"] == figures["decisions_replayed"]
        assert set(figures) >= {"releases", "retrains", "rollbacks", "rejected_candidates", "incidents"}


def test_the_fault_is_in_the_deployments_with_it_and_in_no_other(summary: tuple[dict[str, Any], Path]) -> None:
    found, folder = summary
    record = json.loads((folder / "fault.json").read_text())
    assert [(part["kind"], part["factor"]) for part in record] == [("km/h instead of mph", 1.609344), ("stop", None)]
    assert all(part["rows"] == len(part["keys"]) > 0 for part in record)
    assert found["mae_frozen_by_month"] != found["without_fault"]["mae_frozen_by_month"]
    assert found["stop_detected_after_h"] is not None
    assert not [each for each in found["without_fault"]["incidents"] if each["asset"] == "weather"]
    assert found["false_incidents_quiet_weeks"] == 0


def test_the_report_needs_nothing_else(summary: tuple[dict[str, Any], Path]) -> None:
    page = (summary[1] / "report.html").read_text()
    assert "injected" in page
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
