"""The benchmark of guarded searches runs, and measures every way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_guarded_searches_are_measured_beside_the_search_alone(repository: Path):
    """Of two thousand chunks, which are far below the bar."""
    program = repository / "benchmarks" / "retrieval_search_parts" / "guarded.py"
    command = [sys.executable, program, "--chunks", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len([line for line in done.stdout.splitlines() if " ms, 95th " in line]) == 5
    assert done.stdout.endswith("5 ms: held\n")
