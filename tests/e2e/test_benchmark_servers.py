"""What a benchmark starts ends with it, whatever it started in its turn."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from perdure.core.clock import monotonic_s, sleep_s

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
HEARING = "import time; print(flush=True); time.sleep(600)"


@pytest.mark.parametrize("child", [HEARING, DEAF], ids=["hearing", "deaf"])
def test_a_server_of_a_server_ends_with_the_stack(monkeypatch, child):
    """Its parent dies of SIGTERM and tells it nothing; one that is deaf to the signal is killed."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    from gateway_parts.serving import started

    with ExitStack() as stack:
        process, told = started(stack, [sys.executable, "-c", PARENT.format(child=child)])
        wait_for(lambda: told.read_text().endswith("\n"))
        child = int(told.read_text())
    assert process.returncode is not None
    wait_for(lambda: not lives(child))  # a kill takes a moment


def wait_for(true):
    until_s = monotonic_s() + 60.0
    while not true():
        assert monotonic_s() < until_s
        sleep_s(0.02)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet asked for its code does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
