"""One session with a server that speaks the Model Context Protocol: opened when first needed, opened again when it broke.

All of a session happens in one task of its own, for the library's scopes have to be entered and left by the same task; callers hand it
requests. One session a process and server: tools of all runs share it, and each call has its own time. The library is imported here only.

What surprised us: a server that never answers the handshake is waited for without end, and one that crashed fails every later call of its
session; errors that leave a session come in groups.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from perdure.core.canonical import content_hash
from perdure.core.clock import monotonic_s
from perdure.core.errors import MissingExtra, UpstreamError, UpstreamTimedOut
from perdure.serve.boundary import contained_async

if TYPE_CHECKING:
    from mcp import Client

log = logging.getLogger("perdure.serve")
Json = dict[str, Any]

_OPENS_S = 20.0
_MOST_TOOLS = 500
_KNOWN_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is reached: a program, or an address."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class McpGave:
    """What a call gave."""

    texts: Sequence[str]
    structured: Any
    is_error: bool
    n_other: int
    """Parts that are no text: pictures, sounds, files."""


@dataclass(slots=True, eq=False)
class _Request:
    work: Callable[[Client], Awaitable[Any]]
    done: asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class Session:
    """A session that lives as long as it can; used on one event loop."""

    server: Server
    opens_s: float = _OPENS_S
    n_opened: int = 0
    """How often it was opened."""
    _known: Mapping[str, str] | None = None
    _known_s: float = 0.0
    _requests: asyncio.Queue[_Request | None] | None = None
    _task: asyncio.Task[None] | None = None
    _broken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as soon as a call finds the other side gone: the session of that moment takes no more."""
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tools(self) -> list[Json]:
        """What the server offers now: `name`, `description`, `schema`.

        Raises:
            UpstreamError: it cannot be reached, or broke.
        """
        found: list[Json] = []
        cursor = None
        while len(found) < _MOST_TOOLS:
            listed = await self._ask(partial(_list_tools, cursor), self.opens_s)
            found += [
                {"name": each.name, "description": each.description or "", "schema": each.input_schema}
                for each in listed.tools
            ]
            cursor = listed.next_cursor
            if not cursor:
                break
        self._known = {each["name"]: digest_of_offer(each) for each in found}
        self._known_s = monotonic_s()
        return found[:_MOST_TOOLS]

    async def known(self) -> Mapping[str, str]:
        """Name → digest of what each tool says of itself: looked up when the session opens, and again once a minute.

        Raises:
            UpstreamError: as `tools`.
        """
        await self._open()
        if self._known is None or monotonic_s() - self._known_s > _KNOWN_FOR_S:
            await self.tools()
        assert self._known is not None
        return self._known

    async def call(self, name: str, arguments: Json, seconds: float) -> McpGave:
        """Call one of its tools.

        Raises:
            UpstreamTimedOut: it gave nothing in time; the session goes on.
            UpstreamError: it cannot be reached, or broke; the next call opens it again.
        """
        gave = await self._ask(lambda client: client.call_tool(name, arguments, read_timeout_seconds=seconds), seconds)
        texts = [part.text for part in gave.content if part.type == "text"]
        return McpGave(texts, gave.structured_content, bool(gave.is_error), len(gave.content) - len(texts))

    async def close(self) -> None:
        """End it, and the program behind it."""
        task, requests = self._task, self._requests
        if task is None or requests is None:
            return
        await requests.put(None)
        await asyncio.wait((task,), timeout=5.0)
        task.cancel()

    async def _ask(self, work: Callable[[Client], Awaitable[Any]], seconds: float) -> Any:
        requests = await self._open()
        request = _Request(work, asyncio.get_running_loop().create_future())
        await requests.put(request)
        try:
            async with asyncio.timeout(seconds + 1.0):
                found = await request.done
        except TimeoutError as error:
            raise UpstreamTimedOut(f"The MCP server {self.server.name} gave nothing in time.") from error
        if isinstance(found, BaseException):
            raise _told(self.server.name, found) from found
        return found

    async def _open(self) -> asyncio.Queue[_Request | None]:
        async with self._opening:
            alive = self._task is not None and not self._task.done() and not self._broken.is_set()
            if alive and self._requests is not None:
                return self._requests
            requests: asyncio.Queue[_Request | None] = asyncio.Queue()
            opened: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
            self._requests, self._known, self._broken = requests, None, asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._live(requests, opened))
            failed = await asyncio.shield(opened)
            if failed is not None:
                raise _told(self.server.name, failed) from failed
            self.n_opened += 1
            return requests

    async def _live(
        self, requests: asyncio.Queue[_Request | None], opened: asyncio.Future[BaseException | None]
    ) -> None:
        """The whole life of one session, in one task."""
        under_way: set[asyncio.Task[None]] = set()
        broken = self._broken

        async def lived() -> None:
            client = _client(self.server)
            async with asyncio.timeout(self.opens_s) as opening, client:
                opening.reschedule(None)
                opened.set_result(None)
                while not broken.is_set():
                    request = await requests.get()
                    if request is None:
                        break
                    task = asyncio.get_running_loop().create_task(_done(client, request, broken, requests))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)

        async def failed(error: Exception) -> None:
            if not opened.done():
                opened.set_result(error)
            else:
                log.info("The session with the MCP server %s ended (%s).", self.server.name, type(error).__name__)

        try:
            await contained_async(lived, failed)
        finally:
            for task in tuple(under_way):
                task.cancel()
            _refuse_rest(requests)
            if not opened.done():
                opened.set_result(UpstreamError("The session was ended while it was opened."))


async def _done(
    client: Client, request: _Request, broken: asyncio.Event, requests: asyncio.Queue[_Request | None]
) -> None:
    """One request; a session whose other side is gone takes no more."""

    async def failed(error: Exception) -> BaseException:
        return error

    found = await contained_async(lambda: request.work(client), failed)
    if isinstance(found, BaseException) and _is_closed(found):
        broken.set()
        await requests.put(None)
    if not request.done.done():
        request.done.set_result(found)


def _list_tools(cursor: str | None, client: Client) -> Awaitable[Any]:
    return client.list_tools(cursor=cursor, cache_mode="bypass")


def _refuse_rest(requests: asyncio.Queue[_Request | None]) -> None:
    while not requests.empty():
        request = requests.get_nowait()
        if request is not None and not request.done.done():
            request.done.set_result(UpstreamError("The session ended before this was asked."))


def _client(server: Server) -> Client:
    from mcp import Client, StdioServerParameters

    if server.url:
        return Client(server.url)
    program, *arguments = server.command
    return Client(StdioServerParameters(command=program, args=arguments, env=dict(server.env) or None))


def _is_closed(error: BaseException) -> bool:
    from mcp import MCPError

    if isinstance(error, MCPError):
        return getattr(error, "code", None) == -32000 or getattr(getattr(error, "error", None), "code", None) == -32000
    return type(error).__name__ in ("ClosedResourceError", "BrokenResourceError")


def _told(name: str, error: BaseException) -> UpstreamError:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return UpstreamTimedOut(f"The MCP server {name} gave nothing in time.")
    return UpstreamError(
        f"The MCP server {name} cannot be reached, or broke: {type(error).__name__}.", hint="Check that it runs."
    )


def digest_of_offer(told: Mapping[str, Any]) -> str:
    """Of what a tool says of itself: its name, its description and its schema."""
    return content_hash({"name": told["name"], "description": told["description"], "schema": told["schema"]})


def server_of(name: str, command: Sequence[str], url: str, names: Sequence[str], env: Mapping[str, str]) -> Server:
    """How a declared server is reached: its program gets the named variables of the environment and no others.

    Raises:
        MissingExtra: the extra `mcp` is not installed.
    """
    if find_spec("mcp") is None:
        raise MissingExtra("mcp", needed_for=f"The MCP server {name!r}")
    return Server(name, tuple(command), url, tuple((each, env[each]) for each in names if each in env))
