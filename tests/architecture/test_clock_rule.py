"""The machine's time is read in core/clock.py alone: the linter finds every other way to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

SAMPLE = """\
import time
from datetime import date, datetime
from datetime import datetime as dt

datetime.now()
dt.now()
datetime.utcnow()
datetime.today()
date.today()
time.time()
time.time_ns()
time.monotonic()
time.monotonic_ns()
time.perf_counter()
time.perf_counter_ns()
time.process_time()
time.sleep(1)
"""


def banned_lines(repository: Path, file: str) -> set[int]:
    """Lines of the sample that ruff refuses when the sample stands in `file`."""
    ruff = Path(sys.executable).with_name("ruff")
    options = ["--select", "TID251", "--output-format", "json", "--no-cache"]
    done = subprocess.run(
        [ruff, "check", *options, "--stdin-filename", str(repository / file), "-"],
        input=SAMPLE,
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    return {found["location"]["row"] for found in json.loads(done.stdout)}


@pytest.mark.parametrize("file", ["src/perdure/loop/planted.py", "src/perdure/core/ids.py", "tests/unit/test_x.py"])
def test_every_way_to_the_time_is_refused(repository: Path, file: str) -> None:
    assert banned_lines(repository, file) == set(range(5, 18))


def test_the_clock_itself_may_read_the_time(repository: Path) -> None:
    assert banned_lines(repository, "src/perdure/core/clock.py") == set()


def test_the_rule_is_among_those_that_lint_runs(repository: Path) -> None:
    lint = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]

    assert "TID" in lint["select"]
    assert not {"TID", "TID251"} & set(lint["ignore"])
