"""Servers in processes of their own, and the environments that peers are installed into, once, under the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway_parts.load import Load, Refused, Where, cpu_s, measure, rss_mb, tree
from perdure.core.clock import monotonic_s, sleep_s

_CACHE = Path.home() / ".cache" / "perdure-bench"
_READY_S = 120.0


class Skipped(Exception):
    """A peer that cannot be measured here, and why."""


@dataclass
class Serving:
    """A server that answers."""

    name: str
    where: Where
    pid: int
    streams: bool = True
    slow: bool = False
    """Milliseconds a request: fewer of them say as much."""

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return tree(self.pid)

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return cpu_s(self.pids)

    def rss_mb(self) -> float:
        """Resident memory."""
        return rss_mb(self.pids)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def started(
    stack: ExitStack, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[bytes], Path]:
    """A process that ends with the stack, children and all, and the file of what it says."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    told = folder / "out.txt"
    with told.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(env or {})},
            start_new_session=True,
        )  # fmt: skip
    stack.callback(_ended, process)
    return process, told


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End its whole group: a program such as `mlflow` starts another one and does not pass the signal on."""
    _told(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    until = monotonic_s() + 5.0
    while _told(process, 0) and monotonic_s() < until:
        sleep_s(0.05)
    _told(process, signal.SIGKILL)
    process.wait()


def _told(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there is still a process of the group that gets this signal."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def url_of(told: Path) -> str:
    """The address that a program of ours prints first."""
    for _ in range(600):
        line = told.read_text().partition("\n")[0]
        if line.startswith("http"):
            return line
        sleep_s(0.05)
    raise Skipped(f"it printed no address: {told.read_text()[-300:]!r}")


def ready(serving: Serving, told: Path) -> Serving:
    """Wait until it answers; find out whether it streams."""
    until = monotonic_s() + _READY_S
    while True:
        try:
            measure(serving.where, Load(1, 1), [])
            break
        except (Refused, OSError, ValueError, KeyError) as error:
            if monotonic_s() > until:
                raise Skipped(f"it did not answer: {error}; {told.read_text()[-300:]!r}") from error
            sleep_s(0.2)
    try:
        measure(serving.where, Load(1, 1, stream=True), [])
    except (Refused, OSError, ValueError, KeyError) as error:
        print(f"{serving.name}: streams are left out, it answers {error!s:.120}", file=sys.stderr)
        serving.streams = False
    return serving


def python_with(name: str, *needs: str) -> Path:
    """The interpreter of an environment with these packages; made when it is not there yet.

    Raises:
        Skipped: it cannot be made.
    """
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    make: list[list[str | Path]]
    folder = _folder(name, needs)
    python = folder / "bin" / "python"
    if Path(uv).exists():
        make = [[uv, "venv", "-q", "--clear", "--python", sys.executable, folder],
                [uv, "pip", "install", "-q", "--python", python, *needs]]  # fmt: skip
    else:
        make = [[sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "--quiet", *needs]]
    _make(folder, make)
    return python


def node_with(name: str, package: str) -> Path:
    """The folder of a package of npm, made when it is not there yet.

    Raises:
        Skipped: there is no Node here, or it cannot be installed.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skipped("there is no Node on this machine")
    folder = _folder(name, [package])
    folder.mkdir(parents=True, exist_ok=True)
    _make(folder, [["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, package]])  # fmt: skip
    return folder / "node_modules" / package


def _folder(name: str, needs: Sequence[str]) -> Path:
    digest = hashlib.sha256("\n".join([sys.version, *needs]).encode()).hexdigest()[:12]
    return _CACHE / f"{name}-{digest}"


def _make(folder: Path, commands: Sequence[Sequence[str | Path]]) -> None:
    done = folder / "done"
    if done.exists():
        return
    print(f"making {folder} …", file=sys.stderr)
    for command in commands:
        try:
            subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=900)
        except (subprocess.SubprocessError, OSError) as error:
            raise Skipped(f"it cannot be installed: {error}") from error
    done.touch()
