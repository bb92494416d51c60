"""Whoever follows a run is told each step once and in order, whatever was lost on the way, and hears that nothing happens."""

from __future__ import annotations

import asyncio

import msgspec

from perdure.core.runs import RunRecord, StepRecord
from perdure.serve.runs import following
from perdure.serve.runs.following import Following
from perdure.serve.runs.hearing import Listening
from perdure.serve.runs.protocols import RunEvent
from perdure.serve.runs.showing import shown_step
from perdure.stores.runs.protocols import Told

RUN = RunRecord(id="run_1", kind="agent", asset="desk", version="v", arm="champion", status="running", input=b"{}")


def step(n: int) -> StepRecord:
    return StepRecord(run="run_1", n=n, kind="chat", state="done", node="prompt:p", call=str(n))


class Driven:
    """A run as a runtime tells of it."""

    def __init__(self) -> None:
        self.run, self.steps = RUN, []
        self.listeners: list[Listening] = []
        self.n_left = 0

    async def get(self, run: str) -> Told:
        return Told(self.run, list(self.steps), ())

    def listen(self, run: str) -> Listening:
        self.listeners.append(Listening())
        return self.listeners[-1]

    def leave(self, run: str, listening: Listening) -> None:
        self.n_left += 1
        listening.end()

    def take(self, n: int, *, told: bool) -> None:
        """Step `n` is written, and told to whoever listens."""
        self.steps.append(step(n))
        if told:
            self.listeners[-1].hear(RunEvent("step", shown_step(step(n))))

    def end(self) -> None:
        self.run = msgspec.structs.replace(RUN, status="done", ended_us=1)
        for each in self.listeners:
            each.end()


async def named(follows: Following, n: int) -> list[str]:
    """The next events: names, steps with their numbers."""
    found = []
    async for event in follows.events():
        found.append("" if event is None else f"{event.name} {event.data.get('n', '')}".strip())
        if len(found) == n:
            break
    return found


def test_a_step_that_was_not_heard_is_read_from_the_journal_before_the_next():
    async def go():
        driven = Driven()
        follows = Following(driven, "run_1")
        events = follows.events()
        assert (await anext(events)).name == "begin"
        pending = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        driven.take(0, told=True)
        assert (await pending).data["n"] == 0
        driven.take(1, told=False)
        driven.take(2, told=True)
        assert [(await anext(events)).data["n"] for _ in range(2)] == [1, 2]
        driven.end()
        rest = [event.name async for event in events if event is not None]
        assert rest == ["end"]
        assert driven.n_left == len(driven.listeners), "nobody is left listening"

    asyncio.run(go())


def test_whoever_goes_on_behind_a_step_is_told_the_later_ones():
    driven = Driven()
    driven.steps = [step(n) for n in range(4)]
    driven.end()
    assert asyncio.run(named(Following(driven, "run_1", after=1), 9)) == ["begin", "step 2", "step 3", "end"]


def test_where_nothing_happens_it_is_said(monkeypatch):
    monkeypatch.setattr(following, "BEAT_S", 0.0)
    monkeypatch.setattr(following, "_LONGEST_LOOK_S", 0.01)
    assert asyncio.run(named(Following(Driven(), "run_1"), 3)) == ["begin", "", ""]


def test_following_ends_where_it_is_let_go_of_and_where_a_person_is_waited_for():
    async def go():
        driven = Driven()
        follows = Following(driven, "run_1")
        events = follows.events()
        await anext(events)
        pending = asyncio.ensure_future(anext(events, None))
        await asyncio.sleep(0)
        follows.let_go()
        assert await pending is None
        driven.run = msgspec.structs.replace(RUN, status="waiting")
        return await named(Following(driven, "run_1", waits_s=0.0), 9)

    assert asyncio.run(go()) == ["begin"]
