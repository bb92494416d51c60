"""Verbs that are told not to drain only read: they take no lease and write no row."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure import Budget, Perdure, Project, Route, Target, Team, Upstream
from perdure.core.clock import parse_at, to_us
from perdure.core.errors import NotFound
from perdure.core.settings import CaptureSettings
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import call

NOW = parse_at("2026-03-20T12:00:00Z")


def capture(root: Path, number: int) -> None:
    writer = SegmentWriter(root / "capture", CaptureSettings(min_free_bytes=0))
    found = call(number, attempts=1)
    found.served_us = to_us(NOW) - 3_600_000_000
    found.recorded_us = found.served_us + 1
    assert writer.append(found)
    writer.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Perdure:
    """One call in the lake, and one that is captured and not drained."""
    team = Team("help", budgets=[Budget(10.0, per="month")])
    project = Project.of("p", Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")]), team)
    capture(tmp_path / ".perdure", 1)
    opened = Perdure(tmp_path, project=project, actor="ann")
    assert opened.calls(at=NOW).n == 1
    capture(tmp_path / ".perdure", 2)
    return opened


def looks(opened: Perdure) -> list[object]:
    """Each of the verbs, told not to drain."""
    told = opened.calls(at=NOW, drains=False)
    return [
        told,
        opened.call(told.rows[0].id, at=NOW, drains=False),
        opened.spend(["team"], at=NOW, drains=False),
        opened.spend_anomalies(at=NOW, drains=False),
        opened.budgets(at=NOW, drains=False),
    ]


def test_what_is_not_drained_is_not_told_and_the_answer_says_so(gateway):
    told = gateway.calls(at=NOW, drains=False)
    assert (told.n, told.as_of.whole) == (1, False)
    assert told.as_of.at == NOW.replace(hour=11, microsecond=1)
    assert gateway.spend(at=NOW, drains=False).total.calls == 1
    assert gateway.calls(at=NOW).n == 2


def test_where_nothing_waits_the_answer_is_whole_without_draining(gateway):
    gateway.calls(at=NOW)
    assert gateway.calls(at=NOW, drains=False).as_of.whole


def test_nothing_is_written_and_the_loops_lease_stays_free(gateway, monkeypatch):
    stores = gateway.place.stores
    before = stores.ledger.sequence(), stores.lake.version("calls"), _cursors(gateway)
    with monkeypatch.context() as patched:
        patched.setattr(Perdure, "hold_lease", lambda *_, **__: pytest.fail("a look took the loop's lease"))
        assert len(looks(gateway)) == 5
    assert (stores.ledger.sequence(), stores.lake.version("calls"), _cursors(gateway)) == before


def test_a_call_that_is_not_in_the_lake_yet_is_not_found(tmp_path):
    capture(tmp_path / ".perdure", 7)
    opened = Perdure(tmp_path, project=Project.of("p"), actor="ann")
    assert opened.calls(at=NOW, drains=False).as_of.at is None
    with pytest.raises(NotFound, match="No call"):
        opened.call("call", at=NOW, drains=False)
    assert not opened.place.stores.lake.tables()


def _cursors(opened: Perdure) -> dict[str, object]:
    with opened.place.stores.ledger.read() as session:
        return session.cursors.list("")
