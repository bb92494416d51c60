"""What Gemini answers in neutral words: messages, finish reasons, counts, errors. Called by `gemini` and `gemini_stream`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.core.usage import Usage
from perdure.engines.dialects.failures import kind_of, openai_error
from perdure.engines.dialects.gemini_parts import call_id, signed
from perdure.engines.dialects.protocols import Failure

Json = dict[str, Any]
_FILTERED = frozenset(
    {
        "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION", "PUP_LIMITED_DISABLED", "MODEL_ARMOR",
    }
)  # fmt: skip
_LENGTH = frozenset({"MAX_TOKENS", "CONTINUATION"})
_STATUSES = {
    "INVALID_ARGUMENT": (400, "invalid_request_error", ""),
    "FAILED_PRECONDITION": (400, "invalid_request_error", ""),
    "OUT_OF_RANGE": (400, "invalid_request_error", ""),
    "UNAUTHENTICATED": (401, "authentication_error", ""),
    "PERMISSION_DENIED": (403, "permission_error", ""),
    "NOT_FOUND": (404, "not_found_error", "model_not_found"),
    "RESOURCE_EXHAUSTED": (429, "rate_limit_error", "rate_limit_exceeded"),
    "CANCELLED": (499, "server_error", ""),
    "INTERNAL": (500, "server_error", ""),
    "UNKNOWN": (500, "server_error", ""),
    "UNAVAILABLE": (503, "server_error", "overloaded"),
    "DEADLINE_EXCEEDED": (504, "server_error", ""),
}
"""Google's canonical codes: status, kind, code."""


def finish_of(reason: str, *, called: bool) -> str:
    """The neutral finish reason; Gemini says STOP also where it called a function.

    >>> finish_of("STOP", called=True), finish_of("SAFETY", called=False), finish_of("MALFORMED_FUNCTION_CALL", called=False)
    ('tool_calls', 'content_filter', 'stop')
    """
    if reason in _FILTERED:
        return "content_filter"
    if reason in _LENGTH:
        return "length"
    return "tool_calls" if called else "stop"


def candidates_of(found: Json) -> list[Json] | None:
    """The candidates of an answer; one without content for a blocked prompt, None where it is no answer."""
    candidates = found.get("candidates")
    if isinstance(candidates, list) and candidates and all(isinstance(each, dict) for each in candidates):
        return candidates
    feedback = found.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return [{"index": 0, "finishReason": "PROHIBITED_CONTENT"}]
    return None


def parts_of(candidate: Json) -> list[Json]:
    """The parts of a candidate's content; empty where it has none."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def message_of(candidate: Json, answer_id: str, index: int) -> Json:
    """The neutral message of a whole candidate."""
    message: Json = {"role": "assistant", "content": None}
    calls: list[Json] = []
    for part in parts_of(candidate):
        delta = delta_of(part, answer_id, index, len(calls))
        for name in ("content", "reasoning_content"):
            if name in delta:
                message[name] = (message.get(name) or "") + delta[name]
        calls += [{key: call[key] for key in call if key != "index"} for call in delta.get("tool_calls", ())]
        if "images" in delta:
            message.setdefault("images", []).extend(delta["images"])
        for name in ("audio", "extra_content"):
            if name in delta:
                message[name] = delta[name]
    if calls:
        message["tool_calls"] = calls
    return message


def delta_of(part: Json, answer_id: str, index: int, n_calls: int) -> Json:
    """What one part adds to a message: the delta of a chunk, without its role.

    Args:
        part: Gemini's.
        answer_id: its `responseId`, for ids of calls that have none.
        index: of the candidate.
        n_calls: calls of this candidate before it.
    """
    call = part.get("functionCall")
    if isinstance(call, dict):
        arguments = msgspec.json.encode(call.get("args") or {}).decode()
        told: Json = {
            "index": n_calls,
            "id": call_id(call, answer_id, f"{index}.{n_calls}"),
            "type": "function",
            "function": {"name": str(call.get("name") or ""), "arguments": arguments},
        }
        return {"tool_calls": [signed(told, part)]}
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought"):
            return {"reasoning_content": text}
        return signed({"content": text}, part) if text else signed({}, part)
    inline = part.get("inlineData")
    if isinstance(inline, dict):
        return signed(_inline(inline, answer_id), part)
    return signed({}, part)


def _inline(inline: Json, answer_id: str) -> Json:
    mime, data = str(inline.get("mimeType") or ""), str(inline.get("data") or "")
    if mime.startswith("audio/"):
        return {"audio": {"id": answer_id or "audio_0", "data": data, "expires_at": 0, "transcript": ""}}
    return {"images": [{"type": "image_url", "image_url": {"url": f"data:{mime};base64,{data}"}}]}


def gemini_usage(raw: Any) -> Usage | None:
    """What `usageMetadata` says: thoughts are output, and what tools at Google read for the model is input.

    >>> gemini_usage({"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 30})
    Usage(n_input=9, n_output=34, ..., n_reasoning=30, ...)
    """
    if not isinstance(raw, Mapping) or not any(name in raw for name in _COUNTS):
        return None
    thoughts = _count(raw, "thoughtsTokenCount")
    return Usage(
        n_input=_count(raw, "promptTokenCount") + _count(raw, "toolUsePromptTokenCount"),
        n_output=_count(raw, "candidatesTokenCount") + thoughts,
        n_cached=_count(raw, "cachedContentTokenCount"),
        n_reasoning=thoughts,
        n_audio_input=_audio(raw, "promptTokensDetails"),
        n_audio_output=_audio(raw, "candidatesTokensDetails"),
    )


_COUNTS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")


def _count(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    return max(0, value) if isinstance(value, int) else 0


def _audio(raw: Mapping[str, Any], name: str) -> int:
    details = raw.get(name)
    found = [each for each in details if isinstance(each, Mapping)] if isinstance(details, list) else []
    return sum(_count(each, "tokenCount") for each in found if each.get("modality") == "AUDIO")


def failure_of(found: Any, status: int) -> Failure:
    """The error of a decoded body, alone or in a list; a status of 0 (within a stream) is told by Google's own code."""
    if isinstance(found, list) and found:
        found = found[0]
    error = found.get("error") if isinstance(found, dict) else None
    error = error if isinstance(error, dict) else {}
    word = str(error.get("status") or "")
    told, kind, code = _STATUSES.get(word, (0, "", ""))
    if not status:
        said = error.get("code")
        status = told or (said if isinstance(said, int) and 400 <= said < 600 else 500)
    message = error.get("message")
    message = message if isinstance(message, str) else ""
    if _is_bad_key(error, message):
        status, kind, code = 401, "authentication_error", "invalid_api_key"
    elif status == 400 and "exceeds the maximum number of tokens" in message:
        code = "context_length_exceeded"
    return openai_error({"error": {"message": message, "type": kind or kind_of(status), "code": code}}, status)


def _is_bad_key(error: Json, message: str) -> bool:
    details = error.get("details")
    reasons = [each.get("reason") for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    return "API_KEY_INVALID" in reasons or message.startswith("API key not valid")
