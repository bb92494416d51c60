"""Spans of runs reach a collector: each once, whatever comes first."""

from __future__ import annotations

import pytest
from collecting import Collector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from perdure import Perdure, Project
from perdure.assets.agent import Agent
from perdure.core.clock import parse_at
from perdure.core.settings import CaptureSettings, ProjectSettings, Settings, TelemetrySettings
from perdure.core.units import seconds
from perdure.loop import telemetry
from perdure.loop.telemetry import RUN_SPANS, RunTelemetry, find_sent
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import call, run_told

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])

NOW = parse_at("2026-03-20T12:00:00Z")


@pytest.fixture
def collector():
    made = Collector(ExportTraceServiceRequest)
    yield made
    made.close()


def names(collector):
    scopes = [scope for each in collector.requests for part in each.resource_spans for scope in part.scope_spans]
    return [span.name for scope in scopes for span in scope.spans]


def captured(folder, *events):
    writer = SegmentWriter(folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
    assert all(writer.append(each) for each in events)
    writer.close()


def opened(folder, url):
    settings = Settings(ProjectSettings("shop"), telemetry=TelemetrySettings(url))
    return Perdure(folder, settings, project=Project.of("shop", Agent("support", prompt="support_agent")))


def test_spans_of_runs_and_of_calls_go_out_once_each_over_rounds_and_restarts(tmp_path, collector, monkeypatch):
    """Bodies stay at home; a batch without runs, and a replay, send nothing."""
    monkeypatch.setattr(telemetry, "_CALLS_A_TRY", 2)
    perdure = opened(tmp_path, collector.url)
    captured(tmp_path, call(1), run_told(1), run_told(2), run_told(3, n_tools=2), run_told(4, replay_of="run_000001"))
    perdure.tick(at=NOW)
    perdure.tick(at=NOW + seconds(1))
    again = opened(tmp_path, collector.url)
    captured(tmp_path, call(2))
    again.tick(at=NOW + seconds(2))
    captured(tmp_path, run_told(5, n_tools=0))
    again.tick(at=NOW + seconds(3))
    assert names(collector).count("invoke_agent support") == 4
    assert names(collector).count("execute_tool send_reply") == 4
    assert names(collector).count("chat support") == 2
    for kept in (b"Hello", b"ann", b"T-1"):
        assert all(kept not in each.SerializeToString() for each in collector.requests)
    with again.place.stores.ledger.read() as session:
        assert find_sent(session, RUN_SPANS).n_sent == 8
    assert sum(isinstance(each, RunTelemetry) for each in again.loop._tellers) == 1


def test_a_collector_that_is_down_gets_spans_of_runs_later_and_status_tells_of_it(tmp_path, collector):
    perdure = opened(tmp_path, collector.url)
    collector.status = 503
    captured(tmp_path, run_told(1))
    perdure.tick(at=NOW)
    assert "HTTP 503" in perdure.status(at=NOW).telemetry
