"""Serves an application of somebody else's over HTTP, in a thread with an event loop of its own.

The console is served so, beside the data plane and apart from it. uvicorn is imported in `serve` alone.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Literal

import uvicorn

from perdure.core.errors import NotReady

_GRACE_S = 3
_IDLE_S = 75  # longer than what browsers and proxies commonly keep a connection
_BACKLOG = 2048


class Hosted:
    """One server; it can be started once.

    Args:
        app: ASGI; its lifespan is not run.
        host: address to bind.
        port: 0 takes a free one.
        name: section of the settings that says so, for errors, and the thread's name.
        ending: called first when it stops, in the server's loop, so that whoever follows a stream lets go.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        host: str,
        port: int,
        name: str,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._port = port
        self._name = name
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._uvicorn = _Ending(configured(app, lifespan="off", grace_s=_GRACE_S), ending)

    def start(self) -> str:
        """Serve in a thread; returns the URL when requests are answered.

        Raises:
            NotReady: the address is taken, or the server did not start.
        """
        self._socket = bind(self._host, self._port, self._name)
        self._thread = started(self._uvicorn, self._run, self._name)
        return address_of(self._host, self._socket)

    def stop(self) -> None:
        """Answer what is under way, for 3 seconds at most; nothing happens when it never ran."""
        self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        assert self._socket is not None
        self._uvicorn.run(sockets=[self._socket])


class _Ending(uvicorn.Server):
    """Tells the application that it ends before uvicorn waits for what is open."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)


def configured(
    app: Callable[..., Awaitable[None]], *, lifespan: Literal["on", "off"], grace_s: int, dated: bool = True
) -> uvicorn.Config:
    """How every server here speaks HTTP.

    Args:
        app: ASGI.
        lifespan: whether its start and end are told to it.
        grace_s: what a stop waits for answers under way, in seconds.
        dated: whether answers carry the header `date`.
    """
    return uvicorn.Config(
        app,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http="httptools",
        ws="none",
        lifespan=lifespan,
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=dated,
        timeout_graceful_shutdown=grace_s,
        timeout_keep_alive=_IDLE_S,
        backlog=_BACKLOG,
    )


def started(server: uvicorn.Server, run: Callable[[], None], name: str) -> threading.Thread:
    """A thread that runs a server, once requests are answered.

    Raises:
        NotReady: the server did not start.
    """
    thread = threading.Thread(target=run, name=f"perdure-{name}", daemon=True)
    thread.start()
    waited = threading.Event()
    while not server.started:
        if not thread.is_alive():
            raise NotReady(f"The server of [{name}] ended while it started.", hint="Its log says why.")
        waited.wait(0.005)
    return thread


def bind(host: str, port: int, section: str) -> socket.socket:
    """The port, taken: whoever connects waits until a server runs on it.

    Args:
        host: an address or a name.
        port: 0 takes a free one.
        section: of the settings that names them.

    Raises:
        NotReady: the address is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise NotReady(
            f"{host}:{port} cannot be bound: {error.strerror}.",
            hint=f"Choose another [{section}] port, or 0 for a free one.",
        ) from error
    return bound


def address_of(host: str, bound: socket.socket) -> str:
    """Where a socket of `bind` is reached."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}"
