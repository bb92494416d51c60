"""The drain is killed between each pair of its steps, twice: every row is in the lake exactly once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from perdure.stores.capture.log import SegmentLog
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.ledger.sqlite import SqliteLedger

_PROGRAM = Path(__file__).parent / "draining.py"


@pytest.mark.slow
def test_a_drain_killed_at_any_step_loses_and_doubles_nothing(tmp_path):
    done = subprocess.run([sys.executable, _PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    n_folders = int(done.stdout)
    assert n_folders >= 14, "two batches have at least so many steps"
    numbers = [*range(100, 104), *range(300, 304)]
    rows = sorted([f"p_{number}_{row}" for number in numbers for row in (0, 1)] + [f"p_{n}_0" for n in range(200, 205)])
    for steps in range(n_folders):
        root = tmp_path / str(steps)
        lake = DeltaLake(root / "lake")
        assert sorted(lake.read("captures/air_time")["prediction_id"]) == rows, steps
        assert sorted(lake.read("captures/fare")["prediction_id"]) == ["p_100_0", "p_300_0"], steps
        assert sorted(lake.read("labels/air_time")["request_id"]) == [f"l_{number}" for number in numbers], steps
        assert sorted(lake.read("quarantine")["row"]) == ['{"a":"100"}', '{"a":"300"}'], steps
        for table, n_rows in {"calls": 1, "attempts": 2, "guarded": 1, "feedback": 1}.items():
            assert lake.read(table)["call_id"].to_list() == ["c_300"] * n_rows, (steps, table)
        assert SegmentLog(root / "capture").segments() == [], steps
        ledger = SqliteLedger(root / "ledger.db", project="test")
        with ledger.read() as session:
            assert session.cursors.get("drain")["intent"] == [], steps
            assert [incident.kind for incident in session.incidents.list()] == ["capture_loss"], steps
            told = [entry.facts["n"] for entry in session.audit.list() if entry.action == "capture.lost"]
            assert told == [100, 300], steps
        ledger.close()
