"""Streams of Gemini's `streamGenerateContent`, read from an upstream.

Each event is an answer with what is new of it; a function's arguments come whole. There is no last event by name: the end
is said by a finish reason of every candidate, or by a blocked prompt. Counts come with each event and grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure.core.clock import machine_us
from perdure.core.usage import Usage
from perdure.engines.dialects.counts import openai_usage_json
from perdure.engines.dialects.failures import stream_error
from perdure.engines.dialects.gemini_answer import (
    candidates_of,
    delta_of,
    failure_of,
    finish_of,
    gemini_usage,
    parts_of,
)
from perdure.engines.dialects.openai_stream import decoded
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import Reader

Json = dict[str, Any]


class GeminiChunks:
    """Reads one stream of a Gemini upstream.

    Args:
        now_us: the instant that chunks say they were created at, in microseconds.
    """

    __slots__ = ("_finished", "_head", "_n_calls", "_now_us", "_reader", "_told", "failure")

    def __init__(self, now_us: Callable[[], int] = machine_us) -> None:
        self._reader = Reader()
        self._now_us = now_us
        self._head: Json = {}
        self._n_calls: dict[int, int] = {}
        self._finished: set[int] = set()
        self._told: Any = None
        self.failure: Failure | None = None
        """The upstream's own words for the error that ended the stream, where one did."""

    @property
    def usage(self) -> Usage | None:
        """The newest counts; read when they are asked for, not with each event."""
        return gemini_usage(self._told)

    @property
    def done(self) -> bool:
        """Whether every candidate that was begun has finished."""
        return bool(self._finished) and self._finished >= self._n_calls.keys()

    def feed(self, data: bytes) -> list[Json]:
        """Neutral chunks of what came; after the last of them one without choices, with the counts.

        Raises:
            UpstreamError: an error event.
            UpstreamBad: an event that is no answer.
        """
        chunks: list[Json] = []
        for event in self._reader.feed(data):
            found = decoded(event.data)
            if found.get("error"):
                self.failure = failure_of(found, 0)
                raise stream_error(self.failure)
            self._told = found.get("usageMetadata") or self._told
            if not self._head:
                self._head = self._begin(found)
            for place, candidate in enumerate(candidates_of(found) or ()):
                chunks += self._candidate(candidate, place)
            usage = self.usage if self.done else None
            if usage is not None:
                chunks.append({**self._head, "choices": [], "usage": openai_usage_json(usage)})
        return chunks

    def _begin(self, found: Json) -> Json:
        return {
            "id": str(found.get("responseId") or "gemini_0"),
            "object": "chat.completion.chunk",
            "created": self._now_us() // 1_000_000,
            "model": str(found.get("modelVersion") or ""),
        }

    def _candidate(self, candidate: Json, place: int) -> list[Json]:
        index = candidate.get("index")
        index = index if isinstance(index, int) else place
        chunks: list[Json] = []
        if index not in self._n_calls:
            self._n_calls[index] = 0
            chunks.append(self._chunk(index, {"role": "assistant", "content": ""}))
        answer_id = self._head["id"] if self._head["id"] != "gemini_0" else ""
        for part in parts_of(candidate):
            delta = delta_of(part, answer_id, index, self._n_calls[index])
            if delta:
                self._n_calls[index] += len(delta.get("tool_calls", ()))
                chunks.append(self._chunk(index, delta))
        reason = candidate.get("finishReason")
        if reason and index not in self._finished:
            self._finished.add(index)
            chunk = self._chunk(index, {}, finish_of(str(reason), called=self._n_calls[index] > 0))
            if reason not in ("STOP", "MAX_TOKENS"):
                chunk["choices"][0]["native_finish_reason"] = reason
            chunks.append(chunk)
        return chunks

    def _chunk(self, index: int, delta: Json, finish: str | None = None) -> Json:
        return {**self._head, "choices": [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}]}
