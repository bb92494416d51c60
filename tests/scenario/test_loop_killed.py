"""The loop killed while it repairs: at each step, at any instant, with a rival beside it. One effect each, as if never killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = Path(__file__).parent / "looping.py"


def run(mode: str, folder: Path, seed: int = 7) -> dict[str, Any]:
    """What the runs of a mode came to."""
    done = subprocess.run(
        [sys.executable, _PROGRAM, mode, folder, str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_as_if_never_killed(found: dict[str, Any]) -> None:
    """Equal moves, decisions, verdicts, incidents, jobs and readings, at equal instants, and a whole chain."""
    peaceful = found["peaceful"]
    assert peaceful["chain"]
    assert [stage for *_, stage in peaceful["moves"]["boiler"] if stage] == ["shadow", "canary", "canary", "all", "all"]
    assert Counter(outcome for outcome, *_ in peaceful["outcomes"]) == {"released": 1, "rolled_back": 2}
    for one in found["runs"]:
        for what, expected in peaceful.items():
            assert one[what] == expected, what


@pytest.mark.slow
def test_killed_at_each_step_of_a_repair_it_comes_to_the_same(tmp_path):
    found = run("at_each_step", tmp_path)
    assert_as_if_never_killed(found)
    assert found["n_kills"] > 80
    within = set(found["within"])
    assert {"decide: repair", "recalibrate", "step verify", "verify verify"} & within
    assert {"release canary", "release all", "release shadow"} & within
    assert {"release rollback", "repair rolled_back", "recovered"} & within
    assert len(within) > 20


@pytest.mark.slow
def test_killed_at_a_hundred_random_instants_it_comes_to_the_same(tmp_path):
    found = run("at_random", tmp_path)
    assert_as_if_never_killed(found)
    assert found["n_kills"] >= 100
    assert len(found["runs"]) >= 2


@pytest.mark.slow
def test_of_two_control_planes_one_is_killed_in_a_release_and_the_other_finishes(tmp_path):
    found = run("two_workers", tmp_path)
    assert found["waited"], "the first one renewed its lease while it stood still"
    assert_as_if_never_killed(found)
