"""Errors of the gateway in the words of whoever called: OpenAI's or Anthropic's error object, never ours.

No secret, key or prompt is in any of them: messages of upstreams are passed only where the fault is in the request.
"""

from __future__ import annotations

import math

from perdure.core.errors import BudgetSpent, PerdureError, Temporary, TooSlow, UpstreamBusy, UpstreamError, WrongMethod
from perdure.engines.dialects.protocols import Failure, Inbound
from perdure.serve.scoring.http import Reply

_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    405: "invalid_request_error", 408: "timeout_error", 413: "request_too_large", 415: "invalid_request_error",
    422: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


def failure_of(error: PerdureError) -> Failure:
    """A neutral failure for an error of ours; its hint is part of the message."""
    status = 400 if error.status == 422 else error.status
    kind = "insufficient_quota" if isinstance(error, BudgetSpent) else _KINDS.get(status, "api_error")
    return Failure(status, str(error), kind, error.code)


def error_reply(error: PerdureError | Failure, inbound: Inbound, call_id: str) -> Reply:
    """An error as a client's SDK reads it."""
    failure = error if isinstance(error, Failure) else failure_of(error)
    headers = [(b"content-type", b"application/json"), (b"perdure-call-id", call_id.encode())]
    if isinstance(error, Temporary) and failure.status in (429, 503):
        headers.append((b"retry-after", str(max(1, math.ceil(error.delay_s))).encode()))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", ", ".join(error.facts["allowed"]).encode()))
    elif isinstance(error, TooSlow):
        headers.append((b"connection", b"close"))
    return Reply(failure.status, inbound.write_error(failure, call_id), headers)


def of_upstream(failure: Failure, target: str) -> UpstreamError:
    """What a client is told when every target failed: that, and by what, without the upstream's own words."""
    facts = {"target": target, "status": failure.status}
    if failure.status in _BUSY:
        return UpstreamBusy(f"The target {target} takes no more calls now.", hint="Try again later.", **facts)
    return UpstreamError(
        f"No target of the route could answer; the last, {target}, said {failure.status}.",
        hint="Try again later.",
        **facts,
    )


_BUSY = (429, 503, 529)
