"""Errors of upstreams, read into neutral words, and the words of each dialect for them. Called by the dialects alone.

What an upstream says of its own credentials never reaches a caller: OpenAI repeats a part of the key in its message.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from perdure.core.errors import UpstreamError
from perdure.engines.dialects.protocols import Failure

Json = dict[str, Any]
MAX_MESSAGE_CHARS = 2_000
OVERLOADED_STATUS = 529
"""Anthropic's own: the provider as a whole has too much to do."""

_SECRET = re.compile(r"(?i)\b(?:sk|pk|rk|gsk|xai|key|bearer)[-_ ][\w*.\-]{8,}|\bAIza[\w\-]{10,}")
_TOO_LONG = re.compile(r"(?i)prompt is too long|exceed (?:the )?context|context[ _](?:length|window)|maximum context")
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": OVERLOADED_STATUS,
}
_ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    OVERLOADED_STATUS: "overloaded_error",
}
_KIND_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
}


def kind_of(status: int) -> str:
    """The neutral kind of an HTTP status that no body explains."""
    return _KINDS.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")


def openai_failure(status: int, body: bytes) -> Failure:
    """The error of an OpenAI-compatible upstream, in any of the shapes that such servers send; never raises."""
    return openai_error(_decoded(body), status)


def openai_error(found: Any, status: int = 0) -> Failure:
    """The same of a decoded body; a status of 0 (an error within a stream) is told from the error's type."""
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        error = {}
    kind, code = _word(error.get("type")), _word(error.get("code"))
    if kind == "error":  # the type of the event, not of the error
        kind = ""
    if not status:
        status = _status_of(kind, code)
    message = _word(error.get("message")) or _word(error.get("detail"))
    return _failure(status, message, kind or kind_of(status), code)


def _status_of(kind: str, code: str) -> int:
    if code.isdecimal() and 400 <= int(code) < 600:  # vLLM and others say the status as the code
        return int(code)
    return _KIND_STATUS.get(code) or _KIND_STATUS.get(kind) or 500


def anthropic_failure(status: int, body: bytes) -> Failure:
    """The error of an Anthropic upstream; never raises."""
    return anthropic_error(_decoded(body), status)


def anthropic_error(found: Any, status: int = 0) -> Failure:
    """The same of a decoded body or of an `error` event, whose status is told from its type."""
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        error = {}
    theirs = _word(error.get("type"))
    if not status:
        status = _ANTHROPIC_STATUS.get(theirs, 500)
    details = error.get("details")
    code = _word(details.get("error_code")) if isinstance(details, dict) else ""
    if theirs == "overloaded_error":
        code = code or "overloaded"
    kind = {"api_error": "server_error", "overloaded_error": "server_error", "timeout_error": "server_error"}.get(
        theirs
    )
    if theirs == "billing_error":
        kind = "insufficient_quota"
    return _failure(status, _word(error.get("message")), kind or theirs or kind_of(status), code)


def _failure(status: int, message: str, kind: str, code: str) -> Failure:
    if status == 401:
        return Failure(status, "The upstream refused the gateway's own credentials.", "authentication_error", code)
    if not code and status in (400, 413) and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    text = _SECRET.sub("[secret]", message)[:MAX_MESSAGE_CHARS]
    return Failure(status, text or f"The upstream answered with status {status}.", kind, code)


def openai_error_json(failure: Failure) -> Json:
    """OpenAI's error object."""
    return {
        "error": {"message": failure.message, "type": failure.kind, "param": None, "code": failure.code or None},
    }


def anthropic_error_json(failure: Failure, call_id: str = "") -> Json:
    """Anthropic's error object; its types are told from the status, for its SDKs choose by that too.

    >>> anthropic_error_json(Failure(529, "Busy.", "server_error"))["error"]
    {'type': 'overloaded_error', 'message': 'Busy.'}
    """
    kind = _ANTHROPIC_KINDS.get(failure.status)
    if kind is None:
        kind = "invalid_request_error" if 400 <= failure.status < 500 else "api_error"
    told: Json = {"type": "error", "error": {"type": kind, "message": failure.message}}
    return told | {"request_id": call_id} if call_id else told


def stream_error(failure: Failure) -> UpstreamError:
    """The exception for an error event within a stream. Without the upstream's own message, which may hold a prompt."""
    return UpstreamError(
        f"The upstream ended its stream with an error of type {failure.kind!r} (status {failure.status}).",
        hint="Try again, or let the route fall back.",
        status=failure.status,
        kind=failure.kind,
        code=failure.code,
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
