"""Asks a route of this server's own gateway, within the process and with the caller's own key.

So limits, budgets, guards, prices, cache and records hold as for any call of that caller: there is no second way to a model. What goes
wrong comes back as the gateway said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.serve.exchange import Asgi, post
from perdure.serve.scoring.http import Reply

PATH = "/v1/chat/completions"
_PASSED = (b"authorization", b"x-api-key", b"cache-control", b"traceparent", b"perdure-now")
"""Headers of the caller that go on."""
_JSON = (b"content-type", b"application/json")
_LONGEST = 300


class Declined(Exception):
    """The gateway did not answer; what it said instead, as it goes to the caller."""

    def __init__(self, reply: Reply, call_id: str) -> None:
        super().__init__(f"The gateway said {reply.status}.")
        self.reply = reply
        self.call_id = call_id


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said."""

    text: str
    call_id: str
    """Of the gateway's record."""
    model: str
    """`upstream/model`."""
    finish: str
    cache: str
    usage: Mapping[str, Any]


async def ask(gateway: Asgi, headers: Mapping[bytes, bytes], body: Mapping[str, Any], tags: Mapping[str, str]) -> Said:
    """What a route answers to a chat.

    Args:
        gateway: of this server.
        headers: of the caller's request.
        body: a chat of OpenAI's API; `model` is the route.
        tags: kept with the call's record.

    Raises:
        Declined: it answered with an error, or with what is no text.
    """
    passed = [(name, headers[name]) for name in _PASSED if name in headers]
    own = [*passed, _JSON, (b"perdure-tags", msgspec.json.encode(tags))]
    said = await post(gateway, PATH, own, msgspec.json.encode(body))
    told = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in said.headers}
    call_id = told.get("perdure-call-id", "")
    try:
        found: Any = msgspec.json.decode(said.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if said.status != 200:
        raise Declined(_told(said.status, found, told), call_id)
    choice = _first(found)
    if choice is None:
        raise Declined(_told(502, None, told), call_id)
    usage = found.get("usage")
    return Said(
        choice["message"]["content"],
        call_id,
        told.get("perdure-target", ""),
        str(choice.get("finish_reason") or ""),
        told.get("perdure-cache", ""),
        usage if isinstance(usage, dict) else {},
    )


def _first(found: Any) -> dict[str, Any] | None:
    choices = found.get("choices") if isinstance(found, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return first if isinstance(message, dict) and isinstance(message.get("content"), str) else None


def _told(status: int, found: Any, headers: Mapping[str, str]) -> Reply:
    """The gateway's error in the words of this server's other paths."""
    error = found.get("error") if isinstance(found, dict) else None
    error = error if isinstance(error, dict) else {}
    told = {
        "code": str(error.get("code") or error.get("type") or "upstream.bad")[:_LONGEST],
        "message": str(error.get("message") or "The route gave no text.")[: 4 * _LONGEST],
        "hint": "",
        "facts": {"call": headers.get("perdure-call-id", "")},
    }
    own = [_JSON]
    if "retry-after" in headers:
        own.append((b"retry-after", headers["retry-after"].encode("latin-1")))
    return Reply(status, msgspec.json.encode({"error": told}), own)
