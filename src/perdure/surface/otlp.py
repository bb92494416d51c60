"""Sends spans to a collector by OTLP over HTTP: the `SpanSender` that compose gives to the loop (extra `otel`).

The library encodes; posting is ours, as of alerts: its own exporter waits and tries again inside of a round, and tells no
status. The process's other OpenTelemetry settings (`OTEL_…`) and providers are neither read nor changed.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from perdure import __version__
from perdure.core.errors import MissingExtra
from perdure.core.settings import TelemetrySettings
from perdure.loop.alerts import Answer
from perdure.loop.work.spans import SpanRecord
from perdure.surface.posting import post

_PATH = "/v1/traces"
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
        path = parts.path.rstrip("/")
        self._url = parts._replace(path=path if path.endswith(_PATH) else path + _PATH)
        self._settings = settings
        self._environment = environment
        self._encode = encode_spans
        told = {"service.name": "perdure", "service.namespace": project, "service.version": __version__}
        self._resource = Resource(told)
        self._scope = InstrumentationScope("perdure.gateway", __version__)

    def send(self, spans: Sequence[SpanRecord]) -> Answer:
        """Try once, within `timeout_s`; what goes wrong is in the answer, a missing variable too."""
        name = self._settings.headers_env
        if name and not self._environment.get(name):
            return Answer(None, f"the environment has no {name}, which holds the headers to send")
        data = self._encode([self._readable(span) for span in spans]).SerializeToString()
        headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": f"perdure/{__version__}",
            **headers_of(self._environment.get(name, "") if name else ""),
        }
        return post(self._url, gzip.compress(data, 3), headers, timeout_s=self._settings.timeout_s)

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


def headers_of(text: str) -> dict[str, str]:
    """Headers from the text of `OTEL_EXPORTER_OTLP_HEADERS`' form; what has no name is passed over.

    >>> headers_of("api-key=a%20b, x-team = help,,")
    {'api-key': 'a b', 'x-team': 'help'}
    """
    pairs = (part.partition("=") for part in text.split(","))
    return {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
