"""Runs code that a model wrote, in a process of its own with limits. **No security boundary.**

The port `RunCode` for scorers that execute answers. What holds it: a fresh interpreter without the user's site and environment
(`python -I`), a session and a temporary folder of its own, limits of CPU, memory, file size, processes and open files, a
wall clock that kills the whole group, cut output; where the kernel allows, namespaces without network and with processes that
die together; as root, it becomes nobody first. What does not: it reads whatever files its user may read, kernel bugs, and code
that sets out to forge a pass. Suites opt in by declaring `CodePasses`; run those of models that you do not trust in a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotReady
from perdure.core.ports import CodeRun

_PROGRAM = Path(__file__).with_name("sandboxed.py")
_KEPT = 64 * 1024
_MOST_OUTPUT = 4 * 1024 * 1024
_MOST_FILE = 4 * 1024 * 1024
_MOST_PROCESSES = 16
_MOST_OPEN = 64
_TOLD = 16 * 1024


@dataclass(slots=True)
class _Heard:
    output: bytearray
    told: bytearray
    n_output: int = 0
    over: str = ""


class Sandbox:
    """`RunCode` by subprocesses; safe to share between threads. A run costs a start of Python, some 40 ms.

    >>> Sandbox().run("def double(x): return 2 * x", "assert double(2) == 4", seconds=5.0, megabytes=256).passed
    True
    """

    def run(self, code: str, checks: str, *, seconds: float, megabytes: int) -> CodeRun:
        """Run code, then its checks in the same names; passed only where the end of the checks was reached.

        Args:
            code: Python.
            checks: Python that raises where something is wrong.
            seconds: of wall clock and of CPU.
            megabytes: of address space.

        Raises:
            NotReady: no process could be started here.
        """
        token = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="perdure-code-", ignore_cleanup_errors=True) as folder:
            drop = os.geteuid() == 0 and _is_open_to_all()
            limits = {
                "CPU": max(1, int(seconds) + 1),
                "AS": megabytes * 1024 * 1024,
                "FSIZE": _MOST_FILE,
                "NPROC": _MOST_PROCESSES,
                "NOFILE": _MOST_OPEN,
                "CORE": 0,
            }
            task = {"code": code, "checks": checks, "limits": limits, "drop": drop}
            (Path(folder) / "task").write_bytes(json.dumps(task).encode())
            if drop:
                Path(folder).chmod(0o777)  # the folder is gone in a moment, and its name is not to be guessed
            heard = _run(folder, token, seconds)
        return _judged(heard, token)


def _run(folder: str, token: str, seconds: float) -> _Heard:
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [*_apart(), sys.executable, "-I", "-B", "-X", "utf8", str(_PROGRAM), str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd=folder,
            pass_fds=(write,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(read)
        raise NotReady(f"No process for code could be started: {error.strerror}.", hint="Try again later.") from error
    finally:
        os.close(write)
    with process:
        try:
            return _heard(process, read, token, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            os.close(read)


def _heard(process: subprocess.Popen[bytes], told: int, token: str, seconds: float) -> _Heard:
    """What comes until the program tells how it ended, ends, or must be ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(token.encode())
        process.stdin.close()
    heard = _Heard(bytearray(), bytearray())
    until = monotonic_s() + seconds
    with selectors.DefaultSelector() as ready:
        ready.register(told, selectors.EVENT_READ)
        ready.register(process.stdout.fileno(), selectors.EVENT_READ)
        while told in ready.get_map():
            left = until - monotonic_s()
            if left <= 0.0:
                heard.over = f"it took longer than {seconds:g} s"
                break
            for key, _ in ready.select(left):
                data = os.read(key.fd, 65_536)
                if not data:
                    ready.unregister(key.fd)
                elif key.fd == told:
                    heard.told += data[: _TOLD - len(heard.told)]
                    if heard.told.endswith(b"}"):
                        ready.unregister(told)
                else:
                    heard.n_output += len(data)
                    heard.output = (heard.output + data)[-_KEPT:]
            if heard.n_output > _MOST_OUTPUT:
                heard.over = "it printed more than 4 MB"
                break
    os.set_blocking(process.stdout.fileno(), False)
    with contextlib.suppress(BlockingIOError):  # the program is done, and what it printed before lies in the pipe
        heard.output = (heard.output + os.read(process.stdout.fileno(), 65_536))[-_KEPT:]
    return heard


def _judged(heard: _Heard, token: str) -> CodeRun:
    output = bytes(heard.output).decode("utf-8", "replace")
    if heard.over:
        return CodeRun(passed=False, why=heard.over, output=output)
    try:
        said = json.loads(bytes(heard.told))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return CodeRun(passed=False, why="it ended before its checks did", output=output)
    if said.get("token") == token:
        return CodeRun(passed=True, output=output)
    return CodeRun(passed=False, why=str(said.get("why") or "it ended before its checks did"), output=output)


@lru_cache(maxsize=1)
def _apart() -> tuple[str, ...]:
    """The command that puts a program into namespaces of its own, as far as this machine allows; mostly empty in containers."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    users = () if os.geteuid() == 0 else ("--map-root-user",)
    for spaces in (("--net", "--pid", "--fork", "--kill-child"), ("--net",)):
        command = (unshare, *users, *spaces, "--")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([*command, "true"], capture_output=True, check=False, timeout=10.0).returncode == 0:
                return command
    return ()


@lru_cache(maxsize=1)
def _is_open_to_all() -> bool:
    """Whether nobody could read this interpreter and its libraries: a Python in root's own folder stays root's."""
    for each in {Path(sys.executable).resolve(), Path(os.__file__).resolve(), Path(sys.prefix).resolve()}:
        for folder in each.parents:
            if not folder.stat().st_mode & stat.S_IXOTH:
                return False
    return True
