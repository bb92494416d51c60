"""Follows a run to its end, wherever it is driven: what is told here at once, and what the journal says where nothing is heard.

Both the events over HTTP and chats with `agent:NAME` read it. Steps come once each and in order, with the numbers of the journal, so
whoever was cut off goes on behind the last that he has; pieces of text are told by the process that drives the run, and kept nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from perdure.core.clock import monotonic_s
from perdure.core.runs import RunRecord
from perdure.serve.runs.hearing import Listening
from perdure.serve.runs.protocols import RunEvent
from perdure.serve.runs.running import Runtime
from perdure.serve.runs.showing import shown_run, shown_step, shown_wait
from perdure.stores.runs.protocols import Told

_LOOK_S = 0.25
_LONGEST_LOOK_S = 5.0
"""Where nothing is heard of a run, the store is asked ever more seldom, down to this."""
BEAT_S = 15.0
"""Where nothing happens, whoever follows hears that nothing does."""


@dataclass(slots=True, eq=False)
class Following:
    """Follows one run; `let_go` from anywhere ends it soon.

    Args:
        runtime: of this process.
        run: its id.
        after: number of the last step that is known already; -1: none is.
        waits_s: a run that waits for a person is followed for so long.
    """

    runtime: Runtime
    run: str
    after: int = -1
    waits_s: float = 30.0
    last: RunRecord | None = None
    """As it was seen last; of one that was followed to its end, its end."""
    is_let_go: bool = False
    _waits: dict[str, bool] = field(default_factory=dict)
    _begun: bool = False
    _listening: Listening | None = None
    _look_s: float = _LOOK_S

    def let_go(self) -> None:
        """Follow it no more."""
        self.is_let_go = True
        if self._listening is not None:
            self._listening.end()

    async def events(self, listening: Listening | None = None) -> AsyncIterator[RunEvent | None]:
        """What it does, the end last; None where nothing happened for a while.

        It ends without an `end` where nothing more is to be waited for: the run waits for a person, or this was let go of.

        Args:
            listening: that was begun with the run; else it is listened to from now on.
        """
        waiting_s, beat_s = 0.0, monotonic_s()
        while not self.is_let_go:
            self._listening = listening or self.runtime.listen(self.run)
            listening = None
            try:
                for event in self._unseen(await self.runtime.get(self.run)):
                    beat_s = monotonic_s()
                    yield event
                if self.last is None or self.last.ended:
                    return
                waiting_s = (waiting_s or monotonic_s()) if self.last.status == "waiting" else 0.0
                if waiting_s and monotonic_s() - waiting_s >= self.waits_s:
                    return
                async for event in self._heard():
                    beat_s = monotonic_s()
                    yield event
            finally:
                self.runtime.leave(self.run, self._listening)
            if monotonic_s() - beat_s >= BEAT_S:
                beat_s = monotonic_s()
                yield None

    def _unseen(self, told: Told) -> list[RunEvent]:
        """What the store has and was not told yet."""
        self.last = told.run
        found = [] if self._begun else [RunEvent("begin", shown_run(told.run))]
        self._begun = True
        for step in told.steps:
            if step.n > self.after:
                self.after = step.n
                found.append(RunEvent("step", shown_step(step)))
        for wait in told.waits:
            if self._waits.get(wait.id) != (wait.answer is not None):
                self._waits[wait.id] = wait.answer is not None
                found.append(RunEvent("wait", shown_wait(wait)))
        if told.run.ended:
            found.append(RunEvent("end", shown_run(told.run)))
        self._look_s = _LOOK_S if found else min(self._look_s * 1.5, _LONGEST_LOOK_S)
        return found

    async def _heard(self) -> AsyncIterator[RunEvent]:
        """What is told here, until nothing is for a while, something was missed, or all of it was."""
        assert self._listening is not None
        while True:
            try:
                async with asyncio.timeout(self._look_s):
                    event = await anext(self._listening)
            except (TimeoutError, StopAsyncIteration):
                return
            if event.name == "step":
                n = int(event.data["n"])
                if n > self.after + 1:
                    return
                if n <= self.after:
                    continue
                self.after = n
            elif event.name == "wait":
                self._waits[str(event.data["id"])] = "answer" in event.data
            elif event.name in ("begin", "end"):
                continue  # the store says both, the end once it is durable
            yield event
