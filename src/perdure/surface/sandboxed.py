"""Runs code and its checks in the process that `surface.sandbox` started for it: a program of the standard library alone.

    python -I sandboxed.py FD < TOKEN        in a folder that holds the file `task`: {"code", "checks", "limits"}

It limits itself before it reads any code. The token is read from where no code looks by chance, and only after the last check,
and goes back by the descriptor FD: an `os._exit(0)` in the code, or a printed guess, passes nothing. Code that sets out to
cheat can do so: this is no security boundary.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NOBODY = 65_534


def _limited(limits: Mapping[str, int], *, drop: bool) -> None:
    """Set limits that cannot be lifted again; as root first become nobody, for whom alone processes are counted."""
    if drop and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    for name, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # the machine's own limit is lower already
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _failure(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ended itself by SystemExit({error.code!r})"
    if isinstance(error, MemoryError):
        return "MemoryError: over the limit of memory"
    lines = traceback.format_exception_only(type(error), error)
    frame = next(
        (each for each in reversed(traceback.extract_tb(error.__traceback__)) if each.filename in _NAMES), None
    )
    where = f" (line {frame.lineno} of the {frame.filename[1:-1]})" if frame is not None else ""
    return f"{lines[-1].strip()[:400]}{where}"


_NAMES = ("<code>", "<checks>")


def main(told: int) -> None:
    """Run the task of this folder and tell what came of it by the descriptor `told`."""
    task: dict[str, Any] = json.loads(Path("task").read_bytes())
    Path("task").unlink()
    token_from = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    names: dict[str, Any] = {"__name__": "answer", "__builtins__": __builtins__}
    said = {"why": ""}
    try:
        _limited(task["limits"], drop=task["drop"])
        for name, source in zip(_NAMES, (task["code"], task["checks"]), strict=True):
            exec(compile(source, name, "exec", dont_inherit=True), names)  # noqa: S102 - what this program is for
        said["token"] = os.read(token_from, 64).decode()
    except BaseException as error:  # whatever the code raises is its result
        said["why"] = _failure(error)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os.write(told, json.dumps(said).encode())
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
