"""What the tests of tools share: the run that calls them, and a server's application that is up within the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from perdure.core.runs import RunRecord


def desk_run(input_: bytes = b"{}", **given: Any) -> RunRecord:
    """A run of the agent `desk` that goes on."""
    return RunRecord(
        id="run_1",
        kind="agent",
        asset="desk",
        version="desk@1",
        arm="champion",
        status="running",
        input=input_,
        **given,
    )


@asynccontextmanager
async def app_up(app: Any) -> AsyncIterator[None]:
    """The application between its startup and its shutdown."""
    waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    up = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"].endswith("startup.complete"):
            up.set()

    lifespan = asyncio.ensure_future(app({"type": "lifespan"}, waiting.get, send))
    await waiting.put({"type": "lifespan.startup"})
    await up.wait()
    try:
        yield
    finally:
        await waiting.put({"type": "lifespan.shutdown"})
        await lifespan


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is true."""
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")
