"""Waiting for changes below a folder: at once, without missing any, and without waking for nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from perdure.core.clock import cpu_s, monotonic_s, sleep_s
from perdure.stores.documents.watching import Watching


@pytest.fixture
def watching(tmp_path: Path):
    """A watch that has been begun, of a folder with a file in a folder."""
    (tmp_path / "docs" / "a").mkdir(parents=True)
    (tmp_path / "docs" / "a" / "b.md").write_text("1", encoding="utf-8")
    made = Watching(tmp_path / "docs")
    assert made.wait(1.0)
    while made.wait(0.15):
        pass
    yield made
    made.close()


def test_a_change_is_seen_within_a_third_of_a_second(watching, tmp_path):
    """New files, new folders with files, changed and deleted ones."""
    docs = tmp_path / "docs"
    changes = [
        lambda: (docs / "a" / "b.md").write_text("2", encoding="utf-8"),
        lambda: (docs / "new.md").write_text("3", encoding="utf-8"),
        lambda: (docs / "c" / "d").mkdir(parents=True),
        lambda: (docs / "c" / "d" / "e.md").write_text("4", encoding="utf-8"),
        (docs / "a" / "b.md").unlink,
    ]
    took = []
    for change in changes:
        while watching.wait(0.15):
            pass
        at: list[float] = []
        timer = threading.Timer(0.05, lambda change=change, at=at: (at.append(monotonic_s()), change()))
        timer.start()
        assert watching.wait(5.0)
        took.append(monotonic_s() - at[0])
    assert sorted(took)[len(took) // 2] < 0.3


def test_what_is_hidden_wakes_nobody(watching, tmp_path):
    """A store that lies in the folder itself would wake who writes it for ever."""
    (tmp_path / "docs" / ".perdure").mkdir()
    (tmp_path / "docs" / ".perdure" / "index.db").write_text("x", encoding="utf-8")
    assert not watching.wait(0.4)


def test_each_thread_hears_of_each_change(watching, tmp_path):
    """Several may follow one source."""
    heard = []

    def follow() -> None:
        assert watching.wait(1.0)
        ready.wait()
        heard.append(watching.wait(5.0))

    ready = threading.Barrier(4)
    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    (tmp_path / "docs" / "x.md").write_text("x", encoding="utf-8")
    for thread in threads:
        thread.join()
    assert heard == [True] * 3


def test_a_folder_that_is_replaced_is_watched_on(watching, tmp_path):
    """The watch of before would say nothing any more."""
    (tmp_path / "docs").rename(tmp_path / "old")
    (tmp_path / "docs").mkdir()
    assert watching.wait(2.0)
    while watching.wait(0.15):
        pass
    (tmp_path / "docs" / "x.md").write_text("x", encoding="utf-8")
    assert watching.wait(2.0)


def test_a_folder_that_is_not_there_is_waited_for(tmp_path):
    """It says nothing while it is not there, and so does nothing in a circle."""
    watching = Watching(tmp_path / "docs")
    assert watching.wait(0.0)
    assert not watching.wait(0.2)
    (tmp_path / "docs").mkdir()
    assert watching.wait(2.0)
    watching.close()


def test_where_no_watch_is_to_be_had_it_is_looked_at_once_a_second(tmp_path, monkeypatch):
    """Systems have so many watches and no more."""

    def none_left(*_, **__):
        raise OSError("OS file watch limit reached.")
        yield

    monkeypatch.setattr("watchfiles.watch", none_left)
    watching = Watching(tmp_path)
    assert watching.wait(0.0)
    began = monotonic_s()
    heard = [watching.wait(0.25) for _ in range(9)]
    assert 1 <= sum(heard) <= 4
    assert monotonic_s() - began > 1.0
    watching.close()


def test_waiting_costs_next_to_nothing(watching):
    """The system tells: nothing is looked for meanwhile."""
    began = cpu_s()
    assert not watching.wait(1.0)
    assert cpu_s() - began < 0.1


def test_a_watch_that_ends_is_begun_anew(tmp_path, monkeypatch):
    """And does not keep who waits busy."""
    n_begun = 0

    def short(*_, **__):
        nonlocal n_begun
        n_begun += 1
        sleep_s(0.05)
        yield set()

    monkeypatch.setattr("watchfiles.watch", short)
    watching = Watching(tmp_path)
    began = monotonic_s()
    while monotonic_s() - began < 0.3:
        watching.wait(0.1)
    assert 2 <= n_begun <= 7
    watching.close()
