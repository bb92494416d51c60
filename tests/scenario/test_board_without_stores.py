"""A store that cannot be read leaves the board as it was, with what is wrong; once it is back, the board goes on."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perdure import Perdure, Project
from perdure.core.clock import iso
from perdure.surface.console.boards import ProjectBoards

AT = datetime(2025, 3, 1, tzinfo=UTC)


def written(project: Perdure, kind: str, hours: int = 0) -> None:
    at = AT + timedelta(hours=hours)
    with project.place.stores.ledger.transaction(actor="ann", at=at, reason="so") as session:
        session.incidents.open("eta", kind, "it broke", {})
        session.cursors.put("round", iso(at))


@pytest.fixture
def project(tmp_path) -> Perdure:
    made = Perdure(tmp_path, project=Project.of("p"), actor="ann")
    written(made, "decay")
    return made


@pytest.fixture
def ledger(tmp_path) -> Path:
    return tmp_path / ".perdure" / "ledger.db"


def kinds(board) -> list[str]:
    return [each.kind for each in board.incidents]


def moved(ledger: Path, to: Path) -> None:
    """The file with what stands beside it."""
    to.mkdir(exist_ok=True)
    for each in ledger.parent.glob("ledger.db*"):
        each.rename(to / each.name)


def test_a_ledger_that_is_gone_leaves_the_old_board_and_says_so_once(project, ledger, tmp_path):
    boards = ProjectBoards(project)
    before = boards.refresh()
    moved(ledger, tmp_path / "aside")
    board = boards.refresh()
    assert (kinds(board), board.sequence, board.at) == (["decay"], before.sequence, before.at)
    assert "cannot be found" in board.problem
    assert boards.refresh() is board
    assert boards.changed(before.generation, 0.0)[0] == board.generation
    moved(tmp_path / "aside" / "ledger.db", ledger.parent)
    assert boards.refresh().problem == ""
    written(project, "drift", 1)
    assert kinds(boards.refresh()) == ["decay", "drift"]


def test_another_ledger_in_its_place_is_read_from_its_beginning(project, ledger, tmp_path):
    boards = ProjectBoards(project)
    written(project, "drift", 1)
    assert kinds(boards.refresh()) == ["decay", "drift"]
    moved(ledger, tmp_path / "aside")
    other = Perdure(tmp_path, project=Project.of("p"), actor="ann")
    for hour, kind in enumerate("abc"):
        written(other, kind, hour)
    assert kinds(boards.refresh()) == ["a", "b", "c"]


def test_a_writer_that_holds_the_ledger_holds_up_no_board(project, ledger):
    boards = ProjectBoards(project)
    boards.refresh()
    written(project, "drift", 1)
    holder = sqlite3.connect(ledger, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    board = boards.refresh()
    assert (kinds(board), board.problem) == (["decay", "drift"], "")
    holder.execute("ROLLBACK")
    holder.close()


def test_a_ledger_that_is_no_database_is_told_and_readings_that_are_gone_too(project, ledger, tmp_path):
    boards = ProjectBoards(project)
    boards.refresh()
    readings = ledger.with_name("readings.db")
    readings.rename(tmp_path / "readings.db")
    written(project, "drift", 1)
    board = boards.refresh()
    assert (kinds(board), "readings" in board.problem) == (["decay"], True)
    (tmp_path / "readings.db").rename(readings)
    assert kinds(boards.refresh()) == ["decay", "drift"]
    moved(ledger, tmp_path / "aside")
    ledger.write_bytes(b"this is no database" * 1000)
    assert boards.refresh().problem
    assert kinds(boards.now()) == ["decay", "drift"]


def test_a_console_that_starts_without_its_ledger_has_an_empty_board_that_says_why(project, ledger, tmp_path):
    boards = ProjectBoards(project)
    moved(ledger, tmp_path / "aside")
    board = boards.refresh()
    assert (board.tiles, board.generation, bool(board.problem)) == ((), 1, True)
    assert board.runs.height == 0
    moved(tmp_path / "aside" / "ledger.db", ledger.parent)
    assert kinds(boards.refresh()) == ["decay"]


def test_what_breaks_half_way_is_read_again_whole(project, monkeypatch):
    boards = ProjectBoards(project)
    boards.refresh()
    written(project, "drift", 1)
    with monkeypatch.context() as patched:
        patched.setattr("perdure.surface.console.folding.doing_about", _broken)
        assert boards.refresh().problem == "a record that nobody foresaw"
    assert kinds(boards.now()) == ["decay"]
    board = boards.refresh()
    assert (kinds(board), board.problem) == (["decay", "drift"], "")


def _broken(*_: object) -> str:
    raise ValueError("a record that nobody foresaw")
