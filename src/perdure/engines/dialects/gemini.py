"""Upstreams that speak Gemini's `generateContent`, whoever asks. (Clients that speak it are not served.)

What surprised us: an answer may have no candidate at all, when the prompt was blocked, and this is no error but a refusal;
what was thought is counted beside the answer, not in it; a key that is not valid is a 400.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.checks import answer
from perdure.engines.dialects.counts import openai_usage_json
from perdure.engines.dialects.failures import stream_error
from perdure.engines.dialects.gemini_answer import candidates_of, failure_of, finish_of, gemini_usage, message_of
from perdure.engines.dialects.gemini_request import body_of
from perdure.engines.dialects.gemini_stream import GeminiChunks
from perdure.engines.dialects.protocols import ChunkReader, Failure, Outgoing

Json = dict[str, Any]


class GeminiOutbound:
    """The side that Gemini upstreams speak.

    Args:
        now_us: the instant that answers say they were created at, in microseconds.
    """

    name = "gemini"

    def __init__(self, now_us: Callable[[], int] = machine_us) -> None:
        self._now_us = now_us

    def headers(self, secret: str) -> Mapping[str, str]:
        """How Gemini is told the secret: in a header, for addresses end up in logs."""
        return {"x-goog-api-key": secret} if secret else {}

    def write(self, request: Json, model: str, secret: str) -> Outgoing:
        """The request for one model; its path says whether the answer is streamed.

        Raises:
            BadRequest: the request asks for what Gemini has no word for.
        """
        body = msgspec.json.encode(body_of(request, model))
        place = quote(model, safe="/") if "/" in model else f"models/{quote(model, safe='')}"
        verb = "streamGenerateContent?alt=sse" if request.get("stream") else "generateContent"
        return Outgoing(f"/v1beta/{place}:{verb}", body, self.headers(secret))

    def read(self, body: bytes) -> tuple[Json, Usage | None]:
        """The neutral answer and what was counted; a blocked prompt is an answer without content.

        Raises:
            UpstreamError: an error that came with status 200, or no answer at all.
        """
        found = answer(body)
        if found.get("error"):
            raise stream_error(failure_of(found, 0))
        usage = gemini_usage(found.get("usageMetadata"))
        candidates = candidates_of(found)
        if candidates is None:
            raise UpstreamBad(
                "The upstream's answer has no candidates.", hint="Check the upstream's address and dialect."
            )
        answer_id = str(found.get("responseId") or "")
        told: Json = {
            "id": answer_id or "gemini_0",
            "object": "chat.completion",
            "created": self._now_us() // 1_000_000,
            "model": str(found.get("modelVersion") or ""),
            "choices": [_choice(candidate, answer_id, place) for place, candidate in enumerate(candidates)],
        }
        if usage is not None:
            told["usage"] = openai_usage_json(usage)
        return told, usage

    def read_error(self, status: int, body: bytes) -> Failure:
        """What an error means; never raises."""
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        return failure_of(found, status)

    def chunks(self) -> ChunkReader:
        """A reader of one stream."""
        return GeminiChunks(self._now_us)


def _choice(candidate: Json, answer_id: str, place: int) -> Json:
    index = candidate.get("index")
    index = index if isinstance(index, int) else place
    message = message_of(candidate, answer_id, index)
    reason = str(candidate.get("finishReason") or "STOP")
    choice: Json = {
        "index": index,
        "message": message,
        "finish_reason": finish_of(reason, called="tool_calls" in message),
        "logprobs": None,
    }
    if reason not in ("STOP", "MAX_TOKENS"):
        choice["native_finish_reason"] = reason
    return choice
