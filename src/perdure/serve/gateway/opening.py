"""How a stream begins: until a model says something nothing is sent on, so that another target can still answer.

Providers answer 200 and then find that they are overloaded: the first event, or the one behind a role, a `message_start` or a
ping, is an error. It counts as the same error would have as a status. Called by `sending` for each try that streams.

What surprised us: some send pings or empty deltas for minutes before a model that thinks long says its first word. A client
waits for a sign of life, so what is held goes out once it has been held for a while.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import UpstreamCut, UpstreamTimedOut
from perdure.serve.gateway.upstream.protocols import Answering

_HELD_S = 5.0
"""Held no longer: from then on the next piece lets everything out."""
_HELD_BYTES = 1_000_000
_SILENT = frozenset(
    {
        *("message_start", "ping", "content_block_start"),
        *("response.created", "response.queued", "response.in_progress"),
        *("response.output_item.added", "response.content_part.added"),
    }
)
"""Events of Anthropic's and OpenAI's streams that come before a model's first word."""
_ERRORS = (b'{"error":', b'{"type":"error"', b'{"type": "error"')
_EMPTY = (b"null", b'""', b"[]", b"{}")


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    finish_reason: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    type: str = ""
    choices: list[_Choice] | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    response: msgspec.Raw = msgspec.Raw(b"null")


_event = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True, slots=True)
class Opening:
    """What came of a stream before its first word and with it.

    >>> look(b'data: {"error":{"code":503}}' + bytes((10, 10)), 0).error
    b'{"error":{"code":503}}'
    """

    at: int
    """Up to here there are whole events that say nothing."""
    said: bool = False
    """The model has said something, or that it has nothing to say."""
    error: bytes | None = None
    """The body of the error that came instead."""


async def first_words(answering: Answering, deadline_s: float) -> tuple[bytes, bytes | None]:
    """A stream up to its first word; and the error that came instead of one, if it did. Cost: some 1 µs an event.

    Raises:
        UpstreamError: it broke or ended before.
    """
    held = await piece_by(answering, deadline_s)
    found = look(held, 0)
    until_s = 0.0
    while not found.said and found.error is None:
        until_s = until_s or monotonic_s() + _HELD_S
        piece = await piece_by(answering, deadline_s)
        if not piece:
            raise UpstreamCut("The upstream's stream ended before it was whole.", hint="Try again.")
        held += piece
        if len(held) > _HELD_BYTES or monotonic_s() > until_s:
            break
        found = look(held, found.at)
    return held, found.error


def piece_by(answering: Answering, deadline_s: float) -> Awaitable[bytes]:
    """The next piece, awaited no longer than the call may take.

    Raises:
        UpstreamTimedOut: it has taken that long.
    """
    left_s = deadline_s - monotonic_s()
    if left_s <= 0.0:
        answering.close()
        raise UpstreamTimedOut("The answer took longer than the route allows.", hint="Raise `total` of the route.")
    answering.idle_s = min(answering.idle_s, left_s)
    return answering.piece()


def error_of(body: bytes) -> bytes | None:
    """A whole body that is an error under the status 200: itself; else None. Cost: 0.1 µs for an answer.

    >>> error_of(b'{"error":{"message":"Busy."}}'), error_of(b'{"error":null,"id":"x"}')
    (b'{"error":{"message":"Busy."}}', None)
    """
    if not body.startswith(_ERRORS):
        return None
    found = _judged(body, 0)
    return None if found is None else found.error


def look(held: bytes, at: int) -> Opening:
    """What the whole events behind a place of a stream say; those before it have said nothing."""
    if b"\r" in held:
        held, at = held.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), 0
    while (end := held.find(b"\n\n", at)) >= 0:
        data = b"\n".join([line[5:].strip() for line in held[at:end].split(b"\n") if line.startswith(b"data:")])
        if data:
            found = _judged(data, at)
            if found is not None:
                return found
        at = end + 2
    return Opening(at)


def _judged(data: bytes, at: int) -> Opening | None:
    """What one event says; None: nothing."""
    try:
        event = _event(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Opening(at, said=True)  # the end, or what is no event that we know: whoever reads on will see
    if bytes(event.error) not in _EMPTY or event.type == "error":
        return Opening(at, error=data)
    if event.type == "response.failed":
        return Opening(at, error=bytes(event.response))
    silent = event.type in _SILENT or (event.choices is not None and not any(map(_says, event.choices)))
    return None if silent else Opening(at, said=True)


def _says(choice: _Choice) -> bool:
    if bytes(choice.finish_reason) not in _EMPTY:
        return True
    return any(name != "role" and bytes(raw) not in _EMPTY for name, raw in (choice.delta or {}).items())
