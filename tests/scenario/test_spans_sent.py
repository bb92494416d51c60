"""Spans of calls reach a collector: each once, under the caller's trace, whatever the collector does meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from collecting import Collector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from perdure import Perdure, Project, Route, Target, Upstream
from perdure.core.clock import parse_at, to_us
from perdure.core.errors import BadSettings
from perdure.core.settings import CaptureSettings, ProjectSettings, Settings, TelemetrySettings
from perdure.core.units import seconds
from perdure.loop import telemetry
from perdure.loop.telemetry import Telemetry, find_sent
from perdure.stores.capture.events import Call
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.otlp import OtlpSender
from perdure.testing.clock import SettableClock
from perdure.testing.conformance.capture import call

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "::1"])

NOW = parse_at("2026-03-20T12:00:00Z")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traces(Collector):
    """Keeps traces."""

    def __init__(self) -> None:
        super().__init__(ExportTraceServiceRequest)

    def spans(self) -> list[Span]:
        scopes = [scope for each in self.requests for part in each.resource_spans for scope in part.scope_spans]
        return [span for scope in scopes for span in scope.spans]


@pytest.fixture
def collector():
    made = Traces()
    yield made
    made.close()


def told(span: Span) -> dict[str, object]:
    """Its attributes as plain values."""

    def plain(value):
        kind = value.WhichOneof("value")
        return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {each.key: plain(each.value) for each in span.attributes}


def made(number: int, **fields: object) -> Call:
    found = call(number, attempts=2)
    found.served_us = found.recorded_us = to_us(NOW) - 60_000_000
    for name, value in fields.items():
        setattr(found, name, value)
    return found


class Plant:
    """A project whose loop sends spans, on a clock that the test moves."""

    def __init__(self, folder: Path, url: str, **environment: str) -> None:
        claude = Upstream("claude", "https://api.anthropic.com", dialect="anthropic", key_env="A_SECRET")
        openai = Upstream("openai", "https://api.openai.com/v1", key_env="A_SECRET")
        route = Route("support", [Target(claude, "haiku"), Target(openai, "small")])
        declared = TelemetrySettings(url, headers_env="COLLECTOR" if environment else "")
        settings = Settings(ProjectSettings("shop"), telemetry=declared)
        self.perdure = Perdure(folder, settings, project=Project.of("shop", route))
        self.folder = folder
        self.clock = SettableClock(NOW)
        wired = self.perdure.loop._tellers[0]
        assert isinstance(wired, Telemetry)
        sender = OtlpSender(settings.telemetry, environment, "shop")
        self.perdure.loop._tellers = [Telemetry(sender, wired._peers, clock=self.clock)]
        self.at = NOW

    def capture(self, *calls: Call) -> None:
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
        assert all(writer.append(each) for each in calls)
        writer.close()

    def round(self, **later: float) -> None:
        self.at += seconds(1.0)
        self.clock.set(self.clock.now() + seconds(later.get("later_s", 1.0)))
        self.perdure.tick(at=self.at)

    def sent(self):
        with self.perdure.place.stores.ledger.read() as session:
            return find_sent(session)


def test_a_call_is_a_span_with_one_below_it_for_each_try_and_verdict(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.capture(made(1, stream=True))
    plant.round()
    whole, *below = collector.spans()
    assert collector.paths == ["/v1/traces"]
    assert (whole.name, whole.kind, whole.parent_span_id) == ("chat support", Span.SPAN_KIND_SERVER, b"")
    assert (whole.end_time_unix_nano - whole.start_time_unix_nano) == 1_500_000
    of_call = told(whole)
    assert of_call.pop("perdure.cost_usd") == pytest.approx(1.25e-6)
    assert of_call == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "support",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "haiku",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": pytest.approx(0.0014),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "server.address": "api.anthropic.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "perdure.call": "c_1",
        "perdure.route": "support",
        "perdure.version": "support@1",
        "perdure.arm": "champion",
        "perdure.team": "help",
        "perdure.key": "k1",
        "perdure.outcome": "answered",
        "perdure.cache": "miss",
    }
    assert [(each.name, each.kind) for each in below] == [
        ("chat small", Span.SPAN_KIND_CLIENT),
        ("chat haiku", Span.SPAN_KIND_CLIENT),
        ("guard pii", Span.SPAN_KIND_INTERNAL),
    ]
    assert {(each.trace_id, each.parent_span_id) for each in below} == {(whole.trace_id, whole.span_id)}
    failed = told(below[0])
    assert (failed["gen_ai.provider.name"], failed["server.address"]) == ("openai", "api.openai.com")
    assert (failed["error.type"], failed["http.response.status_code"]) == ("upstream", 503)
    assert (below[0].status.code, whole.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET)
    assert told(below[2])["perdure.guard.action"] == "redacted"


def test_the_resource_names_the_project_and_no_secret_or_text_is_sent(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.capture(made(1))
    plant.round()
    [request] = collector.requests
    resource = {each.key: each.value.string_value for each in request.resource_spans[0].resource.attributes}
    assert (resource["service.name"], resource["service.namespace"]) == ("perdure", "shop")
    for kept in (b"Hello", b"A_SECRET", b"email_1"):
        assert kept not in request.SerializeToString()


def test_a_call_is_below_its_caller_s_span_and_one_that_is_not_sampled_is_none(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    plant.capture(
        made(1, tags={"traceparent": f"00-{TRACE}-{PARENT}-01"}),
        made(2, tags={"traceparent": f"00-{TRACE}-{PARENT}-00"}),
        made(3, tags={"traceparent": "not one"}),
    )
    plant.round()
    whole = {told(each)["perdure.call"]: each for each in collector.spans() if each.kind == Span.SPAN_KIND_SERVER}
    assert set(whole) == {"c_1", "c_3"}
    assert (whole["c_1"].trace_id.hex(), whole["c_1"].parent_span_id.hex()) == (TRACE, PARENT)
    assert whole["c_3"].parent_span_id == b""


def test_each_call_is_sent_once_over_rounds_restarts_and_batches_without_calls(tmp_path, collector, monkeypatch):
    monkeypatch.setattr(telemetry, "_CALLS_A_TRY", 2)
    plant = Plant(tmp_path, collector.url)
    plant.capture(*(made(number) for number in range(5)))
    plant.round()
    plant.round()
    again = Plant(tmp_path, collector.url)
    again.at, again.clock = plant.at, plant.clock
    again.capture(made(7))
    again.round()
    calls = [told(each)["perdure.call"] for each in collector.spans() if each.kind == Span.SPAN_KIND_SERVER]
    assert calls == ["c_0", "c_1", "c_2", "c_3", "c_4", "c_7"]
    assert len(collector.requests) == 4
    assert again.sent().n_sent == 24


def test_a_collector_that_is_down_stops_no_round_and_gets_everything_later(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    collector.status = 503
    plant.capture(made(1))
    plant.round()
    plant.capture(made(2))
    plant.round()
    assert (plant.sent().n_failed, plant.sent().problem, len(collector.paths)) == (1, "HTTP 503", 1)
    assert "HTTP 503" in plant.perdure.status(at=plant.at).telemetry
    collector.status = 200
    plant.round(later_s=700.0)
    calls = [told(each)["perdure.call"] for each in collector.spans() if each.kind == Span.SPAN_KIND_SERVER]
    assert calls == ["c_1", "c_2"]
    assert (plant.sent().n_failed, plant.sent().problem) == (0, "")
    assert plant.perdure.status(at=plant.at).telemetry == ""


def test_what_the_collector_refuses_for_good_is_counted_and_stops_no_other(tmp_path, collector):
    plant = Plant(tmp_path, collector.url)
    collector.status = 400
    plant.capture(made(1))
    plant.round()
    collector.status = 200
    plant.capture(made(2))
    plant.round()
    assert (plant.sent().n_given_up, plant.sent().n_sent) == (4, 4)


def test_headers_come_from_the_environment_and_without_them_nothing_is_sent(tmp_path, collector):
    plant = Plant(tmp_path, f"{collector.url}/v1/traces", COLLECTOR="api-key=a%20b")
    plant.capture(made(1))
    plant.round()
    assert (collector.headers[0]["api-key"], collector.paths) == ("a b", ["/v1/traces"])
    plant.perdure.loop._tellers[0]._sender._environment = {}
    plant.capture(made(2))
    plant.round()
    assert plant.sent().problem == "the environment has no COLLECTOR, which holds the headers to send"
    assert len(collector.paths) == 1


def test_without_a_collector_no_span_is_made(tmp_path):
    assert Perdure(tmp_path, project=Project.of("p")).loop._tellers == []


def test_an_address_with_a_password_is_refused_and_not_told():
    with pytest.raises(BadSettings, match="headers_env") as caught:
        replace(TelemetrySettings(), otlp_url="http://me:hush@collector:4318")
    assert "hush" not in str(caught.value)
