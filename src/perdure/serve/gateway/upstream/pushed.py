"""Answers that are made in this process, as OpenAI's chat completions would be on the wire.

`local` and `any_llm` push into these what a server would have sent: JSON, or server-sent events that end in `[DONE]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from perdure.core.errors import UpstreamError, UpstreamTimedOut
from perdure.serve.gateway.upstream.answer import UNREAD_LIMIT, Answer, Watch

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")
DONE = b"data: [DONE]\n\n"
COMPLETIONS = "/chat/completions"
_object = msgspec.json.Decoder(dict[str, Any])


class Refusal(Exception):
    """The request is answered with an error, as a server would: a status and OpenAI's error object."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> bytes:
        """OpenAI's error object."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": str(self), "type": kind, "param": None, "code": self.code or None}
        return msgspec.json.encode({"error": error})


def chat_request(path: str, body: bytes) -> dict[str, Any]:
    """The request in a body, without the members that are null.

    Raises:
        Refusal: another path, or no JSON object with messages.
    """
    if path != COMPLETIONS:
        raise Refusal(404, f"Only {COMPLETIONS} is answered here, not {path}.", "unknown_url")
    try:
        request = {name: value for name, value in _object.decode(body).items() if value is not None}
    except msgspec.MsgspecError as error:
        raise Refusal(400, "The body is no JSON object.") from error
    if not isinstance(request.get("messages"), list) or not request["messages"]:
        raise Refusal(400, "The request has no list of messages.")
    return request


def event(data: bytes) -> bytes:
    """One server-sent event of a line of JSON."""
    return b"data: " + data + b"\n\n"


class Pushed:
    """An answer and its deadlines, fed on its own loop.

    Args:
        name: of the upstream, for messages.
        idle_s: longest wait for each piece.
        stop: called once when nobody waits for more.
    """

    __slots__ = ("_has_room", "_name", "_stop", "_watch", "answer")

    def __init__(self, name: str, idle_s: float, stop: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.answer = Answer(self, loop, idle_s)
        self._name = name
        self._stop = stop
        self._watch = Watch(loop, self._late)
        self._has_room = asyncio.Event()

    def expect(self, deadline: float) -> None:
        """Fail the answer unless it moved before `deadline`."""
        self._watch.until(deadline)

    def resume(self) -> None:
        """What had come was read."""
        self._has_room.set()

    def abandon(self) -> None:
        """Nobody reads the rest."""
        self._watch.off()
        self._has_room.set()
        self._stop()

    async def room(self) -> None:
        """Wait until the reader has read what is too much to hold."""
        while self.answer.n_unread > UNREAD_LIMIT and not self._has_room.is_set():
            await self._has_room.wait()
        self._has_room.clear()

    def begin(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        """The head."""
        self.answer.lines.extend(headers)
        self.answer.begin(status)

    def push(self, data: bytes) -> None:
        """Some of the body."""
        self.answer.push(data)
        self.answer.wake()

    def end(self) -> None:
        """The body is whole."""
        self._watch.off()
        self.answer.end()

    def whole(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        """A whole answer of JSON."""
        self.begin(status, JSON, *headers)
        self.push(body)
        self.end()

    def refuse(self, refusal: Refusal) -> None:
        """A whole answer that is an error."""
        self.whole(refusal.status, refusal.body, *refusal.headers.items())

    def fail(self, error: UpstreamError) -> None:
        """The answer is cut."""
        self._watch.off()
        self.answer.fail(error)

    def _late(self) -> None:
        if self.answer.awaited:
            what = "sent nothing more" if self.answer.status else "did not begin to answer"
            self.fail(UpstreamTimedOut(f"The upstream {self._name} {what} in time.", upstream=self._name))
            self._stop()
