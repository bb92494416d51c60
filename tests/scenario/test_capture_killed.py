"""A serving process is killed at any instant: what it acknowledged is there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange

_PROGRAM = Path(__file__).parent / "capturing.py"


def _start(root, model, *more):
    return subprocess.Popen(
        [sys.executable, _PROGRAM, root, model, *more], stdout=subprocess.PIPE, start_new_session=True
    )


def _kill(process):
    """Kill −9 the process and its children; returns the lines it had told, a torn last one left out."""
    os.killpg(process.pid, signal.SIGKILL)
    told = process.stdout.read()
    process.stdout.close()
    process.wait()
    return set(told[: told.rfind(b"\n")].decode().splitlines()) if b"\n" in told else set()


def _read(root):
    log = SegmentLog(root)
    infos = log.segments()
    assert all(info.closed for info in infos)
    spans = [SegmentRange(info.name, 0, log.complete_end(info.name, 0)) for info in infos]
    return Counter(f"{event.model} {event.request_id}" for span in spans for event in log.read(span))


@pytest.mark.parametrize("seed", range(3))
def test_every_acknowledged_event_of_two_killed_writers_is_readable_once(tmp_path, seed):
    rng = random.Random(seed)
    processes = [_start(tmp_path, model) for model in ("first", "second")]
    # The first line of each counts: a slow machine may grant a writer no second one before it is killed.
    told = {process.stdout.readline().decode().strip() for process in processes}
    for process in processes:
        sleep_s(rng.uniform(0.0, 0.01))
        told |= _kill(process)
    found = _read(tmp_path)
    assert {line.partition(" ")[0] for line in told} == {"first", "second"}
    assert told <= set(found)
    assert max(found.values()) == 1


def test_a_forked_child_writes_segments_of_its_own(tmp_path):
    """Parent and child would else tear each other's frames and share one lock."""
    process = _start(tmp_path, "one", "forks")
    lines = set()
    while {line.partition(b" ")[0] for line in lines} != {b"one", b"one_child"}:
        lines.add(process.stdout.readline())
    log = SegmentLog(tmp_path)
    deadline_s = monotonic_s() + 60.0
    # Each rotates its segments: for an instant one of them may have none open.
    while sum(not info.closed for info in log.segments()) != 2:
        assert monotonic_s() < deadline_s
    told = _kill(process)
    found = _read(tmp_path)
    assert told <= set(found)
    assert max(found.values()) == 1
    for info in log.segments():
        span = SegmentRange(info.name, 0, log.complete_end(info.name, 0))
        assert len({event.model for event in log.read(span)}) <= 1  # none where it was killed in between
