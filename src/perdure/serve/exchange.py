"""One request to an ASGI app of this process, and its answer: no port, no client, the app's own rules.

Answers over an index ask a route so, and so do evals that ask models without a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Asgi = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True, eq=False)
class Exchange:
    """A request and what was answered to it, as ASGI passes them."""

    request: bytes
    status: int = 0
    headers: Headers = ()
    parts: list[bytes] = field(default_factory=list)
    _told: bool = False

    @property
    def body(self) -> bytes:
        """What was answered, whole."""
        return b"".join(self.parts)

    async def receive(self) -> dict[str, Any]:
        """The request, once; then nothing, for who hangs up cancels the task that asks."""
        if self._told:
            await asyncio.get_running_loop().create_future()
        self._told = True
        return {"type": "http.request", "body": self.request, "more_body": False}

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message.get("headers", ())
        else:
            self.parts.append(message.get("body", b""))


async def post(app: Asgi, path: str, headers: Headers, body: bytes) -> Exchange:
    """What an app answers to a POST; raises what the app does. Cancelling it hangs up."""
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    exchange = Exchange(body)
    await app(scope, exchange.receive, exchange.send)
    return exchange
