"""What every test has: repeatable examples, closed sockets, the repository's folder, the command line."""

from __future__ import annotations

import io
import os
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
_LOOPBACK = ["127.0.0.1", "::1"]

# No deadlines: two busy cores make a slow example, not a wrong one. In CI every run draws the same examples.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/e2e and tests/scenario; open the loopback for end-to-end tests."""
    for item in items:
        for level in ("e2e", "scenario"):
            if ROOT / "tests" / level in item.path.parents:
                item.add_marker(level)
        if item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.allow_hosts(_LOOPBACK))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's folder."""
    return ROOT


@dataclass(frozen=True)
class Told:
    """What a command said, and the exit code it ended with."""

    out: str
    err: str
    code: int


class CommandLine:
    """Runs `perdure …` as the installed command does, in this process: the libraries are loaded once."""

    def __call__(self, command: str, folder: Path, *, expect: int | None = 0, **environment: str) -> Told:
        """Run a command in a folder; fails when it ends with another code than `expect` (None: any)."""
        from perdure.surface.cli import main

        out, err, words = io.StringIO(), io.StringIO(), shlex.split(command)
        assert words[0] == "perdure", command
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(folder)
            patch.setattr(sys, "argv", words)
            patch.setattr(sys, "path", list(sys.path))
            for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
                patch.delenv(name, raising=False)
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        told = Told(out.getvalue(), err.getvalue(), int(ended.value.code or 0))
        assert expect in (None, told.code), f"{command} ended with {told.code}\n{told.out}\n{told.err}"
        return told


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    """The command line, run in this process."""
    return CommandLine()
