"""What every answer of the console carries, and which requests get none: another host's name, a method that nothing answers.

The outermost layer of the application, so that errors and static files go through it too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from perdure.core.clock import cpu_s, monotonic_s
from perdure.surface.console.auth.calling import host_known

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of contents: nothing from elsewhere, no script and no style within a page (W3C, Content Security Policy Level 3)."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
METHODS = ("GET", "HEAD", "POST")


class Guarded:
    """Adds the headers, tells how long the server took, and refuses names and methods that are not the console's.

    Args:
        app: what answers.
        settings: which names browsers may ask for.
    """

    def __init__(self, app: App, settings: ConsoleSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything but HTTP goes on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, began_cpu_s = monotonic_s(), cpu_s()

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                took = (1000 * (monotonic_s() - began_s), 1000 * (cpu_s() - began_cpu_s))
                message["headers"] = [*_with_ours(message.get("headers", [])), _timing(*took)]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not host_known(hosts[0], self._settings):
            await _plain(sent, 421, "This console is not known by that name: add it to [console] hosts.")
        elif scope["method"] not in METHODS:
            await _plain(sent, 405, "Only GET, HEAD and POST are answered here.", ((b"allow", b"GET, HEAD, POST"),))
        elif scope["method"] == "HEAD":
            # Asked as GET, so that no route needs to know; a server of HTTP sends no body for it.
            await self._app({**scope, "method": "GET"}, receive, sent)
        else:
            await self._app(scope, receive, sent)


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's own headers win: static files may be kept, a drawing has a policy of its own."""
    there = {name.lower() for name, _ in headers}
    ours = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
    return [*headers, *ours]


def _timing(took_ms: float, cpu_ms: float) -> tuple[bytes, bytes]:
    """Shown by browsers' tools; the processor's time is of the whole process."""
    return b"server-timing", f"app;dur={took_ms:.1f}, cpu;dur={cpu_ms:.1f}".encode()


async def _plain(send: Send, status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": text.encode()})
