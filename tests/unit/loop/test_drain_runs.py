"""Runs of agents and graphs on their way to the lake, and back as records."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from perdure.core.clock import from_us
from perdure.core.errors import NotFound
from perdure.core.settings import CaptureSettings
from perdure.core.usage import Usage
from perdure.loop.drain import Drain, DrainReport
from perdure.loop.work.captured_runs import read_run_steps, read_runs, read_told, told_of
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.lake.delta import DeltaLake
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.runs.protocols import Told
from perdure.testing.conformance.capture import run_told

NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Plant:
    """A capture log, a lake and a drain between them."""

    def __init__(self, folder):
        self.writer = SegmentWriter(folder / "capture", CaptureSettings(min_free_bytes=0))
        self.ledger, self.lake = SqliteLedger(folder / "ledger.db", project="test"), DeltaLake(folder / "lake")
        self.lease = self.ledger.leases.acquire("drain", "me", 60.0)
        self.log = SegmentLog(folder / "capture")

    def drained(self, *events):
        assert all(self.writer.append(each) for each in events)
        return Drain(self.log, self.lake, self.ledger).run(now=NOW, actor="test", lease=self.lease)


@pytest.fixture
def plant(tmp_path):
    made = Plant(tmp_path)
    yield made
    made.ledger.close()
    made.writer.close()


def as_told(event):
    return Told(event.run, event.steps, event.waits)


def test_a_run_comes_back_from_the_lake_as_it_was_told(plant):
    """Every member of run, steps and questions; unknown prices, missing usage and instants too."""
    one, two = run_told(1, n_tools=3), run_told(2, n_tools=0, began_us=0, output=b"", why="limit.usd", unpriced=True)
    odd = replace(
        two.steps[0], cost_pusd=None, usage=Usage(n_input=1, estimated=True), began_us=0, facts={"share": 0.5}
    )
    two = replace(two, steps=[odd], waits=[])
    assert plant.drained(one, two) == DrainReport(n_frames=2, n_runs=2, batches=1)
    assert plant.drained() == DrainReport()
    assert read_told(plant.lake, "run_000001") == as_told(one)
    assert read_told(plant.lake, "run_000002") == as_told(two)


def test_a_run_that_is_told_twice_counts_once_as_it_was_told_last(plant):
    """In one batch or in two, with the steps of the last record alone."""
    plant.drained(run_told(1, n_tools=3), run_told(1, n_tools=1, recorded_us=9_000_000), run_told(2))
    plant.drained(run_told(2, n_tools=2, output=b'"Again."', recorded_us=8_000_000), run_told(2, recorded_us=1))
    runs, steps = read_runs(plant.lake, "support", None, None), read_run_steps(plant.lake, "support", None, None)
    assert runs["run_id"].to_list() == ["run_000001", "run_000002"]
    assert runs["output"].to_list() == ['"Hello!"', '"Again."']
    assert steps.group_by("run_id", maintain_order=True).len()["len"].to_list() == [2, 3]
    assert len(read_told(plant.lake, "run_000002").steps) == 3
    assert [len(each.steps) for each in told_of(runs, steps)] == [2, 3]


def test_a_drain_that_died_before_it_recorded_adds_nothing_the_second_time(plant, monkeypatch):
    """Rows of a batch are there once, whatever the process did behind them."""

    def dies(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("perdure.loop.drain.report_captures", dies)
        with pytest.raises(KeyboardInterrupt):
            plant.drained(run_told(1, n_tools=2))
    assert plant.drained() == DrainReport(n_frames=1, n_runs=1, batches=1)
    assert plant.lake.read("run_steps").height == 3
    assert plant.lake.read("runs").height == 1


def test_replays_leave_no_row(plant):
    """They are somebody's question, not production."""
    assert plant.drained(run_told(1, replay_of="run_000000", swaps={"index:handbook": "x"})).n_runs == 0
    assert read_runs(plant.lake, None, None, None).is_empty()


def test_runs_and_steps_are_read_by_window_asset_and_column(plant):
    """A window by the run's own instant; both frames have their columns where nothing is there yet."""
    empty = read_runs(plant.lake, "support", None, None)
    assert (empty.height, "output" in empty.columns) == (0, True)
    assert read_run_steps(plant.lake, None, None, None, ["error"]).columns == ["run_id", "served_at", "n", "error"]
    plant.drained(run_told(1), run_told(2, asset="refunds", kind="graph"), run_told(30))
    assert read_runs(plant.lake, None, None, from_us(1_000_030))["run_id"].to_list() == ["run_000001", "run_000002"]
    assert read_runs(plant.lake, "refunds", None, None, ["kind"]).rows() == [
        ("run_000002", "graph", from_us(1_000_002))
    ]
    steps = read_run_steps(plant.lake, "support", from_us(1_000_002), None, ["node"])
    assert steps.select("run_id", "n", "node").rows() == [
        ("run_000030", 0, "prompt:support_agent"),
        ("run_000030", 1, "tool:send_reply"),
    ]
    with pytest.raises(NotFound, match="status"):
        read_runs(plant.lake, None, None, None, ["stauts"])
    with pytest.raises(NotFound, match="run_000004"):
        read_told(plant.lake, "run_000004")


def test_counts_that_no_integer_holds_stop_no_drain(plant):
    """They come from an upstream's own JSON, and become null."""
    event = run_told(1)
    wide = replace(event.steps[0], usage=Usage(n_input=2**64 - 1))
    plant.drained(replace(event, steps=[wide]))
    assert read_run_steps(plant.lake, None, None, None)["n_input"].to_list() == [None]
    assert read_told(plant.lake, "run_000001").steps[0].usage == Usage()
