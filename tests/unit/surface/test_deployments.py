"""Replays side by side: in order, so many at once, each heard; one that fails ends the others with its last words."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perdure.core.clock import monotonic_s
from perdure.core.errors import UpstreamError
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.deployments import Deployment, Heard, Part, Task, close_stores, copy_stores, side_by_side
from perdure.surface.sdk import Perdure
from perdure.testing.world import World

START = datetime(2025, 1, 1, tzinfo=UTC)
PART = Part("a", START, START + timedelta(days=1), START + timedelta(days=2))
TELLS = """
import json, os, sys, time
part = json.loads(sys.argv[1])
for n in (1, 2):
    told = {"deployment": part["deployment"], "now": part["until"], "n_requests": n, "n_rows": 0}
    print(json.dumps({**told, "n_rows_refused": 0, "n_labels": 0, "doing": os.environ.get("MARK", "")}), flush=True)
"""
FAILS = "import sys; sys.exit('the disk is full')"
HANGS = "import time; time.sleep(600)"


def _task(folder: Path, name: str, program: str, **settings: str) -> Task:
    deployment = Deployment(name, folder, folder / name, settings)
    return Task(deployment, Part(name, PART.start, PART.until, PART.end), (sys.executable, "-c", program))


def test_a_part_survives_its_json() -> None:
    assert Part.from_json(PART.as_json()) == PART


def test_each_replay_is_heard_under_its_own_settings_and_the_last_word_is_kept(tmp_path: Path) -> None:
    heard: list[Heard] = []
    tasks = [_task(tmp_path, name, TELLS, MARK=name.upper()) for name in ("a", "b", "c")]
    last = side_by_side(tasks, heard.append)
    assert {name: (each.n_requests, each.doing) for name, each in last.items()} == {
        "a": (2, "A"),
        "b": (2, "B"),
        "c": (2, "C"),
    }
    assert len(heard) == 6


def test_one_at_a_time_is_one_after_the_other(tmp_path: Path) -> None:
    heard: list[Heard] = []
    side_by_side([_task(tmp_path, name, TELLS) for name in ("b", "a")], heard.append, at_most=1)
    assert [each.deployment for each in heard] == ["b", "b", "a", "a"]


def test_a_replay_that_fails_ends_the_others_and_its_last_words_are_told(tmp_path: Path) -> None:
    began = monotonic_s()
    with pytest.raises(UpstreamError, match=r"'b' ended with code 1: the disk is full") as told:
        side_by_side([_task(tmp_path, "a", HANGS), _task(tmp_path, "b", FAILS)], lambda _heard: None)
    assert monotonic_s() - began < 60
    assert "replay.log" in told.value.hint


def test_a_copy_of_closed_stores_has_the_same_ledger_and_names_no_folder(tmp_path: Path) -> None:
    source, target = (Deployment(name, tmp_path, tmp_path / name / ".perdure") for name in ("one", "two"))
    settings = Settings(project=ProjectSettings(name="world"))
    perdure = Perdure(source.root, settings, project=World(seed=1, n_days=2).project())
    perdure.tick(at=START + timedelta(days=1))
    close_stores(perdure)
    root = source.root / ".perdure"
    copy_stores(Deployment("one", tmp_path, root), target)
    with sqlite3.connect(target.root / "ledger.db") as copied:
        assert copied.execute("pragma integrity_check").fetchone() == ("ok",)
    named = [path for path in target.root.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]
    assert named == []
