"""Who listens to a run: bounded queues, so that a slow listener loses events and never holds up a run."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from perdure.serve.runs.protocols import RunEvent

_MOST = 1000
"""Events that wait for one listener."""


class Listening:
    """One listener of one run in this process: `async for event in listening`. It ends when the run is over, waits, or goes elsewhere.

    What was lost because nobody took it is told by `n_lost`: steps can be read again from the journal, pieces of text cannot.
    """

    def __init__(self) -> None:
        self.n_lost = 0
        self._queue: asyncio.Queue[RunEvent | None] = asyncio.Queue(_MOST + 1)
        self._over = False

    def __aiter__(self) -> Listening:
        return self

    async def __anext__(self) -> RunEvent:
        """The next event; waits for it."""
        event = None if self._over and self._queue.empty() else await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def hear(self, event: RunEvent) -> None:
        """An event, where there is room for it."""
        if self._over or self._queue.qsize() >= _MOST:
            self.n_lost += 1
        else:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """Nothing comes after what waits now."""
        if not self._over:
            self._over = True
            self._queue.put_nowait(None)


class Heard:
    """Tells the events of one run; false while nobody listens, so that nothing is made to be told to nobody."""

    __slots__ = ("_hearers", "_run")

    def __init__(self, hearers: Hearers, run: str) -> None:
        self._hearers = hearers
        self._run = run

    def __bool__(self) -> bool:
        return self._hearers.hears(self._run)

    def __call__(self, event: RunEvent) -> None:
        """To all listeners, at once."""
        self._hearers.tell(self._run, event)


class Hearers:
    """All listeners of this process, by run."""

    def __init__(self) -> None:
        self._by_run: dict[str, list[Listening]] = defaultdict(list)

    def listen(self, run: str) -> Listening:
        """Hear a run from now on; `leave` when done."""
        listening = Listening()
        self._by_run[run].append(listening)
        return listening

    def leave(self, run: str, listening: Listening) -> None:
        """Hear it no more."""
        listening.end()
        mine = self._by_run.get(run, [])
        if listening in mine:
            mine.remove(listening)
        if not mine:
            self._by_run.pop(run, None)

    def hears(self, run: str) -> bool:
        """Whether anybody listens."""
        return run in self._by_run

    def tell(self, run: str, event: RunEvent) -> None:
        """To all of its listeners, at once. Never waits."""
        for listening in self._by_run.get(run, ()):
            listening.hear(event)

    def end(self, run: str) -> None:
        """No more of a run comes in this process."""
        for listening in self._by_run.pop(run, []):
            listening.end()
