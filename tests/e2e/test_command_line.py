"""The command line as a person uses it, and the tutorial's commands run from the first to the last."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def _run(command: str, folder: Path, *, expect: int = 0, **extra: str) -> str:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "160", **extra}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)  # noqa: S607
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@contextmanager
def _background(command: str, folder: Path) -> Iterator[str]:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PERDURE_SERVE_PORT": "0"}
    process = subprocess.Popen(  # noqa: S602
        f"exec {command} --json", shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        _await(f"{url}/readyz")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()


def _await(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} was not ready")


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path, repository: Path) -> None:
    """Every `sh` block in order; the one marked background runs until the end."""
    text = (repository / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"```sh( background)?\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 9
    folder, shown = tmp_path, []
    before = [body for kind, body in blocks[: [bool(kind) for kind, _ in blocks].index(True)]]
    after = [body for kind, body in blocks[len(before) + 1 :]]
    for body in before:
        shown.append(_run(body, folder))
        folder = tmp_path / "orders"
    with _background("perdure up", folder) as url:
        for body in after:
            shown.append(_run(body.replace("localhost:8400", url.removeprefix("http://")), folder))
    told = "\n".join(shown)
    assert "every declaration loads" in told
    assert "champion" in told
    assert "intact" in told
    assert '"value":' in told
    assert "distance_km" in told
    assert "ordered_at" in told
    assert '"accepted":1' in told.replace(" ", "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project made by `perdure init`."""
    _run("perdure init shop", tmp_path)
    return tmp_path / "shop"


def test_init_writes_a_project_that_trains_from_a_csv_file_of_ones_own(tmp_path: Path) -> None:
    rows = "\n".join(f"r{n},2025-01-{1 + n % 28:02d} 08:{n % 60:02d},{n % 7},{'ab'[n % 2]},{n % 7 * 2.5}" for n in range(400))
    (tmp_path / "sales.csv").write_text(f"Row Id,sold at,Items,class,price\n{rows}\n")
    _run("perdure init mine --csv sales.csv --label price --time 'sold at' --key 'Row Id'", tmp_path)
    _run("perdure check && perdure train mine --at 2025-02-15 && perdure apply", tmp_path / "mine")
    [run] = json.loads(_run("perdure runs --json", tmp_path / "mine"))
    assert run["status"] == "done"
    assert run["metrics"]["valid_mae"] < 2.0


def test_init_says_what_it_cannot_guess_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n1,3\n")
    told = _run("perdure init mine --csv x.csv --label b", tmp_path, expect=2)
    assert "--time COLUMN" in told
    assert not (tmp_path / "mine").exists()
    assert "Did you mean 'b'" in _run("perdure init mine --csv x.csv --label bb", tmp_path, expect=3)


def test_init_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    assert "not empty" in _run("perdure init full", tmp_path, expect=2)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_every_command_prints_one_json_value(project: Path) -> None:
    for command in ("check", "train shop --at 2025-02-15", "runs", "apply", "tick --at 2025-02-15", "status",
                    "ledger verify", "ledger list"):  # fmt: skip
        told = _run(f"perdure {command} --json", project)
        assert json.loads(told) is not None, command


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("perdure train shp", 3, "Did you mean 'shop'"),
        ("perdure train shop --at yesterday", 2, "ISO 8601"),
        ("perdure train shop --at 2024-01-01", 4, "labelled rows"),
        ("perdure apply --release shop", 2, "MODEL=VERSION"),
        ("perdure apply --release shop=shop@123", 3, "version"),
        ("PERDURE_SERVE_PROT=1 perdure status", 2, "PERDURE_SERVE_PORT"),
        ("cd / && perdure status", 3, "perdure init"),
        ("perdure demo flight", 3, "Did you mean 'flights'"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_with_its_exit_code(project: Path, command: str, code: int, told: str) -> None:
    answer = _run(command, project, expect=code)
    assert told in answer.replace("\n", " ")
    assert "Traceback" not in answer


def test_an_error_is_json_too_when_asked(project: Path) -> None:
    assert json.loads(_run("perdure train shp --json", project, expect=3))["error"]["code"] == "not_found"


def test_a_broken_chain_is_found_by_the_command_line(project: Path) -> None:
    import sqlite3

    _run("perdure apply --at 2025-02-15", project)
    with sqlite3.connect(project / ".perdure" / "ledger.db") as tampered:
        tables = [row[0] for row in tampered.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        audit = next(table for table in tables if "audit" in table)
        tampered.execute(f"UPDATE {audit} SET actor = 'nobody' WHERE rowid = 1")  # noqa: S608
    assert "broken" in _run("perdure ledger verify", project, expect=6)


def test_up_takes_in_serves_and_measures(project: Path) -> None:
    """`up` answers, and its loop drains the capture to the lake."""
    _run("perdure train shop --at 2025-02-15 && perdure apply", project)
    with _background("env PERDURE_LOOP_TICK_S=0.2 perdure up", project) as url:
        row = {"order_id": "n1", "ordered_at": "2025-03-01T18:05:00Z", "shop": "north", "distance_km": 4.2, "rain_mm": None}
        request = urllib.request.Request(
            f"{url}/v1/models/shop/predict", json.dumps({"row": row}).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert 20.0 < json.load(answer)["predictions"][0]["value"] < 50.0
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if "captures/shop" in json.loads(_run("perdure status --json", project))["tables"]:
                return
        raise AssertionError("the loop did not drain the capture")
