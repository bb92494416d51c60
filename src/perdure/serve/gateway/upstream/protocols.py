"""What the gateway asks of a client of upstreams: send one request, and read its answer piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Answering(Protocol):
    """An answer whose head has come. Read to its end, or closed: else its connection is lost to others."""

    status: int
    headers: HeaderPairs
    """Names in lower case."""
    idle_s: float
    """Longest wait for each piece; its reader may shorten it as a deadline comes near."""

    async def read(self, max_bytes: int) -> bytes:
        """The whole rest of the body.

        Raises:
            UpstreamCut: it ended before it was whole.
            UpstreamTimedOut: a piece did not come in time.
            UpstreamBad: more than `max_bytes`, or no HTTP.
        """
        ...

    async def piece(self) -> bytes:
        """The next piece as it comes, at least one byte; empty at the end of a whole body.

        Raises: as `read`.
        """
        ...

    def close(self) -> None:
        """Let go: a connection with an unread rest is closed, and so the upstream sees the cancel at once."""
        ...


class Client(Protocol):
    """Sends requests to one upstream; used by the serving thread's loop only."""

    async def send(self, path: str, headers: HeaderPairs, body: bytes, *, first_s: float, idle_s: float) -> Answering:
        """POST a body; returns when the answer's head has come.

        Nothing is retried once a byte of it was sent on a fresh connection; a kept connection that the other side had
        closed already is replaced once.

        Args:
            path: as it goes out, with the upstream's own prefix already before it.
            headers: beside host, content length and connection.
            body: as it goes out.
            first_s: longest wait for the head, connecting and queueing for a connection included.
            idle_s: longest wait for each piece after it.

        Raises:
            UpstreamTimedOut: no head in time.
            UpstreamCut: the connection broke before the head was whole.
            UpstreamBad: what came is no HTTP.
            UpstreamError: no connection could be made.
            BadRequest: the path or a header holds what would end its line.
        """
        ...

    async def close(self) -> None:
        """Close kept connections."""
        ...
