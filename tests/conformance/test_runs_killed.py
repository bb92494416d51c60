"""Workers that are killed while they write leave every acknowledged entry, no half of one, and nothing under an old claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).with_name("runs_killing.py")


def test_runs_survive_60_kills_of_workers_that_take_them_from_each_other(tmp_path):
    told = subprocess.run(
        [sys.executable, str(_PROGRAM), str(tmp_path / "runs.db"), "7", "30"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["wrong"] == []
    assert found["written"] > 100, "most were killed at work"
    assert found["refused"] > 0, "claims were lost in the middle of work"
