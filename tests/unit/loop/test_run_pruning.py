"""Runs that ended long ago leave the store; nothing else does."""

from __future__ import annotations

from contextlib import closing

from perdure import Perdure, Project
from perdure.assets.agent import Agent
from perdure.core.clock import machine_us, parse_at, to_us
from perdure.core.settings import AgentSettings, Settings
from perdure.core.units import days, hours
from perdure.loop import pruning
from perdure.loop.pruning import RunPruning
from perdure.stores.runs.protocols import Progress, Wanted
from perdure.stores.runs.sqlite import SqliteRuns
from perdure.testing.clock import SettableClock
from perdure.testing.conformance.runs import a_run, a_wait, begun, ended, parked

NOW = parse_at("2026-03-20T12:00:00Z")


def over(runs, n, at_us):
    claim = begun(runs, a_run(n))
    runs.write([Progress(claim, run=ended(a_run(n), at_us))])


def left(path, **wanted):
    with closing(SqliteRuns(path, **wanted)) as runs:
        return [each.id[-1] for each in runs.list(Wanted())]


def test_runs_that_ended_before_the_days_they_are_kept_are_removed(tmp_path, monkeypatch):
    """By the machine's clock, all in the end, a bounded number a round; what waits or goes on stays."""
    monkeypatch.setattr(pruning, "_AT_ONCE", 2)
    monkeypatch.setattr(pruning, "_AT_MOST", 2)
    path = tmp_path / "runs.db"
    with closing(SqliteRuns(path)) as runs:
        for n in range(5):
            over(runs, n, to_us(NOW - days(7)) - 1)
        over(runs, 5, to_us(NOW - days(7)))
        parked(runs, a_run(6), a_wait("run_000006"))
        begun(runs, a_run(7))
    prunes = RunPruning(lambda: closing(SqliteRuns(path)), days(7), clock=SettableClock(NOW))
    prunes.run(None, NOW + hours(5))
    assert left(path) == ["7", "6", "5", "4"]
    prunes.run(None, NOW)
    assert left(path) == ["7", "6", "5"]


def test_a_round_prunes_as_the_settings_say_and_makes_no_store_where_there_is_none(tmp_path):
    project = Project.of("default", Agent("support", prompt="support_agent"))
    perdure = Perdure(tmp_path, Settings(agents=AgentSettings(keep_days=2.0)), project=project)
    (prunes,) = [each for each in perdure.loop._tellers if isinstance(each, RunPruning)]
    prunes.run(perdure.place, NOW)
    path = tmp_path / ".perdure" / "runs.db"
    assert not path.exists()
    now_us = machine_us()
    with closing(SqliteRuns(path)) as runs:
        over(runs, 1, now_us - 3 * 86_400_000_000)
        over(runs, 2, now_us - 1 * 86_400_000_000)
    prunes.run(perdure.place, NOW)
    assert left(path) == ["2"]
