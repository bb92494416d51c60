"""`StreamMeter`: what a stream that passes as bytes counts, how it ends, and whether it came to its end.

Fed every piece, and made for pieces without anything of interest: a handful of searches in the bytes, and no JSON. Only
events in which a marker was found are decoded. No marker can be forged by content: a quotation mark within a JSON string is
escaped, and a marker that a string merely equals costs one decoding that finds nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.core.errors import UpstreamBad
from perdure.core.usage import Usage
from perdure.engines.dialects.anthropic_stream import FINISHES
from perdure.engines.dialects.counts import anthropic_usage, openai_usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.dialects.failures import anthropic_error, openai_error
from perdure.engines.dialects.passthrough import Endpoint, Whole, answered
from perdure.engines.dialects.protocols import Failure
from perdure.engines.dialects.sse import MAX_EVENT_BYTES
from perdure.engines.dialects.stencil import Stencil

_TEXTS: dict[Endpoint, tuple[bytes, ...]] = {
    "chat": (b'"content":', b'"arguments":', b'"reasoning_content":', b'"reasoning":', b'"refusal":'),
    "messages": (b'"text":', b'"partial_json":', b'"thinking":'),
    "responses": (b'"delta":',),
    "embeddings": (),
}
_MARKS: dict[Endpoint, tuple[bytes, ...]] = {
    "chat": (b'"content":"', b'"content": "'),
    "messages": (b'"text":"', b'"text": "'),
    "responses": (),
    "embeddings": (),
}
"""Before the text of the events that most of a stream is."""
_SPACE, _QUOTE, _BACKSLASH = b' "\\'


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    model: str | None = None
    usage: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    """The members of interest of an event of any endpoint; the others are skipped, not decoded."""

    type: str = ""
    model: str | None = None
    usage: dict[str, Any] | None = None
    choices: list[_Choice] | None = None
    delta: msgspec.Raw = msgspec.Raw(b"")
    message: msgspec.Raw = msgspec.Raw(b"")
    response: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_event = msgspec.json.Decoder(_Event).decode
_delta = msgspec.json.Decoder(_Delta).decode
_message = msgspec.json.Decoder(_Message).decode
_response = msgspec.json.Decoder(Whole).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class StreamMeter:
    """Meters one stream; made anew for each. Only whole events are passed on: a stream that is cut ends between two.

    Args:
        endpoint: what was asked.
        hide_usage: a chat's client did not ask for usage: what tells it is left out of what is sent on.
    """

    __slots__ = (
        "_after_cr", "_counted", "_endpoint", "_held", "_hide", "_marks", "_size", "_stencil", "_strips", "_texts", "done", "failure", "finish", "model",
        "n_bytes", "usage",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, *, hide_usage: bool = False) -> None:
        self._endpoint = endpoint
        self._hide = hide_usage and endpoint == "chat"
        self._texts = _TEXTS[endpoint]
        self._marks = _MARKS[endpoint]
        self._stencil = Stencil()
        self._strips = False
        self._held: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._counted: dict[str, Any] = {}
        self.usage: Usage | None = None
        """What the upstream counted so far; None before it told."""
        self.finish = ""
        """`stop`, `length`, `tool_calls`, `content_filter`; empty before it was told."""
        self.model = ""
        """What the upstream says that answers, where an event of interest told it."""
        self.done = False
        """The end was said in so many words: a stream that ends before is cut."""
        self.failure: Failure | None = None
        """The error event that came, if one did."""
        self.n_bytes = 0
        """Bytes of output text so far, escapes included."""

    @property
    def n_output_estimate(self) -> int:
        """Estimated tokens of the output so far."""
        return tokens_of_bytes(self.n_bytes)

    def feed(self, piece: bytes) -> bytes:
        """What to send on now: the events that are whole, in most cases the very piece; empty while none is.

        Cost: about 0.5 µs a piece of one event that is like the ones before, 2 µs a piece of another without anything of
        interest.

        Raises:
            UpstreamBad: an event larger than `MAX_EVENT_BYTES`.
        """
        if not (self._held or self._after_cr):
            text = self._stencil.text(piece)
            if text is not None:
                self.n_bytes += len(text)
                return _without_null_usage(piece) if self._strips else piece
        if b"\r" in piece or self._after_cr:
            piece = self._in_lines(piece)
        whole = piece if not self._held and piece.endswith(b"\n\n") else self._whole(piece)
        if whole.find(b"\n\n") == len(whole) - 2:
            return self._look(whole)
        return b"".join([self._event(event + b"\n\n") for event in whole.split(b"\n\n")[:-1]])

    def _event(self, event: bytes) -> bytes:
        text = self._stencil.text(event)
        if text is None:
            return self._look(event)
        self.n_bytes += len(text)
        return _without_null_usage(event) if self._strips else event

    def end(self) -> bytes:
        """At the stream's end: the last event, where it said the end but lacks its blank line; else empty."""
        rest = b"".join(self._held).strip(b"\n")
        self._held = []
        over = self.done
        sent = self._look(rest + b"\n\n") if rest and not over else b""
        return sent if self.done else b""

    def _in_lines(self, piece: bytes) -> bytes:
        if self._after_cr and piece:
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        self._after_cr = self._after_cr or piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _whole(self, piece: bytes) -> bytes:
        self._held.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            raise UpstreamBad(
                f"The upstream sent an event of more than {MAX_EVENT_BYTES} bytes.",
                hint="Ask for a smaller answer, or for one that is not streamed.",
            )
        if b"\n" not in piece:
            return b""
        data = b"".join(self._held)
        cut = data.rfind(b"\n\n") + 2
        if cut == 1:
            self._held = [data]
            return b""
        self._held = [data[cut:]] if cut < len(data) else []
        self._size = len(data) - cut
        return data[:cut]

    def _look(self, whole: bytes) -> bytes:
        self._measure(whole)
        if b'_tokens"' in whole or b'"error"' in whole:
            return self._read(whole)
        if self._endpoint == "chat":
            if b"[DONE]" in whole or (
                whole.count(b'"finish_reason":null') != whole.count(b'"finish_reason"') and _ends(whole)
            ):
                return self._read(whole)
            self._learn(whole)
            # Only the members of an object have a comma before and a colon after an unescaped name: never content.
            return _without_null_usage(whole) if self._hide and b'"usage"' in whole else whole
        if self._endpoint == "messages" and b"message_stop" in whole:
            return self._read(whole)
        self._learn(whole)
        return whole

    def _learn(self, whole: bytes) -> None:
        """Events to come may be like this one, which says nothing but a text."""
        for mark in self._marks:
            if mark in whole and not any(key in whole for key in self._texts[1:]):
                self._stencil.learn(whole, mark)
                self._strips = self._hide and b'"usage"' in whole

    def _measure(self, whole: bytes) -> None:
        for key in self._texts:
            n_found = self._add(key, whole)
            # In a chat the first key is the usual one: once every delta had a text, the others are not searched for.
            if n_found and n_found == whole.count(b'"delta":'):
                break

    def _add(self, key: bytes, whole: bytes) -> int:
        """Count the strings after a key; how many of them were not empty."""
        n_found = 0
        at = whole.find(key)
        while at >= 0:
            at += len(key)
            if whole[at] == _SPACE:
                at += 1
            if whole[at] == _QUOTE:
                end = _end_of_string(whole, at + 1)
                n_found += end > at + 1
                self.n_bytes += end - at - 1
                at = end
            at = whole.find(key, at)
        return n_found

    def _read(self, whole: bytes) -> bytes:
        event = whole[:-2]
        sent = self._one(event)
        return whole if sent is event else sent and sent + b"\n\n"

    def _one(self, each: bytes) -> bytes:
        data = b"\n".join(line[5:].removeprefix(b" ") for line in each.split(b"\n") if line.startswith(b"data:"))
        if data.startswith(b"[DONE]"):
            self.done = self.done or self._endpoint == "chat"
            return each
        try:
            found = _event(data)
            if self._endpoint == "chat":
                return self._chat(found, data, each)
            if self._endpoint == "messages":
                self._message(found, data)
            else:
                self._response(found, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # no event of this dialect: it passes as it came, and tells nothing
        return each

    def _chat(self, found: _Event, data: bytes, each: bytes) -> bytes:
        if _is_there(found.error):
            self.failure = self.failure or openai_error(msgspec.json.decode(data))
        self.model = found.model or self.model
        for choice in found.choices or ():
            self.finish = self.finish or choice.finish_reason or ""
        if found.usage is not None:
            self.usage = openai_usage(found.usage) or self.usage
        if not self._hide or b'"usage"' not in data:
            return each
        if found.usage is not None and not found.choices:
            return b""
        members = _members(data)
        members.pop("usage", None)
        return b"data: " + msgspec.json.encode(members)

    def _message(self, found: _Event, data: bytes) -> None:
        if found.type == "message_start":
            message = _message(found.message)
            self.model = message.model or self.model
            self._count(message.usage)
        elif found.type == "message_delta":
            reason = _delta(found.delta).stop_reason
            if reason:
                self.finish = FINISHES.get(reason, "stop")
            self._count(found.usage)
        elif found.type == "message_stop":
            self.done = True
        elif found.type == "error":
            self.failure = self.failure or anthropic_error(msgspec.json.decode(data))

    def _count(self, usage: dict[str, Any] | None) -> None:
        self._counted |= {name: value for name, value in (usage or {}).items() if value is not None}
        self.usage = anthropic_usage(self._counted)

    def _response(self, found: _Event, data: bytes) -> None:
        if found.type in ("response.completed", "response.incomplete", "response.failed"):
            self.done = True
            told = answered(_response(found.response), "responses")
            self.usage = told.usage or self.usage
            self.finish = told.finish
            self.model = told.model or self.model
        if found.type == "response.failed":
            self.failure = self.failure or openai_error(msgspec.json.decode(found.response))
        elif found.type == "error":
            self.failure = self.failure or openai_error(msgspec.json.decode(data))


def _without_null_usage(whole: bytes) -> bytes:
    return whole.replace(b',"usage":null', b"").replace(b', "usage": null', b"")


def _ends(whole: bytes) -> bool:
    """Whether a choice may have come to its end, where spaces stand behind colons, as Python writes them."""
    n_null = whole.count(b'"finish_reason": null') + whole.count(b'"finish_reason":null')
    return n_null != whole.count(b'"finish_reason"')


def _is_there(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in (b"", b"null")


def _end_of_string(data: bytes, at: int) -> int:
    """Where the string that began before `at` ends: at its quotation mark, or with the data."""
    end = data.find(b'"', at)
    while end >= 0:
        slashes = end
        while data[slashes - 1] == _BACKSLASH:
            slashes -= 1
        if (end - slashes) % 2 == 0:
            return end
        end = data.find(b'"', end + 1)
    return len(data)
