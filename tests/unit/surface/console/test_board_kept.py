"""The board: what it says is what the stores say, what is new comes into it alone, and what goes wrong leaves the old one."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import console_world
import pytest

from perdure import Perdure, open_project
from perdure.assets.version import CHALLENGER, CHAMPION, Pointer
from perdure.core.clock import iso, machine_now, to_us
from perdure.core.errors import NotReady
from perdure.core.settings import ConsoleSettings
from perdure.loop.pausing import pause, resume
from perdure.stores.ledger.protocols import Job, Run
from perdure.surface.console.board import TOPICS
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.judging import STATES

AT = console_world.at(482)


@pytest.fixture
def project(console_folder, tmp_path) -> Perdure:
    return open_project(Path(shutil.copytree(console_folder, tmp_path / "shop")))


@pytest.fixture
def boards(project) -> ProjectBoards:
    made = ProjectBoards(project)
    made.refresh()
    return made


def writing(project: Perdure, *, hours: float = 483):
    return project.place.stores.ledger.transaction(actor="eve", at=console_world.at(hours), reason="by hand")


class TestEqualToTheStores:
    def test_every_asset_is_as_healthy_as_the_command_line_says(self, project, boards):
        board = boards.now()
        status = project.status(at=board.at)
        for asset in status.assets:
            tile = board.by_name[asset.name]
            said = [row.state for row in asset.health]
            assert tile.state == min(said, key=STATES.index, default="no objective"), asset.name
            assert (tile.kind, tile.owner) == (asset.kind, asset.owner)
            assert [(row.objective, row.state) for row in board.judged[asset.name]] == [
                (row.objective, row.state) for row in asset.health
            ]
            assert sorted(map(str, board.pointers.get(asset.name, []))) == sorted(map(str, asset.pointers))
        assert (list(board.incidents), dict(board.doing)) == (status.incidents, status.doing)
        assert list(board.questions) == status.approvals
        assert (board.at, board.holder, board.problem) == (AT, "", "")

    def test_the_newest_entries_and_every_run_are_there(self, project, boards):
        board = boards.now()
        assert [entry.sequence for entry in board.recent] == [
            entry.sequence for entry in reversed(project.audit(limit=1000))
        ]
        assert board.runs["id"].to_list() == [run.id for run in project.runs()]
        assert board.runs.select("metrics.valid_mae", "params.n").rows() == [(1.2, 3.0), (1.5, 3.0)]
        assert board.sequence == board.recent[0].sequence

    def test_a_view_is_as_healthy_as_its_source_and_what_only_the_ledger_knows_has_a_tile(self, project, boards):
        with writing(project) as session:
            session.registry.put_asset("model", "gone", {"owner": "nobody"})
            session.registry.put_asset("contract", "Order", {})
        tiles = {(tile.kind, tile.name): tile for tile in boards.refresh().tiles}
        assert tiles["model", "gone"].declared is False
        assert tiles["model", "gone"].owner == "nobody"
        assert tiles["model", "gone"].state == "no objective"
        assert tiles["feature_view", "trip"].declared
        assert ("contract", "Order") not in tiles
        assert [*tiles] == sorted(tiles)


class TestWhatIsNew:
    def test_a_look_where_nothing_is_new_keeps_the_board(self, boards):
        board = boards.now()
        assert [boards.refresh() is board for _ in range(3)][-1]
        assert boards.changed(board.generation, 0.0) == (board.generation, frozenset())

    def test_a_reading_judges_its_asset_again(self, project, boards):
        before = boards.now()
        assert before.by_name["orders"].state == "not measured"
        measured = replace(
            console_world.reading("freshness_h", 90.0, AT),
            asset="orders",
            window_start=AT - timedelta(days=1),
            unit="h",
        )
        project.place.stores.readings.put([measured])
        after = boards.refresh()
        assert (after.by_name["orders"].state, after.by_name["orders"].worst) == (
            "broken",
            "freshness_h over 1d <= 6: 90.00 h",
        )
        assert boards.changed(before.generation, 0.0)[1] == {"health"}
        project.place.stores.readings.put([replace(measured, value=1.0, low=0.5, high=1.5)])
        assert boards.refresh().by_name["orders"].state == "healthy"

    def test_an_older_reading_changes_nothing(self, project, boards):
        before = boards.now().by_name["eta"]
        project.place.stores.readings.put([console_world.reading("mae", 1.0, AT - timedelta(days=300))])
        assert boards.refresh().by_name["eta"] == before

    def test_a_reading_that_is_replaced_by_an_earlier_one_is_gone(self, project, boards):
        """The second newest is told then, which no change brought."""
        first = console_world.reading("mae", 50.0, AT)
        project.place.stores.readings.put([first])
        assert _newest(boards.refresh()) == 50.0
        project.place.stores.readings.put([replace(first, at=AT - timedelta(days=200), value=1.0)])
        assert _newest(boards.refresh()) == pytest.approx(5.0 + 0.4 * 19)

    def test_a_round_without_readings_makes_them_stale(self, project, boards):
        with writing(project) as session:
            session.cursors.put("round", iso(AT + timedelta(days=30)))
        board = boards.refresh()
        assert (board.by_name["eta"].state, board.at) == ("stale", AT + timedelta(days=30))

    def test_pointers_runs_jobs_and_incidents_come_in_by_their_entries(self, project, boards):
        before = boards.now()
        with writing(project) as session:
            session.pointers.set([Pointer("eta", CHAMPION, "eta@new")], remove=[("eta", CHALLENGER)])
            session.runs.put(Run("run_9", "tune", "eta", "running", AT, params={"n": "many", "deep": True}))
            session.jobs.put(Job("job_2", "repair", "orders/1", "orders", "running", "c", AT))
            opened = session.incidents.open("orders", "stale_feed", "late", {"jobs": ["job_2"]})
        board = boards.refresh()
        tile = board.by_name["eta"]
        assert (tile.champion, tile.moving) == ("eta@new", False)
        assert board.by_name["orders"].incident == opened.id
        assert board.doing[opened.id] == "repair"
        assert board.runs.filter(id="run_9").select("kind", "status", "params.n", "params.deep", "metrics.valid_mae").row(0) == (
            "tune", "running", "many", "true", None,
        )  # fmt: skip
        assert board.runs["params.n"].to_list() == ["many", "3", "3"]
        assert {"releases", "incidents", "work", "health", "ledger"} <= boards.changed(before.generation, 0.0)[1]
        with writing(project) as session:
            session.incidents.close(opened.id, "it came")
        assert boards.refresh().by_name["orders"].incident == ""

    def test_a_pause_is_on_the_tile_until_it_ends(self, project, boards):
        pause(project.place, "eta", AT, "holidays", AT + timedelta(hours=2))
        assert boards.refresh().by_name["eta"].paused.startswith("holidays")
        with writing(project) as session:
            session.cursors.put("round", iso(AT + timedelta(hours=3)))
        assert boards.refresh().by_name["eta"].paused == ""
        resume(project.place, "eta", AT, "back")

    def test_who_runs_the_loop_is_told(self, project, boards):
        with project.hold_lease():
            assert boards.refresh().holder
        assert boards.refresh().holder == ""

    def test_a_write_of_another_project_in_the_file_changes_nothing(self, project, boards):
        from perdure.stores.ledger.sqlite import SqliteLedger

        before = boards.now()
        other = SqliteLedger(project.folder / ".perdure" / "ledger.db", project="other")
        with other.transaction(actor="x", at=AT) as session:
            session.incidents.open("eta", "decay", "theirs", {})
        other.close()
        board = boards.refresh()
        assert list(board.incidents) == list(before.incidents)
        assert board.sequence == before.sequence


class TestWaiting:
    def test_who_waits_is_woken_by_the_next_board_and_told_what_is_new(self, project, boards):
        generation = boards.now().generation
        over = threading.Event()
        thread = threading.Thread(target=boards.run, args=(over.is_set,))
        thread.start()
        try:
            with writing(project) as session:
                session.approvals.withdraw("apr_2")
            newest, topics = boards.changed(generation, 10.0)
        finally:
            over.set()
            thread.join(5.0)
        assert newest > generation
        assert "questions" in topics
        assert not thread.is_alive()

    def test_time_is_up_where_nothing_comes(self, boards):
        assert boards.changed(boards.now().generation, 0.05)[1] == frozenset()

    def test_who_saw_a_board_of_long_ago_is_told_that_everything_is_new(self, boards):
        assert boards.changed(0, 0.0)[1] == TOPICS
        assert boards.changed(-5, 0.0)[1] == TOPICS

    def test_without_anybody_who_keeps_it_there_is_none(self, project, monkeypatch):
        monkeypatch.setattr("perdure.surface.console.boards._FIRST_S", 0.01)
        with pytest.raises(NotReady):
            ProjectBoards(project).now()

    def test_by_the_machines_clock_it_is_as_of_now(self, project):
        board = ProjectBoards(project, ConsoleSettings(clock="machine")).refresh()
        assert machine_now() - board.at < timedelta(minutes=1)
        assert board.by_name["eta"].state == "stale"


def test_requests_and_spend_are_counted_by_the_hour_and_new_rows_are_added(project, boards):
    import polars as pl

    def served(n: int, hours: float) -> pl.DataFrame:
        at = [AT + timedelta(hours=hours, minutes=k) for k in range(n)]
        return pl.DataFrame(
            {
                "served_at": at,
                "arm": ["champion"] * (n - 1) + ["shadow"],
                "prediction_id": [f"{hours}{k}" for k in range(n)],
            },
            schema_overrides={"served_at": pl.Datetime("us", "UTC")},
        )

    lake = project.place.stores.lake
    lake.append("captures/eta", served(5, -2))
    boards.refresh()
    [hour] = boards.refresh().hours["eta"]
    assert (hour.kind, hour.n, hour.cost_usd) == ("model", 4, 0.0)
    assert hour.at_us == to_us(datetime(2025, 3, 21, 0, tzinfo=UTC))
    lake.append("captures/eta", served(3, -2))
    lake.append("captures/eta", served(2, 0))
    found = [boards.refresh() for _ in range(4)][-1].hours["eta"]
    assert [each.n for each in found] == [6, 1]


def _newest(board) -> float | None:
    return next(each.value for each in board.newest["eta"] if (each.signal, each.slice) == ("mae", ""))
