"""Hostile code ends where its limits are; what it prints or claims passes nothing."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.surface import sandbox
from perdure.surface.sandbox import Sandbox


def run(code, checks="assert True", *, seconds=5.0, megabytes=256):
    return Sandbox().run(code, checks, seconds=seconds, megabytes=megabytes)


def test_code_passes_where_every_check_is_reached_and_holds() -> None:
    found = run("def double(x):\n    print('日本語')\n    return 2 * x", "assert double(2) == 4")

    assert (found.passed, found.why, found.output) == (True, "", "日本語\n")


@pytest.mark.parametrize(
    ("code", "checks", "why"),
    [
        (
            "def double(x): return x",
            "assert double(2) == 4, 'not four'",
            "AssertionError: not four (line 1 of the checks)",
        ),
        ("x = 1\ny = 1 / 0", "", "ZeroDivisionError: division by zero (line 2 of the code)"),
        ("def (", "", "SyntaxError: invalid syntax"),
        ("import os; os._exit(0)", "", "it ended before its checks did"),
        ('print(\'{"token": "guessed"}\'); import os; os._exit(0)', "", "it ended before its checks did"),
        ("import sys; sys.exit(0)", "", "it ended itself by SystemExit(0)"),
        ("x = input()", "", "EOFError: EOF when reading a line (line 1 of the code)"),
        ("x = [0] * 10**9", "", "MemoryError: over the limit of memory"),
        ("def f(): return f()\nf()", "", "RecursionError"),
        ("import ctypes; ctypes.string_at(0)", "", "it ended before its checks did"),
        ("open('big', 'wb').write(b'x' * 10**8)", "", "OSError: [Errno 27] File too large"),
        ("kept = [open('/dev/null') for _ in range(100)]", "", "OSError: [Errno 24] Too many open files"),
        ("s = '\ud800'", "", "UnicodeEncodeError"),
        ("while True: print('x' * 10_000)", "", "it printed more than 4 MB"),
    ],
)
def test_what_does_not_pass_is_told(code, checks, why) -> None:
    found = run(code, checks)

    assert not found.passed
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time; time.sleep(60)", "import os\nwhile os.fork() >= 0: pass"]
)
def test_the_wall_clock_ends_it_with_all_that_it_started(code) -> None:
    begun = monotonic_s()

    found = run(f"import os; print(os.getcwd(), flush=True)\n{code}", seconds=0.3)

    assert found.why == "it took longer than 0.3 s"
    while living(found.output.strip()) and monotonic_s() - begun < 10.0:
        sleep_s(0.02)
    assert monotonic_s() - begun < 10.0


def living(folder: str) -> list[Path]:
    """Processes whose folder is, or was, this one."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [each] if str(each.readlink()).startswith(folder) else []
    return found


def test_it_sees_no_environment_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-123")
    found = run("import os\nopen('left', 'w').write('x')\nprint(os.getcwd())", "assert 'SECRET_KEY' not in os.environ")

    assert found.passed
    assert Path(found.output.strip()) != Path.cwd()
    assert not Path(found.output.strip()).exists()


@pytest.mark.skipif(not sandbox._apart(), reason="this machine allows no namespaces")
def test_it_has_no_network_where_the_machine_allows() -> None:
    code = "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=1)"

    assert "Network is unreachable" in run(code).why


@pytest.mark.skipif(os.geteuid() != 0, reason="limits of processes are a user's own")
def test_a_machine_without_namespaces_has_limits_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_apart", tuple)

    assert run("x = 1", "assert x == 1").passed
    assert run("x = [0] * 10**9").why == "MemoryError: over the limit of memory"
    assert run("import time; time.sleep(60)", seconds=0.2).why == "it took longer than 0.2 s"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_root_becomes_nobody_first_so_that_its_processes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_is_open_to_all", lambda: True)
    forks = "import os, time\nfor _ in range(40):\n    if os.fork() == 0:\n        time.sleep(5)"

    assert run("import os", "assert os.getuid() == 65534").passed
    assert "Resource temporarily unavailable" in run(forks).why


def test_one_sandbox_serves_many_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: run(f"x = {n}", f"assert x == {n % 3}"), range(6)))

    assert [each.passed for each in found] == [True, True, True, False, False, False]


def test_output_is_kept_to_its_end_and_cut() -> None:
    found = run("print('a' * 200_000)\nprint('end')")

    assert found.passed
    assert len(found.output) <= 64 * 1024
    assert found.output.endswith("end\n")
