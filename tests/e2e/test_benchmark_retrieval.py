"""The benchmark of indexes measures what it says: the same damage for everybody, found and healed in ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_seeded_damage_is_found_and_healed_with_no_false_alarm(repository: Path, tmp_path: Path):
    """A tenth of the cases, without the peers."""
    program, figures = repository / "benchmarks" / "retrieval.py", tmp_path / "figures.json"
    command = [sys.executable, program, "--quick", "--peers", "none", "--parts", "damage", "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "104 found, 104 healed, 0 false alarms" in done.stdout
    assert json.loads(figures.read_text())["agree"] is True
