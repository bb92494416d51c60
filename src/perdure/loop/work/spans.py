"""Spans of the gateway's calls, made of their records: one a call, and below it one an attempt and one a guard's verdict.

`loop.telemetry` calls it after the drain, so that no call waits for its own span. Names follow OpenTelemetry's semantic
conventions of generative AI, and what they have no word for stands under `perdure.`. Ids are hashes of the call's id: a span
that is made and sent again after a crash is the same span, not another one.

What surprised us: a guard's record says how long it took, not when it began. Guards of the input are shown from the call's
begin on, guards of the output up to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import polars as pl

from perdure.core.clock import to_us
from perdure.core.traces import hashed_id, parse_traceparent
from perdure.core.usage import PICO

Value = str | bool | int | float | Sequence[str]
_OPERATIONS = {"chat": "chat", "messages": "chat", "responses": "chat", "embeddings": "embeddings"}
_USAGE = {
    "gen_ai.usage.input_tokens": ("n_input",),
    "gen_ai.usage.output_tokens": ("n_output",),
    "gen_ai.usage.cache_read.input_tokens": ("n_cached",),
    "gen_ai.usage.cache_creation.input_tokens": ("n_cache_write_5m", "n_cache_write_1h"),
    "gen_ai.usage.reasoning.output_tokens": ("n_reasoning",),
}
_ALWAYS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
_BROKEN = ("cut", "failed")
"""Outcomes that are an error of the gateway's side; what a client or a guard ended is none."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An upstream as spans name it: no path, no secret."""

    provider: str
    """`gen_ai.provider.name`, such as `openai`, `anthropic`, `gcp.gemini`."""
    address: str = ""
    """Host; empty for a model in the gateway's own process."""
    port: int = 0


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span."""

    trace_id: int
    span_id: int
    parent_id: int
    """0: it has none."""
    remote: bool
    """Whether its parent is the caller's."""
    name: str
    kind: Literal["server", "client", "internal"]
    start_us: int
    end_us: int
    attributes: Mapping[str, Value]
    error: str = ""
    """Why it failed; empty where it did not."""


def call_spans(
    calls: pl.DataFrame, attempts: pl.DataFrame, guarded: pl.DataFrame, peers: Mapping[str, Peer]
) -> list[SpanRecord]:
    """The spans of some calls, each call's own before those below it; calls that their callers do not sample have none.

    Args:
        calls: rows of `calls`.
        attempts: their rows of `attempts`.
        guarded: their rows of `guarded`.
        peers: upstream's name → how it is named; one that is not declared any more goes by its name alone.

    Cost: some 40 µs a span.
    """
    tries, verdicts = _by_call(attempts), _by_call(guarded)
    return [
        span
        for row in calls.iter_rows(named=True)
        for span in _call(row, tries.get(row["call_id"], []), verdicts.get(row["call_id"], []), peers)
    ]


def _by_call(rows: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort("call_id", "place").iter_rows(named=True):
        found.setdefault(row["call_id"], []).append(row)
    return found


def _call(
    row: Mapping[str, Any],
    tries: Sequence[Mapping[str, Any]],
    verdicts: Sequence[Mapping[str, Any]],
    peers: Mapping[str, Peer],
) -> Iterator[SpanRecord]:
    tags = msgspec.json.decode(row["tags"] or "{}", type=dict[str, str])
    trace_id, parent_id, sampled = parse_traceparent(tags.get("traceparent", ""))
    if not sampled:
        return
    own = SpanRecord(
        trace_id=trace_id or hashed_id(row["call_id"], 16),
        span_id=hashed_id(row["call_id"], 8),
        parent_id=parent_id,
        remote=bool(parent_id),
        name=f"{_operation(row)} {row['route']}".strip(),
        kind="server",
        start_us=to_us(row["served_at"]),
        end_us=to_us(row["served_at"]) + row["latency_us"],
        attributes=known(_of_call(row, tries, peers)),
        error=row["outcome"] if row["outcome"] in _BROKEN else "",
    )
    yield own
    for each in tries:
        yield _attempt(own, row, each, peers)
    for each in verdicts:
        yield _verdict(own, each)


def _operation(row: Mapping[str, Any]) -> str:
    endpoint: str = row["endpoint"]
    return _OPERATIONS.get(endpoint, endpoint)


def _of_call(
    row: Mapping[str, Any], tries: Sequence[Mapping[str, Any]], peers: Mapping[str, Peer]
) -> dict[str, Value | None]:
    answered = next((each for each in reversed(tries) if not each["error"]), None)
    upstream, _, model = (answered["target"] if answered else "").partition("/")
    peer = _peer(peers, upstream) if upstream else None
    return {
        "gen_ai.operation.name": _operation(row),
        "gen_ai.provider.name": peer.provider if peer else None,
        "gen_ai.request.model": row["route"],
        "gen_ai.request.stream": row["stream"],
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": [row["finish"]] if row["finish"] else None,
        "gen_ai.response.time_to_first_chunk": row["first_us"] / 1e6 if row["stream"] and row["first_us"] else None,
        **(usage_of(row) if tries else {}),
        "server.address": peer.address if peer else None,
        "server.port": peer.port if peer else None,
        "http.response.status_code": row["status"],
        "error.type": row["outcome"] if row["outcome"] != "answered" else None,
        "perdure.call": row["call_id"],
        "perdure.route": row["route"],
        "perdure.version": row["version"],
        "perdure.arm": row["arm"],
        "perdure.team": row["team"],
        "perdure.key": row["key"],
        "perdure.prompt": row["prompt"],
        "perdure.outcome": row["outcome"],
        "perdure.cache": row["cache"],
        "perdure.cost_usd": usd_of(row["cost_pusd"]),
        "perdure.saved_usd": usd_of(row["saved_pusd"]) or None,
        "perdure.tokens_estimated": True if row["estimated"] else None,
    }


def _attempt(
    own: SpanRecord, row: Mapping[str, Any], tried: Mapping[str, Any], peers: Mapping[str, Peer]
) -> SpanRecord:
    upstream, _, model = tried["target"].partition("/")
    peer, operation = _peer(peers, upstream), _operation(row)
    start_us = own.start_us + tried["began_us"]
    told: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": peer.provider,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": row["stream"],
        "gen_ai.response.model": None if tried["error"] else model,
        **(usage_of(tried) if tried["n_input"] is not None else {}),
        "server.address": peer.address,
        "server.port": peer.port,
        "http.response.status_code": tried["status"] or None,
        "error.type": tried["error"],
        "perdure.target": tried["target"],
        "perdure.attempt": tried["place"],
        "perdure.cost_usd": usd_of(tried["cost_pusd"]),
    }
    return SpanRecord(
        trace_id=own.trace_id,
        span_id=hashed_id(f"{row['call_id']}/attempt/{tried['place']}", 8),
        parent_id=own.span_id,
        remote=False,
        name=f"{operation} {model}",
        kind="client",
        start_us=start_us,
        end_us=start_us + tried["took_us"],
        attributes=known(told),
        error=tried["error"],
    )


def _verdict(own: SpanRecord, said: Mapping[str, Any]) -> SpanRecord:
    start_us = own.start_us if said["side"] == "input" else max(own.start_us, own.end_us - said["took_us"])
    named = ("version", "arm", "side", "action", "check", "kind")
    told: dict[str, Value | None] = {
        "perdure.guard": said["guard"],
        **{f"perdure.guard.{name}": said[name] for name in named},
        "perdure.guard.score": said["score"] or None,
    }
    return SpanRecord(
        trace_id=own.trace_id,
        span_id=hashed_id(f"{said['call_id']}/guard/{said['place']}", 8),
        parent_id=own.span_id,
        remote=False,
        name=f"guard {said['guard']}",
        kind="internal",
        start_us=start_us,
        end_us=start_us + said["took_us"],
        attributes=known(told),
        error="the guard failed" if said["action"] == "failed" else "",
    )


def _peer(peers: Mapping[str, Peer], upstream: str) -> Peer:
    return peers.get(upstream) or Peer(upstream)


def usage_of(row: Mapping[str, Any]) -> dict[str, Value | None]:
    """Tokens as the conventions name them, of a row with the columns of a `Usage`; input and output always."""
    totals = {name: sum(row[part] or 0 for part in parts) for name, parts in _USAGE.items()}
    return {name: n for name, n in totals.items() if n or name in _ALWAYS}


def known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Attributes without those that are not known: an empty text tells nothing, and port 0 is none."""
    return {name: value for name, value in attributes.items() if value is not None and value not in ("", [])}


def usd_of(picos: int | None) -> float | None:
    """US dollars; None where the price is not known."""
    return None if picos is None else picos / PICO


def span_ids(call_id: str) -> tuple[int, int]:
    """Trace and span of a call that its caller put below no trace of its own.

    >>> span_ids("c_1") == span_ids("c_1"), span_ids("c_1") == span_ids("c_2")
    (True, False)
    """
    return hashed_id(call_id, 16), hashed_id(call_id, 8)
