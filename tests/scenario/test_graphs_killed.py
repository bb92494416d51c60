"""Processes that drive graphs are killed with kill −9: every run ends, every node is computed once, every effect happened exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).parent / "graphs_killed.py"


@pytest.mark.slow
def test_graphs_outlive_their_processes_and_do_everything_once(tmp_path):
    done = subprocess.run(
        [sys.executable, _PROGRAM, tmp_path, "30", "5"], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[0])
    assert figures["kills"] >= 30
    assert figures["effects"] > 20
