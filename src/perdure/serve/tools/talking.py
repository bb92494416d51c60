"""One chat of a run through this server's own gateway: no port, no secret, and the gateway's own rules.

`reaching` asks here. The scope carries the caller's key record and a listener for the call's record, which says what HTTP does not: cost,
usage and versions. Errors come out as the leaves of `core.errors` that the gateway told by their codes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.core import errors
from perdure.core.errors import PerdureError, UpstreamBad, UpstreamCut
from perdure.serve.runs.protocols import ChatSaid
from perdure.stores.capture.events import Call
from perdure.stores.ledger.protocols import Key

Json = dict[str, Any]
Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

PATH = "/v1/chat/completions"
_AHEAD = 64
"""Pieces of a stream that may wait for their reader: then the gateway waits, and so does the upstream."""
_LEAVES: Sequence[type[PerdureError]] = (
    errors.BadRequest, errors.TooLarge, errors.BadPrompt, errors.NotFound, errors.NotReady, errors.Refused, errors.Unauthorized,
    errors.Blocked, errors.LimitReached, errors.BudgetSpent, errors.StoreFull, errors.StoreError, errors.UpstreamError,
    errors.UpstreamTimedOut, errors.UpstreamBusy, errors.UpstreamCut, errors.UpstreamBad, errors.UnsupportedMedia,
)  # fmt: skip
_BY_CODE: Mapping[str, type[PerdureError]] = {each.code: each for each in _LEAVES}
_BY_STATUS: Mapping[int, type[PerdureError]] = {
    401: errors.Unauthorized, 403: errors.Refused, 404: errors.NotFound, 429: errors.LimitReached, 503: errors.NotReady,
    504: errors.UpstreamTimedOut,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """One chat as it goes to the gateway."""

    body: Json
    key: Key
    tags: Mapping[str, str]
    trace: str = ""
    now: str = ""
    """Domain time, for a server that replays; empty: the machine's."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Of the request."""
        own = [(b"content-type", b"application/json"), (b"perdure-tags", msgspec.json.encode(dict(self.tags)))]
        if self.trace:
            own.append((b"traceparent", self.trace.encode("latin-1", "replace")))
        if self.now:
            own.append((b"perdure-now", self.now.encode("ascii")))
        return own


async def ask(gateway: Asgi, asking: Asking) -> ChatSaid:
    """What the gateway answers, whole.

    Raises:
        PerdureError: as the gateway said it.
    """
    talk = _Talk(msgspec.json.encode(asking.body), asking)
    await gateway(talk.scope(), talk.receive, talk.send)
    found = _decoded(b"".join(talk.parts))
    if talk.status != 200:
        raise _error(talk, found)
    choice = _first(found)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise UpstreamBad("The route answered with what is no chat.", call=talk.call_id)
    return talk.said(message, str(choice.get("finish_reason") or ""), found)


async def stream(gateway: Asgi, asking: Asking) -> AsyncIterator[str | ChatSaid]:
    """The same in pieces of text as they come, the whole last. Letting go of it hangs up.

    Raises:
        PerdureError: as the gateway said it, before or amid the stream.
    """
    body = {**asking.body, "stream": True}
    talk = _Talk(msgspec.json.encode(body), asking, asyncio.Queue(_AHEAD))
    assert talk.queue is not None
    task = asyncio.get_running_loop().create_task(_run(gateway, talk))
    built = _Built()
    try:
        while (piece := await talk.queue.get()) is not None:
            if talk.status != 200:
                talk.parts.append(piece)
                continue
            for text in built.feed(piece, talk):
                yield text
        await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((task,))
    if talk.status != 200:
        raise _error(talk, _decoded(b"".join(talk.parts)))
    if not built.finish:
        raise UpstreamCut("The answer broke before it was whole.", hint="Try again later.", call=talk.call_id)
    yield talk.said(built.message(), built.finish, {})


async def _run(gateway: Asgi, talk: _Talk) -> None:
    assert talk.queue is not None
    try:
        await gateway(talk.scope(), talk.receive, talk.send)
    finally:
        if not asyncio.current_task().cancelling():  # type: ignore[union-attr] # this runs in a task
            await talk.queue.put(None)


@dataclass(slots=True, eq=False)
class _Talk:
    """One request and its answer, as ASGI passes them."""

    request: bytes
    asking: Asking
    queue: asyncio.Queue[bytes | None] | None = None
    """Where pieces of a stream go; None: they are kept."""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    record: Call | None = None
    _told: bool = False

    @property
    def call_id(self) -> str:
        """Of the gateway's record."""
        return self.record.id if self.record is not None else self.headers.get("perdure-call-id", "")

    def scope(self) -> Json:
        """Of the request: `perdure.*` is set by nothing outside this process."""
        return {
            "type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": self.asking.headers(),
            "perdure.key": self.asking.key, "perdure.told": self.hear,
        }  # fmt: skip

    def hear(self, record: Call) -> None:
        """The record of the call, once it is over."""
        self.record = record

    async def receive(self) -> Json:
        if self._told:
            await asyncio.get_running_loop().create_future()  # who hangs up cancels the task that asks
        self._told = True
        return {"type": "http.request", "body": self.request, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            told = message.get("headers", ())
            self.headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in told}
            return
        piece = message.get("body", b"")
        if piece and self.queue is not None:
            await self.queue.put(piece)
        elif piece:
            self.parts.append(piece)

    def said(self, message: Json, finish: str, answer: Json) -> ChatSaid:
        """What was said, with what the record knows of it."""
        record = self.record
        if record is None:  # the gateway records whatever it answers: this is a defect of ours
            raise UpstreamBad("The gateway answered without a record of the call.", call=self.call_id)
        versions = {
            _named(each, kind): each for kind, each in (("prompt", record.prompt), ("route", record.version)) if each
        }
        target = record.attempts[-1].target if record.attempts else str(answer.get("model") or "")
        usage = record.usage if record.usage.n_total else None
        return ChatSaid(message, finish, usage, record.cost_pusd, record.id, versions, record.latency_us, model=target)


@dataclass(slots=True, eq=False)
class _Built:
    """A message made of the events of its stream."""

    finish: str = ""
    _left: bytes = b""
    _texts: dict[str, list[str]] = field(default_factory=lambda: {"content": [], "refusal": []})
    _calls: dict[int, Json] = field(default_factory=dict)

    def feed(self, piece: bytes, talk: _Talk) -> list[str]:
        """The text of the events that are whole now.

        Raises:
            PerdureError: the stream tells that it broke.
        """
        *events, self._left = (self._left + piece).split(b"\n\n")
        found = []
        for event in events:
            data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
            if not data or data == b"[DONE]":
                continue
            chunk = _decoded(data)
            if "error" in chunk:
                raise _error(talk, chunk)
            found += self._take(_first(chunk))
        return found

    def message(self) -> Json:
        """The whole message."""
        told: Json = {"role": "assistant", "content": "".join(self._texts["content"]) or None}
        if self._texts["refusal"]:
            told["refusal"] = "".join(self._texts["refusal"])
        if self._calls:
            told["tool_calls"] = [self._calls[place] for place in sorted(self._calls)]
        return told

    def _take(self, choice: Json) -> list[str]:
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        for name, texts in self._texts.items():
            if isinstance(delta.get(name), str) and delta[name]:
                texts.append(delta[name])
        for place, part in enumerate(delta.get("tool_calls") or ()):
            self._call(part, place)
        self.finish = str(choice.get("finish_reason") or self.finish)
        content = delta.get("content")
        return [content] if isinstance(content, str) and content else []

    def _call(self, part: Json, place: int) -> None:
        empty: Json = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = self._calls.setdefault(int(part.get("index", place)), empty)
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""


def _named(version: str, kind: str) -> str:
    return f"{kind}:{version.partition('@')[0]}"


def _decoded(body: bytes) -> Json:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first(found: Json) -> Json:
    choices = found.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _error(talk: _Talk, found: Json) -> PerdureError:
    """The gateway's error as the leaf that its code names."""
    told = found.get("error")
    told = told if isinstance(told, dict) else {}
    status = talk.status if talk.status != 200 else 502
    leaf = _BY_CODE.get(str(told.get("code"))) or _BY_STATUS.get(status)
    leaf = leaf or (errors.BadRequest if 400 <= status < 500 else errors.UpstreamError)
    error = leaf(str(told.get("message") or f"The gateway said {status}."), call=talk.call_id)
    wait = talk.headers.get("retry-after", "")
    if wait.isdigit() and isinstance(error, errors.Temporary):
        error.delay_s = float(wait)
    return error
