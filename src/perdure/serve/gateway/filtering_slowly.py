"""Slow guards of a streamed answer: each looks in a thread at what the guards before it let pass; the stream waits for it.

A slow guard has a stage of its own behind the fast ones: what came is given to its filters in a thread, and goes on once they
have looked. Other calls go on meanwhile. A guard that is not done within its `wait_ms` has failed: one that fails closed ends
the stream, one that fails open is asked no more, and what it held goes out as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from perdure.core.clock import monotonic_s
from perdure.engines.guards.protocols import Filter, Verdict
from perdure.serve.gateway.filtering import Filtering
from perdure.serve.gateway.guarding import NOT_IN_TIME, Armed, Guarding

Json = dict[str, Any]


def filters_of(guarding: Guarding) -> tuple[Filtering, SlowFiltering | None]:
    """The filters of one stream: the fast guards', and behind them the slow ones', where there are any."""
    guards = guarding.of_output()
    if not any(each.guard.slow for each in guards):
        return Filtering(guarding, guards), None
    fast = [each for each in guards if not each.guard.slow]
    return Filtering(guarding, fast, restore={}), SlowFiltering(guarding, [each for each in guards if each.guard.slow])


class SlowFiltering:
    """The stages of one stream's slow guards; masks are put back behind the last.

    Args:
        guarding: the call's guards.
        slow: those that are slow.
    """

    def __init__(self, guarding: Guarding, slow: Sequence[Armed]) -> None:
        self._stages = [_Stage(guarding, each) for each in slow]
        self._restoring = Filtering(guarding, ())

    async def feed(self, chunks: Sequence[Json]) -> list[Json]:
        """The chunks that may go out now.

        Raises:
            Blocked: a guard found what it must not pass, or fails closed and could not look in time.
        """
        for stage in self._stages:
            chunks = await stage.feed(chunks, final=False)
        return self._restoring.feed(chunks)

    async def end(self, chunks: Sequence[Json]) -> list[Json]:
        """The last chunks, given what the fast guards let go at the end.

        Raises:
            Blocked: as `feed`.
        """
        for stage in self._stages:
            chunks = await stage.feed(chunks, final=True)
        return [*self._restoring.feed(chunks), *self._restoring.end()]

    def answer(self) -> Json:
        """The whole answer as the client got it."""
        return self._restoring.answer()


class _Stage:
    """One slow guard."""

    def __init__(self, guarding: Guarding, each: Armed) -> None:
        self._guarding = guarding
        self._each = each
        self._filtering = Filtering(guarding, (each,), note=self._found, restore={})
        self._verdicts: list[Verdict] = []
        self._took_us = 0
        self._left = False
        """It was not done in time once, and is not asked any more."""

    async def feed(self, chunks: Sequence[Json], *, final: bool) -> list[Json]:
        if self._left or not (chunks or final):
            return list(chunks)
        held, began_s = self._filtering.held(), monotonic_s()
        passed = await self._guarding.within(self._each, partial(self._look, chunks, final=final))
        self._took_us += int((monotonic_s() - began_s) * 1e6)
        if passed is None:
            self._left = True
            self._guarding.note_answer(self._each, NOT_IN_TIME, self._took_us)
            return [*held, *chunks] if self._each.acts else list(chunks)
        verdicts, self._verdicts = self._verdicts, []
        for verdict in verdicts:
            self._guarding.note_answer(self._each, verdict, self._took_us)
        return passed

    def _look(self, chunks: Sequence[Json], *, final: bool) -> list[Json]:
        passed = self._filtering.feed(chunks)
        return passed + self._filtering.end() if final else passed

    def _found(self, each: Armed, filtered: Filter) -> None:  # noqa: ARG002 - the one guard of this stage
        # In a thread: what is done about it is the call's part, once the thread has come back in time.
        self._verdicts.append(filtered.verdict)
