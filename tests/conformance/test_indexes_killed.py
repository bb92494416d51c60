"""A process that is killed while it makes generations leaves the old or the new one, whole, with all that belongs to it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).with_name("index_killing.py")


def killed(path, store, n_kills):
    told = subprocess.run(
        [sys.executable, str(_PROGRAM), "kill", str(path), store, "7", str(n_kills)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_an_index_in_sqlite_survives_40_kills(tmp_path):
    told = killed(tmp_path / "v.db", "", 40)
    assert told["wrong"] == []
    assert told["reached"][-1] > 10, "most were killed at work"
    assert told["reached"] == sorted(told["reached"]), "nothing that was there is lost"


@pytest.mark.skipif(importlib.util.find_spec("lancedb") is None, reason="The extra `lancedb` is not installed.")
def test_an_index_in_lancedb_survives_kills(tmp_path):
    told = killed(tmp_path / "v.db", f"lancedb:{tmp_path / 'lance'}", 3)
    assert told["wrong"] == []
    assert told["reached"] == sorted(told["reached"])
