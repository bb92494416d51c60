"""A short slice of the demo: real flights, the real server in a process of its own, the real report."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl


def test_three_days_of_flights_are_served_measured_and_reported(tmp_path: Path) -> None:
    from perdure.surface.examples import run_demo

    summary = run_demo("flights", days=4, out=tmp_path, quiet=True)
    from flights import data

    asked = data.all_flights().filter(
        (pl.col("planned_at") >= data.TRAINED_AT) & (pl.col("planned_at") < data.TRAINED_AT + pl.duration(days=3))
    )
    landed = asked.filter(pl.col("air_time_min").is_not_null())
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert summary["rows"] == summary["rows_captured"] == asked.height
    assert summary["labels"] == summary["labels_joined"] == landed.height
    assert (summary["labels_orphaned"], summary["skew_mismatches"]) == (0, 0)
    assert summary["skew_checked"] > 2500
    assert summary["quarantined_rows"] == 1, "one gust of 1,048 mph in February"
    assert summary["ledger_intact"]
    assert list(summary["mae_frozen_by_month"]) == ["2013-03"]
    assert 5.0 < summary["mae_frozen_by_month"]["2013-03"] < 15.0
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
