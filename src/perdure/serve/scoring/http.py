"""The little HTTP that scoring needs on bare ASGI: a request's head, its body with a limit, answers.

Nothing here knows models. Errors go out as `{"error": {code, message, hint, facts}}` with the status
of their family in `core.errors`; a temporary one carries `Retry-After`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from perdure.core.errors import (
    BadRequest,
    PerdureError,
    Temporary,
    TooLarge,
    TooSlow,
    UnsupportedMedia,
    WrongMethod,
    nearest,
)
from perdure.core.ids import new_id
from perdure.serve.waits import Waits

log = logging.getLogger("perdure.serve")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HeaderPairs = Sequence[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_CHARSETS = ("utf-8", "utf8", "us-ascii")


class ClientGone(Exception):
    """The client hung up before its request was whole: there is nobody to answer."""


class Reply(msgspec.Struct, frozen=True):
    """One answer: status, body and headers beside content type and length."""

    status: int
    body: bytes
    headers: HeaderPairs = (_JSON,)


def json_reply(status: int, value: Any) -> Reply:
    """`value` as a JSON answer."""
    return Reply(status, msgspec.json.encode(value))


def error_reply(error: PerdureError) -> Reply:
    """An error as it goes to a client."""
    headers: list[tuple[bytes, bytes]] = [_JSON]
    if isinstance(error, Temporary):
        headers.append((b"retry-after", str(max(1, math.ceil(error.delay_s))).encode()))
    if isinstance(error, WrongMethod):
        headers.append((b"allow", ", ".join(error.facts["allowed"]).encode()))
    return Reply(error.status, msgspec.json.encode({"error": error.as_dict()}, enc_hook=str), headers)


def failure_reply(error: Exception, asked: str) -> Reply:
    """The answer to an error; one that nobody meant to raise is logged, and goes by an id only.

    Args:
        error: what the work raised.
        asked: of what kind the request was, as the log says it: "A request to an index".
    """
    if isinstance(error, RecursionError):
        return error_reply(BadRequest("The request is nested too deeply.", hint="Send a flatter one."))
    if isinstance(error, PerdureError):
        return error_reply(error)
    error_id = new_id("err")
    log.error("%s failed (%s).", asked, error_id, exc_info=error)
    told = PerdureError("The request failed by a defect of the server.", hint=f"Its log has {error_id}.")
    return error_reply(told)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(reply.body)).encode())
    await send({"type": "http.response.start", "status": reply.status, "headers": [length, *reply.headers]})
    await send({"type": "http.response.body", "body": reply.body})


def check_method(scope: Scope, *allowed: str) -> None:
    """Refuse other methods; HEAD goes where GET does.

    Raises:
        WrongMethod: the path does not answer it.
    """
    if scope["method"] not in allowed and not (scope["method"] == "HEAD" and "GET" in allowed):
        raise WrongMethod(
            f"{scope['path'][:200]} does not answer {scope['method']}.",
            hint=f"Use {' or '.join(allowed)}.",
            allowed=list(allowed),
        )


def check_media(headers: dict[bytes, bytes]) -> None:
    """Refuse bodies that are not plain UTF-8 JSON; a request without a content type is taken as JSON.

    Raises:
        UnsupportedMedia: another content type, charset or content encoding.
    """
    kind = headers.get(b"content-type")
    if kind is not None and kind != b"application/json":
        _check_content_type(kind.decode("latin-1"))
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise UnsupportedMedia(
            f"The body is encoded as {encoding.decode('latin-1')!r}, which is not read here.",
            hint="Send it uncompressed.",
        )


def _check_content_type(text: str) -> None:
    kind, *params = [part.strip() for part in text.split(";")]
    if kind.lower() != "application/json":
        raise UnsupportedMedia(
            f"The content type is {text!r}, but only JSON is read here.",
            hint="Send the header content-type: application/json.",
        )
    for param in params:
        name, _, value = param.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _CHARSETS:
            raise UnsupportedMedia(f"The charset is {value.strip()!r}, but JSON is read as UTF-8.", hint="Send UTF-8.")


class _Coming:
    """A body on its way; when it is late the task that reads it is cancelled."""

    __slots__ = ("_task", "began_s", "is_late", "is_over")

    def __init__(self, slow: Waits) -> None:
        self.began_s = 0.0
        self.is_over = self.is_late = False
        self._task = asyncio.current_task(slow.add(self))

    def late(self) -> None:
        """It is not whole, and its time is over."""
        if self._task is not None:
            self.is_late = True
            self._task.cancel()

    def taken(self) -> bool:
        """Whether a cancellation came from here; takes it back."""
        if self.is_late and self._task is not None:
            self._task.uncancel()
        return self.is_late


async def read_body_within(headers: dict[bytes, bytes], receive: Receive, max_bytes: int, slow: Waits) -> bytes:
    """The whole body, as long as it may take. Cost: 1 µs beside the reading.

    Raises:
        TooSlow: it was not whole in time, however steadily it came.
        TooLarge, ClientGone: as `read_body`.
    """
    coming = _Coming(slow)
    try:
        return await read_body(headers, receive, max_bytes)
    except asyncio.CancelledError:
        if not coming.taken():
            raise
        raise TooSlow(
            f"The body was not whole after {slow.after_s:g} s.", hint="Send it faster, or raise [gateway] body_seconds."
        ) from None
    finally:
        coming.is_over = True


async def read_body(headers: dict[bytes, bytes], receive: Receive, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: more than `max_bytes`, told by the content length or seen while reading.
        ClientGone: the client hung up.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(int(declared), max_bytes)
    message = await receive()
    parts: list[bytes] = []
    n_bytes = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        n_bytes += len(part)
        if n_bytes > max_bytes:
            raise _too_large(n_bytes, max_bytes)
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)
        message = await receive()


def _too_large(n_bytes: int, max_bytes: int) -> TooLarge:
    return TooLarge(
        f"The body has {n_bytes} bytes or more; {max_bytes} are allowed.",
        hint="Send fewer rows a request, or raise [serve] max_body_bytes.",
        n_bytes=n_bytes,
        max_bytes=max_bytes,
    )


def query_flag(query: bytes, name: str) -> bool:
    """The one boolean parameter that a path knows, False when absent.

    >>> query_flag(b"explain=true", "explain")
    True

    Raises:
        BadRequest: another parameter, or a value that is neither true nor false.
    """
    flag = False
    for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if key != name:
            near = nearest(key, [name])
            raise BadRequest(
                f"The query has the unknown parameter {key!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Known: {name}.",
            )
        truth = {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
        if truth is None:
            raise BadRequest(f"The query has {key}={value!r}, but it must be true or false.")
        flag = truth
    return flag
