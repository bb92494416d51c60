"""The console as a process: it says where it is, answers, ends when it is told to; and `perdure up` serves it beside the loop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotFound, NotReady
from perdure.serve.hosting import Hosted
from perdure.surface.examples import console_command, find_example, open_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cli) -> Path:
    """A new project."""
    made = tmp_path_factory.mktemp("started")
    cli("perdure init shop", made)
    return made / "shop"


@contextmanager
def running(folder: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command until the block ends; ended then as Ctrl-C or a service manager does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "perdure.surface.cli", *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        began = monotonic_s()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert monotonic_s() - began < 15
        assert process.returncode == 0, errors


def line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    told: dict[str, str] = json.loads(process.stdout.readline())
    return told


def get(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_the_console_says_where_it_is_and_invites_the_first_who_comes(folder: Path) -> None:
    with running(folder, "console", "--port", "0", "--json") as process:
        told = line(process)
        assert get(told["console"], "/healthz")[2] == b'{"ok":true}'
        status, headers, _ = get(told["console"], "/")
        assert (status, headers["location"]) == (303, "/sign-in?next=%2F")
        assert told["invite"].startswith(f"{told['console']}/sign-in/")
        assert get(told["console"], urlsplit(told["invite"]).path)[0] == 200
        assert get(told["console"], "/healthz", "HEAD")[::2] == (200, b"")
        assert get(told["console"], "/sign-in", **{"Accept-Encoding": "gzip"})[1]["content-encoding"] == "gzip"


def test_up_serves_the_console_beside_the_loop_and_names_it_second(folder: Path) -> None:
    with running(folder, "up", "--port", "0", "--json", PERDURE_CONSOLE_PORT="0", PERDURE_LOOP_TICK_S="60") as process:
        assert "url" in line(process)
        assert get(line(process)["console"], "/healthz")[0] == 200


def test_up_goes_on_where_the_consoles_port_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running(folder, "up", "--port", "0", "--json", PERDURE_CONSOLE_PORT=port) as process:
            assert get(line(process)["url"], "/healthz")[0] == 200
            assert process.stderr is not None
            # A server that looks before the loop has made the ledger says so in a line of its own.
            told = (text for text in iter(process.stderr.readline, "") if "cannot be bound" in text)
            assert port in next(told)


def test_up_leaves_the_console_out_where_it_is_off(folder: Path) -> None:
    with running(folder, "up", "--port", "0", "--json", PERDURE_CONSOLE_ON="false") as process:
        line(process)
        assert "console" not in line(process)


def test_an_address_that_is_taken_is_told_with_the_setting_that_names_it() -> None:
    async def app(scope, receive, send) -> None:
        raise AssertionError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(NotReady, match=r"\[console\] port"):
            Hosted(app, host="127.0.0.1", port=taken.getsockname()[1], name="console").start()


def test_a_hosted_application_is_told_that_it_ends_before_its_server_does() -> None:
    told: list[str] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    hosted = Hosted(app, host="127.0.0.1", port=0, name="console", ending=lambda: told.append("ending"))
    assert get(hosted.start(), "/")[2] == b"ok"
    hosted.stop()
    assert told == ["ending"]


def test_a_demo_that_has_not_run_says_how_it_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("perdure.surface.examples._default_out", lambda name: tmp_path / name)
    with pytest.raises(NotFound, match="perdure demo flights"):
        open_demo("flights")


def test_the_demo_ends_with_the_command_that_opens_the_console_on_it(tmp_path: Path) -> None:
    folder = find_example("flights")
    assert console_command("flights", folder / "out") == "make console"
    assert console_command("flights", tmp_path) == (
        f"PERDURE_STORES_ROOT={tmp_path}/managed/.perdure perdure console -p {folder}"
    )
