"""The pages of the documentation, typed in from the first command to the last; and the installed command.

What takes no server runs in this process, so the libraries are loaded once; `up` and whatever is no
`perdure` command are processes of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from perdure.core.clock import monotonic_s, sleep_s

BIN = Path(sys.executable).parent
HEAVY = {
    "alembic", "deltalake", "lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "optuna", "pandas", "polars",
    "pydantic", "scipy", "sklearn", "skl2onnx", "sqlalchemy", "uvicorn",
}  # fmt: skip
PROBE = "import sys; from perdure.surface.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"


class Block(NamedTuple):
    """Commands of a page, how they are to be run, and what they print where the page says it."""

    how: str
    commands: list[str]
    output: str | None


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"```sh ?([\w-]*)\n(.*?)```\n(?:\n```text\n(.*?)```)?", page.read_text(), re.DOTALL)
    return [Block(how, body.splitlines(), output or None) for how, body, output in found]


class Reader:
    """A person who types what a page says."""

    def __init__(self, cli: Callable[..., object], folder: Path) -> None:
        self.cli = cli
        self.folder = folder
        self.address = ""

    def type(self, command: str) -> str:
        """Run one line as a shell would."""
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
            return ""
        if command.startswith("perdure ") and not re.search(r"[|>$&]", command):
            return self.cli(command, self.folder, COLUMNS="100").out
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:8400", self.address)],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def background(command: str, folder: Path, **environment: str) -> Iterator[str]:
    """A server and its loop until the block ends; gives its address once it is ready."""
    process = subprocess.Popen(
        [BIN / "perdure", *command.split()[1:], "--json"],
        cwd=folder,
        env={**os.environ, "PERDURE_SERVE_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        wait_until(lambda: ready(url))
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=60)


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = monotonic_s() + seconds
    while not true():
        assert monotonic_s() < deadline, "waited in vain"
        sleep_s(0.05)


def same(text: str) -> list[str]:
    """Lines without what differs from machine to machine: ids, hashes, instants, figures, the width of columns."""
    text = re.sub(r"@[0-9a-f]{12}|run_\w+|\b[0-9a-f]{10,64}\b", "ID", text)
    text = re.sub(r"-?\d[\d,.]*(e-\d+)?", "0", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_tutorial_runs_as_it_is_written(cli, tmp_path, repository):
    """Every command in order; `up` runs from its block to the end, and its loop takes in what was asked."""
    page = [block for block in blocks(repository / "docs" / "tutorial.md") if block.how != "no-run"]
    at = [block.how for block in page].index("background")
    reader, told = Reader(cli, tmp_path), []

    def read(part: list[Block]) -> None:
        for block in part:
            printed = "".join(reader.type(command) for command in block.commands)
            told.append(printed)
            assert block.output is None or same(block.output) == same(printed)[-len(same(block.output)) :], printed

    read(page[:at])
    with background(page[at].commands[0], reader.folder, PERDURE_LOOP_TICK_S="0.2") as url:
        reader.address = url.removeprefix("http://")
        read(page[at + 1 :])
        wait_until(lambda: "1 row of request orders" in cli("perdure status", reader.folder).out)
    assert len(page) >= 9
    predicted, refused, labelled, status = told[-4:]
    assert 20.0 < json.loads(predicted)["predictions"][0]["value"] < 50.0
    assert {error["field"] for error in json.loads(refused)["error"]["facts"]["errors"]} >= {
        "distance_km",
        "ordered_at",
    }
    assert json.loads(labelled) == {"accepted": 1}
    assert "champion orders@" in status


def test_the_page_of_the_command_line_shows_what_the_commands_print(cli, tmp_path, repository):
    reader, shown = Reader(cli, tmp_path), 0
    for block in blocks(repository / "docs" / "cli.md"):
        if block.how == "no-run":
            continue
        printed = "".join(reader.type(command) for command in block.commands)
        if block.output is not None:
            shown += 1
            assert same(printed) == same(block.output), printed
    assert shown >= 9


def test_the_page_of_the_sdk_runs_with_its_server(tmp_path, repository, monkeypatch):
    """The block that the other tests of the docs leave out, because it opens a socket, runs here."""
    page = (repository / "docs" / "sdk.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = ModuleType("page_sdk")
    monkeypatch.setitem(sys.modules, "page_sdk", module)
    for code in re.findall(r"```python(?: no-run)?\n(.*?)```", page, re.DOTALL):
        exec(code, vars(module))
    assert vars(module)["drained"].n_labels == 1


def loaded(command: str, folder: Path) -> set[str]:
    """Top-level libraries that a command loads, in a process of its own."""
    words = [sys.executable, "-c", PROBE, *command.split()]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.fixture(scope="module")
def project(cli, tmp_path_factory):
    """A project as `init` makes it: its package names no library but perdure."""
    folder = tmp_path_factory.mktemp("startup")
    cli("perdure init shop", folder)
    return folder / "shop"


@pytest.mark.parametrize(
    ("command", "needed"),
    [("--help", set()), ("check", {"polars", "pydantic"}), ("runs", {"alembic", "pydantic", "sqlalchemy"})],
)
def test_a_command_loads_the_heavy_libraries_that_it_needs_and_no_other(project, command, needed):
    assert loaded(command, project) & HEAVY <= needed


def test_the_installed_command_runs(tmp_path):
    done = subprocess.run([BIN / "perdure", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: perdure [OPTIONS] COMMAND")
