"""One connection to an upstream, which answers one request after another.

An asyncio Protocol on a plain or TLS transport of any loop (uvloop's in production), parsed by llhttp. Made by `pool.Pool`,
asked by `http.HttpClient`. What surprised us:

- llhttp is never told of the end of the stream by httptools, so a body that ends with its connection is recognised here.
- Bytes that nobody asked for would be taken for the answer to the next request: a connection that gets any is dropped.
- llhttp bounds neither a header nor a trailer nor the extension of a chunk: `HEAD_LIMIT` does, by counting bytes that
  bring no body.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

from perdure.core.errors import UpstreamBad, UpstreamCut, UpstreamError, UpstreamTimedOut
from perdure.serve.gateway.upstream.answer import UNREAD_LIMIT, Answer, Watch

HEAD_LIMIT = 64 * 1024
"""Bytes of a head, of trailers, or of a chunk's own line; more is no HTTP that anybody needs."""
_JOINED = 64 * 1024
"""A body up to this is copied behind its head: one call of the system instead of two."""


class Owner(Protocol):
    """Who a connection belongs to."""

    def release(self, connection: Connection) -> None:
        """It can be asked again."""
        ...

    def dropped(self, connection: Connection) -> None:
        """It is gone."""
        ...


class Connection(asyncio.Protocol):
    """One connection; `ask` it only while it is alive and not asked already.

    Args:
        loop: the running one.
        owner: told when it can be asked again, and when it is gone.
        name: host and port, for messages.
    """

    __slots__ = (
        "_answer",
        "_excess",
        "_interim",
        "_keep",
        "_loop",
        "_n_silent",
        "_name",
        "_owner",
        "_parser",
        "_paused",
        "_transport",
        "_watch",
        "alive",
        "heard",
        "idle_since",
        "n_asked",
        "owned",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, name: str) -> None:
        self.alive = True
        self.owned = False
        self.heard = False
        self.n_asked = 0
        self.idle_since: float | None = None
        self._loop = loop
        self._owner = owner
        self._name = name
        self._watch = Watch(loop, self._late)
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._n_silent = 0
        self._keep = self._excess = self._interim = self._paused = False

    def ask(self, head: bytes, body: bytes, idle_s: float) -> Answer:
        """Send a request; its answer is yet to begin."""
        transport = self._transport
        assert transport is not None, "a connection is asked after it was made"
        answer = self._answer = Answer(self, self._loop, idle_s)
        self.heard = self._excess = False
        self._n_silent = 0
        self.n_asked += 1
        if len(body) <= _JOINED:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return answer

    def shut(self) -> None:
        """Close at once, whatever is under way."""
        if self.alive:
            self.alive = False
            self._watch.off()
            self._parser = None  # it holds us, and we held it
            if self._transport is not None:
                self._transport.abort()
            if self.owned:
                self._owner.dropped(self)

    # Source of an answer.

    def expect(self, deadline: float) -> None:
        """Fail the answer unless it moved before `deadline`."""
        self._watch.until(deadline)

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abandon(self) -> None:
        """The rest is not wanted: only closing tells the upstream so."""
        self._answer = None
        self.shut()

    def _late(self) -> None:
        answer = self._answer
        if answer is not None and answer.awaited:
            what = "sent nothing more" if answer.status else "did not begin to answer"
            self._fail(UpstreamTimedOut(f"The upstream {self._name} {what} in time.", upstream=self._name))

    def _fail(self, error: UpstreamError) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(error)
        self.shut()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready, its TLS handshake done."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None:
            self.shut()
            return
        self.heard = True
        self._n_silent += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._excess = True
            if not answer.whole:
                self._bad(error)
                return
        if answer.whole:
            self._finish()
        elif self._n_silent > HEAD_LIMIT:
            self._bad(None)
        elif answer.n_unread:
            answer.wake()
            if answer.n_unread > UNREAD_LIMIT and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def eof_received(self) -> None:
        """The other side sends no more."""
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed."""
        self._ended(exc)

    def _ended(self, exc: Exception | None) -> None:
        answer = self._answer
        if answer is not None and self.alive:
            if exc is None and answer.status and _ends_with_connection(answer):
                self._answer = None
                answer.end()
            else:
                when = "before its answer was whole" if answer.status else "before it answered"
                self._fail(UpstreamCut(f"The upstream {self._name} cut the connection {when}.", upstream=self._name))
        self.shut()

    def _bad(self, error: Exception | None) -> None:
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        why = str(cause) if cause is not None else f"more than {HEAD_LIMIT} bytes without a body"
        self._fail(
            UpstreamBad(f"What the upstream {self._name} sent is not HTTP as read here: {why}.", upstream=self._name)
        )

    def _finish(self) -> None:
        self._answer = None
        transport = self._transport
        # A body that is still going out would stand before the next request.
        if self._keep and not self._excess and transport is not None and not transport.get_write_buffer_size():
            self._owner.release(self)
        else:
            self.shut()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A message begins: after a whole one, nobody asked for it."""
        if self._answer is None or self._answer.whole:
            self._excess = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is left out."""
        answer = self._answer
        if answer is None or answer.status or answer.whole:
            return
        name = name.lower()
        if name == b"content-encoding" and value.lower() != b"identity":
            raise ValueError("a compressed body, although none was asked for")
        answer.lines.append((name, value))

    def on_headers_complete(self) -> None:
        """A head is whole; one of an interim answer (1xx) says nothing."""
        answer, parser = self._answer, self._parser
        if answer is None or parser is None or answer.whole:
            return
        if self._n_silent > HEAD_LIMIT and sum([len(n) + len(v) for n, v in answer.lines]) > HEAD_LIMIT:
            raise ValueError(f"a head of more than {HEAD_LIMIT} bytes")
        status = parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim:
            if status == 101:
                raise ValueError("a switch to another protocol, although none was asked for")
            answer.lines.clear()
            return
        self._keep = parser.should_keep_alive()
        self._n_silent = 0
        answer.begin(status)

    def on_body(self, data: bytes) -> None:
        """Some of the body."""
        answer = self._answer
        if answer is not None and not answer.whole:
            self._n_silent = 0
            answer.push(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._interim:
            self._interim = False
        elif self._answer is not None:
            self._answer.end()


def _ends_with_connection(answer: Answer) -> bool:
    headers = dict(answer.headers)
    coding = headers.get(b"transfer-encoding", b"").lower()
    return b"content-length" not in headers and not coding.rstrip().endswith(b"chunked")
