"""One call to the targets of its route: who is tried, how often, how long, and what each try cost.

A try ends well when its whole answer has come, or, of a stream, its first word. Until then nothing has gone to the client,
so another target can still answer. Every try is recorded with what the upstream counted, or with an estimate that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import BadRequest, PerdureError, UpstreamBad, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.dialects.protocols import Failure
from perdure.engines.prices import cost_pusd
from perdure.serve.gateway.asking import Ask
from perdure.serve.gateway.choosing import order
from perdure.serve.gateway.errors import of_upstream
from perdure.serve.gateway.opening import error_of, first_words, piece_by
from perdure.serve.gateway.routes import LiveTarget
from perdure.serve.gateway.upstream.protocols import Answering, HeaderPairs
from perdure.stores.capture.events import Attempt

_RETRIED = frozenset({401, 403, 408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which another target, or the same later, may answer. 401 and 403 are about our secret, not the caller's."""
_CLIENTS_OWN = frozenset({401, 403, 404})
"""Statuses that say something of the gateway's configuration, never of the client's request: not passed on."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_RANDOM = Random()  # noqa: S311 - jitter, no secret
_PASSED_HEADERS = (b"anthropic-beta", b"anthropic-version", b"openai-beta")


class TargetFailed(Exception):
    """One try failed in a way after which another may not."""

    def __init__(self, error: PerdureError, *, retry_after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after_s = retry_after_s


class TargetRefused(Exception):
    """The upstream says that the request itself is wrong: another target would say so too."""

    def __init__(self, failure: Failure, body: bytes) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.body = body


class Opened(msgspec.Struct, eq=False):
    """A try whose answer goes to the client."""

    target: LiveTarget
    attempt: Attempt
    answering: Answering
    passes: bool
    """Whether bytes pass as they come."""
    piece: bytes
    """The whole body, or a stream up to its first word."""
    began_s: float


Again = Callable[[Ask], Awaitable[bool]]
"""Whether limits and budgets have room for one more try of a call."""


async def open_call(ask: Ask, max_bytes: int, again: Again | None = None) -> Opened:
    """Try targets until one answers, or no room is left for another try.

    Raises:
        TargetRefused: an upstream found the request itself wrong.
        UpstreamError: every try failed, or no time is left.
        BadRequest: no target of the route speaks what was asked.
    """
    route = ask.route
    deadline_s = ask.call.began_s + route.total_s
    targets = order(route, ask.call.affinity)
    route.retries.earn()
    last: PerdureError | None = None
    for n in range(route.attempts):
        target = targets[n % len(targets)]
        if n:
            # Another target that is sound is no storm; the same again, or one that rests, takes of the budget.
            fresh = n < len(targets) and target.breaker.is_closed
            if not fresh and not route.retries.take():
                break
            pause_s = _pause_s(n, len(targets), last)
            if pause_s > _LONGEST_PAUSE_S or monotonic_s() + pause_s >= deadline_s:
                break  # the caller is told when to come back, rather than kept waiting
            if again is not None and not await again(ask):
                break
            if pause_s:
                await asyncio.sleep(pause_s)
        try:
            return await _try(ask, target, deadline_s, max_bytes)
        except TargetFailed as failed:
            last = failed.error
            if failed.retry_after_s:
                last.delay_s = failed.retry_after_s  # type: ignore[attr-defined]
    assert last is not None
    raise last


def _pause_s(n: int, n_targets: int, last: PerdureError | None) -> float:
    """None before another target; before the same again a growing one, with jitter, or what the upstream asked for."""
    rounds = n // n_targets
    if not rounds or n % n_targets:
        return 0.0
    asked_s = getattr(last, "delay_s", 0.0) if getattr(last, "facts", {}).get("status") == 429 else 0.0
    grown_s = min(_FIRST_PAUSE_S * 2.0 ** (rounds - 1), _LONGEST_PAUSE_S)
    return max(grown_s * (0.5 + _RANDOM.random() / 2.0), asked_s)


async def _try(ask: Ask, target: LiveTarget, deadline_s: float, max_bytes: int) -> Opened:
    route, began_s = ask.route, monotonic_s()
    path, headers, body, passes = _outgoing(ask, target)
    attempt = Attempt(target.id, 0, int((began_s - ask.call.began_s) * 1e6), 0, 0)
    ask.call.attempts.append(attempt)
    breaker = target.breaker
    breaker.begin()
    try:
        left_s = max(deadline_s - began_s, 0.001)
        answering = await target.upstream.client.send(
            path, headers, body, first_s=min(route.attempt_s, left_s), idle_s=min(route.idle_s, left_s)
        )
        attempt.status = answering.status
        if answering.status >= 300:
            await _failed(target, answering)
        if ask.call.stream:
            piece, error_body = await first_words(answering, deadline_s)
        else:
            piece = await _whole(answering, max_bytes, deadline_s)
            error_body = error_of(piece)
        if error_body is not None:
            _told(target, attempt, answering, error_body)
    except TargetRefused:
        breaker.succeed(monotonic_s() - began_s)
        attempt.took_us = int((monotonic_s() - began_s) * 1e6)
        raise
    except (UpstreamError, TargetFailed) as error:
        breaker.fail(route.breaker)
        cause = error.error if isinstance(error, TargetFailed) else error
        attempt.error, attempt.took_us = cause.code, int((monotonic_s() - began_s) * 1e6)
        _bill_unanswered(ask, target, attempt, cause)
        raise error if isinstance(error, TargetFailed) else TargetFailed(error) from error
    except BaseException as error:
        # A cancellation, or what nobody foresaw: it says nothing of the target, which must not be taken for busy for ever.
        breaker.leave()
        attempt.error = "cancelled" if isinstance(error, asyncio.CancelledError) else "internal"
        attempt.took_us = int((monotonic_s() - began_s) * 1e6)
        bill(ask, target, attempt, None, n_output=0)
        raise
    attempt.first_us = int((monotonic_s() - began_s) * 1e6)
    return Opened(target, attempt, answering, passes, piece, began_s)


def _outgoing(ask: Ask, target: LiveTarget) -> tuple[str, HeaderPairs, bytes, bool]:
    upstream, params = target.upstream, {**ask.route.params, **target.params}
    if ask.passes_to(target):
        headers = upstream.headers
        extra = [(name, ask.headers[name]) for name in _PASSED_HEADERS if name in ask.headers]
        if extra:
            replaced = {name for name, _ in extra}
            headers = [*(pair for pair in headers if pair[0] not in replaced), *extra]
        return upstream.prefix + ask.endpoint.upstream_path, headers, ask.body_for(target, params), True
    if not ask.endpoint.translated:
        raise BadRequest(
            f"{ask.endpoint.path} needs an upstream that speaks it, which {target.id} does not.",
            hint="Ask a route whose targets do, or use chat completions.",
        )
    request = {**params, **ask.request, "stream": ask.call.stream}
    outgoing = upstream.outbound.write(request, target.model, upstream.secret)
    pairs = {name.lower(): text for name, text in outgoing.headers.items()}
    pairs.setdefault("content-type", "application/json")
    headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in pairs.items()]
    return upstream.prefix + outgoing.path, headers, outgoing.body, False


async def _failed(target: LiveTarget, answering: Answering) -> None:
    """Read an error and say what it means.

    Raises:
        TargetRefused: the request itself is wrong.
        TargetFailed: another target, or the same later, may answer.
        UpstreamBad: it names another address, where nobody goes.
    """
    if answering.status < 400:
        answering.close()
        raise UpstreamBad("The upstream names another address.", hint="Check the upstream's address.")
    body = await answering.read(1_000_000)
    _judge(target, target.upstream.outbound.read_error(answering.status, body), body, _retry_after(answering.headers))


def _told(target: LiveTarget, attempt: Attempt, answering: Answering, body: bytes) -> None:
    """An error that came under the status 200 is the error that it says it is, and is recorded as such.

    Raises: as `_failed`.
    """
    failure = target.upstream.outbound.read_error(0, body)
    answering.close()
    attempt.status = failure.status
    _judge(target, failure, body, 0.0)


def _judge(target: LiveTarget, failure: Failure, body: bytes, retry_after_s: float) -> None:
    """Raises: as `_failed`."""
    if failure.status not in _RETRIED and failure.status not in _CLIENTS_OWN:
        raise TargetRefused(failure, body)
    raise TargetFailed(of_upstream(failure, target.id), retry_after_s=retry_after_s)


async def _whole(answering: Answering, max_bytes: int, deadline_s: float) -> bytes:
    """The whole body, by the call's deadline: pieces that keep coming do not move it.

    Raises:
        UpstreamError: it broke, is too long, or is late.
    """
    parts: list[bytes] = []
    n_bytes = 0
    while part := await piece_by(answering, deadline_s):
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > max_bytes:
            answering.close()
            raise UpstreamBad(f"The answer of the upstream has more than {max_bytes} bytes.", max_bytes=max_bytes)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _retry_after(headers: HeaderPairs) -> float:
    for name, value in headers:
        if name == b"retry-after" and value.isdigit():
            return min(float(value), 60.0)
    return 0.0


def _bill_unanswered(ask: Ask, target: LiveTarget, attempt: Attempt, error: PerdureError) -> None:
    """A try that broke after the upstream had it may have been billed there: estimated; one that was refused was not."""
    if attempt.status == 0 and error.code == "upstream":
        return
    if attempt.status >= 400:
        return
    bill(ask, target, attempt, None, n_output=0)


def bill(ask: Ask, target: LiveTarget, attempt: Attempt, usage: Usage | None, *, n_output: int) -> None:
    """What a try cost: by the upstream's own count, else by an estimate that is marked as one.

    Args:
        ask: whose call it is.
        target: where.
        attempt: what is completed.
        usage: as the upstream counted; None: it never told.
        n_output: estimated output tokens, where it did not.
    """
    if not ask.endpoint.billed:
        attempt.usage, attempt.cost_pusd = Usage(), 0
        return
    if usage is None:
        usage = Usage(n_input=tokens_of_bytes(ask.peek.n_bytes), n_output=n_output, estimated=True)
    attempt.usage = usage
    attempt.cost_pusd = cost_pusd(usage, target.price_at(ask.call.served_us))
