"""Sends spans and evaluations to a collector by OTLP over HTTP: the senders that compose gives to the loop (extra `otel`).

The library encodes spans; posting is ours, as of alerts: its own exporter waits and tries again inside of a round, and tells no
status. The process's other OpenTelemetry settings (`OTEL_…`) and providers are neither read nor changed.

What surprised us: the library's encoder of logs is private, and wants providers to be set up. Evaluations are written into the
protocol's own messages instead.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from perdure import __version__
from perdure.core.errors import MissingExtra
from perdure.core.settings import TelemetrySettings
from perdure.loop.alerts import Answer
from perdure.loop.telemetry_evals import Evaluation
from perdure.loop.work.spans import SpanRecord, Value
from perdure.surface.posting import post

_TRACES, _LOGS = "/v1/traces", "/v1/logs"
_EVENT = "gen_ai.evaluation.result"
_NS_A_US = 1000


class OtlpSender:
    """Sends to the collector of the settings.

    Args:
        settings: with an address.
        environment: where headers are looked up, at each try.
        project: `service.namespace` of the spans; their `service.name` is `perdure`.

    Raises:
        MissingExtra: OpenTelemetry's libraries are not installed.
    """

    def __init__(self, settings: TelemetrySettings, environment: Mapping[str, str], project: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            raise MissingExtra("otel", needed_for="Spans for a collector ([telemetry] otlp_url)") from error
        parts = urlsplit(settings.otlp_url)
        path = parts.path.rstrip("/").removesuffix(_TRACES)
        self._url = parts._replace(path=path + _TRACES)
        self._logs_url = parts._replace(path=path + _LOGS)
        self._settings = settings
        self._environment = environment
        self._encode = encode_spans
        told = {"service.name": "perdure", "service.namespace": project, "service.version": __version__}
        self._told = told
        self._resource = Resource(told)
        self._scope = InstrumentationScope("perdure.gateway", __version__)

    def send(self, spans: Sequence[SpanRecord]) -> Answer:
        """Try once, within `timeout_s`; what goes wrong is in the answer, a missing variable too."""
        return self._post(self._url, lambda: self._encode([self._readable(span) for span in spans]))

    def send_evaluations(self, found: Sequence[Evaluation]) -> Answer:
        """Try once to send them as log records under `/v1/logs`; otherwise as `send`."""
        return self._post(self._logs_url, lambda: self._logs(found))

    def _post(self, url: SplitResult, made: Callable[[], Any]) -> Answer:
        name = self._settings.headers_env
        if name and not self._environment.get(name):
            return Answer(None, f"the environment has no {name}, which holds the headers to send")
        data = made().SerializeToString()
        headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": f"perdure/{__version__}",
            **headers_of(self._environment.get(name, "") if name else ""),
        }
        return post(url, gzip.compress(data, 3), headers, timeout_s=self._settings.timeout_s)

    def _logs(self, found: Sequence[Evaluation]) -> Any:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
        from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
        from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
        from opentelemetry.proto.resource.v1.resource_pb2 import Resource

        records = [
            LogRecord(
                time_unix_nano=each.at_us * _NS_A_US,
                observed_time_unix_nano=each.at_us * _NS_A_US,
                severity_number=SEVERITY_NUMBER_INFO,
                event_name=_EVENT,
                attributes=_pairs(_evaluation(each)),
                trace_id=each.trace_id.to_bytes(16) if each.trace_id else b"",
                span_id=each.span_id.to_bytes(8) if each.span_id else b"",
                flags=1 if each.trace_id else 0,
            )
            for each in found
        ]
        logs = ScopeLogs(scope=InstrumentationScope(name="perdure.evals", version=__version__), log_records=records)
        whole = ResourceLogs(resource=Resource(attributes=_pairs(self._told)), scope_logs=[logs])
        return ExportLogsServiceRequest(resource_logs=[whole])

    def _readable(self, span: SpanRecord) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        sampled = TraceFlags(TraceFlags.SAMPLED)
        parent = SpanContext(span.trace_id, span.parent_id, is_remote=span.remote, trace_flags=sampled)
        return ReadableSpan(
            name=span.name,
            context=SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=sampled),
            parent=parent if span.parent_id else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=SpanKind[span.kind.upper()],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.start_us * _NS_A_US,
            end_time=span.end_us * _NS_A_US,
            instrumentation_scope=self._scope,
        )


def _evaluation(found: Evaluation) -> dict[str, Value]:
    """Its attributes by the semantic conventions of generative AI; what they have no word for stands under `perdure.`."""
    told: dict[str, Value | None] = {
        "gen_ai.evaluation.name": found.name,
        "gen_ai.evaluation.score.value": found.value,
        "gen_ai.evaluation.score.label": found.label or None,
        "gen_ai.evaluation.explanation": found.explanation or None,
        "gen_ai.response.id": found.response_id or None,
        "error.type": found.error or None,
        **found.attributes,
    }
    return {name: value for name, value in told.items() if value is not None}


def _pairs(attributes: Mapping[str, Value]) -> list[Any]:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

    def any_value(value: Value) -> AnyValue:
        if isinstance(value, bool):
            return AnyValue(bool_value=value)
        if isinstance(value, int):
            return AnyValue(int_value=value)
        if isinstance(value, float):
            return AnyValue(double_value=value)
        if isinstance(value, str):
            return AnyValue(string_value=value)
        return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))

    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def headers_of(text: str) -> dict[str, str]:
    """Headers from the text of `OTEL_EXPORTER_OTLP_HEADERS`' form; what has no name is passed over.

    >>> headers_of("api-key=a%20b, x-team = help,,")
    {'api-key': 'a b', 'x-team': 'help'}
    """
    pairs = (part.partition("=") for part in text.split(","))
    return {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
