"""The client of upstreams over HTTP/1.1 on raw asyncio: what a call costs here is what a call costs.

Made by `making.make_client`, one for each upstream, used by the serving thread's loop only. There is no task, no queue and
no timer of its own to a request: a kept connection is taken, the request written, and one future awaited.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from perdure.core.clock import monotonic_s
from perdure.core.errors import BadRoute, UpstreamCut, UpstreamError, UpstreamTimedOut
from perdure.serve.gateway.upstream.answer import Answer
from perdure.serve.gateway.upstream.connection import Connection
from perdure.serve.gateway.upstream.pool import Pool
from perdure.serve.gateway.upstream.protocols import HeaderPairs
from perdure.serve.gateway.upstream.request import RequestHead, port_of
from perdure.serve.gateway.upstream.tls import tls_context


class HttpClient:
    """Calls one upstream over HTTP/1.1, with or without TLS; implements `protocols.Client`.

    Args:
        url: its address; only scheme, host and port are used, since the path comes with each request.
        max_connections: at most so many at once; further requests wait for one, within their `first_s`.
        tls: whom to trust; None: what this machine trusts.
        clock: seconds of a clock that never goes back, for the rest of kept connections.
        headers: sent with each request.
        name: what errors call it, which go to clients that are not to learn its address; empty: host and port.

    Raises:
        BadRoute: `url` has no legal host and port, or one of `headers` cannot be sent.
    """

    def __init__(
        self,
        url: str,
        *,
        max_connections: int = 512,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = monotonic_s,
        headers: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        parts = urlsplit(url)
        try:
            self._port = port_of(parts)
            self._head = RequestHead(parts, headers or {})
        except BadRoute:
            raise
        except ValueError as error:
            raise BadRoute(f"The address {url!r} has no legal host and port.", hint="Check its spelling.") from error
        self._host = parts.hostname or ""
        self._name = name or f"{self._host}:{self._port}"
        self._tls = (tls or tls_context()) if parts.scheme == "https" else None
        self._pool = Pool(self._open, max_connections, clock)

    @property
    def n_open(self) -> int:
        """Connections open or being opened."""
        return self._pool.n_open

    @property
    def n_idle(self) -> int:
        """Connections kept for the next request."""
        return self._pool.n_idle

    @property
    def n_waiting(self) -> int:
        """Requests that wait for a connection: the upstream is saturated."""
        return self._pool.n_waiting

    async def send(self, path: str, headers: HeaderPairs, body: bytes, *, first_s: float, idle_s: float) -> Answer:
        """POST a body; see `protocols.Client.send`.

        Raises:
            UpstreamError: no answer; the leaf says why.
            BadRequest: the path or a header cannot be sent as it is.
        """
        head = self._head.write(path, headers, len(body))
        deadline = asyncio.get_running_loop().time() + first_s
        connection = self._pool.kept()
        may_retry = True
        while True:
            if connection is None:
                connection = await self._connection(deadline)
            reused = connection.n_asked > 0
            answer = connection.ask(head, body, idle_s)
            try:
                await answer.begun(deadline)
            except UpstreamCut:
                # Kept open by us, closed by them: it never reached anybody who answered a byte.
                if not (reused and may_retry) or connection.heard:
                    raise
            else:
                return answer
            may_retry = False
            connection = None
            self._pool.make_room()

    async def close(self) -> None:
        """Close kept connections; those in use follow when their answers are whole."""
        self._pool.close()
        await asyncio.sleep(0)  # transports close on the loop's next turn

    async def _connection(self, deadline: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._pool.take()
        except UpstreamError:
            raise
        except TimeoutError as error:
            raise UpstreamTimedOut(
                f"There was no connection to the upstream {self._name} in time.",
                hint="Raise max_connections where the upstream is sound but busy.",
                upstream=self._name,
            ) from error
        except ssl.SSLError as error:
            raise UpstreamError(
                f"The upstream {self._name} is not trusted or speaks no TLS: {error.reason or type(error).__name__}.",
                hint="Give the file of its certificate authority, or check the address.",
                upstream=self._name,
            ) from error
        except OSError as error:
            raise UpstreamError(
                f"The upstream {self._name} cannot be reached: {error.strerror or type(error).__name__}.",
                hint="Check that it runs, and its address.",
                upstream=self._name,
            ) from error

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(loop, self._pool, self._name),
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=self._host if self._tls is not None else None,
        )
        return connection
