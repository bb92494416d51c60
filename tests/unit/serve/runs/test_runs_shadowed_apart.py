"""Shadows of runs: which runs have one, that nothing of production waits for it, and what it is told to have taken."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from acting import NOBODY, Scripted, Tools, gave, new_run, offered
from msgspec.structs import replace as with_members
from processes import Log, run, until

from perdure.assets.agent import RunLimits
from perdure.core.runs import ReplayAsked, StepRecord
from perdure.serve.live import Live
from perdure.serve.routing import Arm, Route, RoutingTable, ServingTable
from perdure.serve.runs.counted import RunCounters
from perdure.serve.runs.going import Prepared
from perdure.serve.runs.protocols import LimitHit
from perdure.serve.runs.recorded import Record
from perdure.serve.runs.shadow_world import NO_ROOM
from perdure.serve.runs.shadowing import RunShadows, ShadowParts, is_followed

ROUTE = Route("desk", Arm("champion", "desk@1", 1.0), shadow=Arm("shadow", "desk@2", 1.0))


class NoWorld:
    """Nothing is reached."""

    chat = stream = search = predict = features = child = None


@dataclass
class Kept:
    """What the loader made of a version."""

    keeps: str = "full"


class Room(Log):
    """A capture log with room, or none."""

    room = True

    def has_room(self):
        return self.room


@dataclass
class Versions:
    """Versions that are ready at once."""

    tools: Tools
    keeps: str = "full"

    def caller_of(self, run):
        return NOBODY

    async def prepare(self, run):
        return Prepared(Kept(self.keeps), self.tools, RunLimits(steps=50), self.keeps)


@dataclass
class Beside:
    """Shadows over a driver of a test."""

    driver: object = field(default_factory=Scripted)
    most: int = 4
    champion_keeps: str = "full"
    keeps: str = "full"
    log: Room = field(default_factory=Room)
    counters: RunCounters = field(default_factory=RunCounters)

    def __post_init__(self):
        self.tools = Tools([offered("look")], {"look": lambda asked, context: gave("seen")})
        serving = ServingTable(RoutingTable(1, {"desk": ROUTE}, {}), {"desk@1": Kept(self.champion_keeps)})
        self.shadows = RunShadows(
            ShadowParts(
                live=Live(serving),
                versions=Versions(self.tools, self.keeps),
                drivers={"agent": self.driver},
                world=lambda caller, serving: (caller, NoWorld()),
                writer=self.log,
                mask=lambda text: text.replace("a@b.c", "[email]"),
                counters=self.counters,
                most_at_once=self.most,
            )
        )

    @property
    def outcomes(self):
        return {outcome: n for (_, _, outcome), n in self.counters.shadows.items()}


def ended(**members):
    told = {"script": [[["look", {"n": 1}]]], **members}
    return with_members(new_run(**{k: told.pop(k) for k in ("script",)}), **{"status": "done", **told})


@pytest.mark.parametrize(
    ("members", "follows"),
    [
        ({}, True),
        ({"status": "failed", "why": "upstream.busy"}, True),
        ({"status": "failed"}, False),
        ({"status": "cancelled"}, False),
        ({"arm": "challenger"}, False),
        ({"version": "desk@0"}, False),
        ({"version": "desk@2"}, False),
        ({"replay_of": "run_0", "arm": "shadow"}, False),
        ({"status": "failed", "why": "run.poisoned"}, False),
    ],
)
def test_only_what_the_champion_brought_to_an_end_is_done_again(members, follows):
    """A run that failed before it took a step says nothing, and one that takes processes down takes no other."""
    chat = StepRecord(run="run_1", n=0, kind="chat", state="done", node="prompt:desk", call="0")
    steps = [chat] if members.get("why") else []
    assert is_followed(ended(**members), steps, ROUTE) is follows
    assert not is_followed(ended(**members), steps, replace(ROUTE, shadow=None))


def test_a_shadow_is_told_once_as_what_it_is_and_counts_for_itself_alone():
    beside = Beside()

    async def work():
        beside.shadows.follow(
            ended(user="ann", tags={"of": "tests"}, parent="run_0", root="run_0", trace="00-1-2-01"), ()
        )
        await until(lambda: not beside.shadows.n_under_way)

    run(work())
    [told] = beside.log.told
    assert (told.run.arm, told.run.replay_of, told.run.version, told.run.status) == (
        "shadow",
        "run_1",
        "desk@2",
        "done",
    )
    assert (told.run.id[:4], told.run.parent, told.run.root, told.run.trace) == ("run_", "", told.run.id, "")
    assert (told.run.user, told.run.tags) == ("ann", {"of": "tests"})
    assert beside.outcomes == {"done": 1}
    assert dict(beside.counters.ended) == {}
    assert beside.counters.shadow_usd[("agent", "desk")] == pytest.approx(told.run.cost_pusd / 1e12)


@pytest.mark.parametrize(
    ("champion", "shadow", "kept"),
    [("none", "full", b""), ("full", "redacted", b"[email]"), ("full", "full", b"a@b.c")],
)
def test_texts_are_kept_as_the_stricter_version_says(champion, shadow, kept):
    beside = Beside(champion_keeps=champion, keeps=shadow)

    async def work():
        beside.shadows.follow(ended(script=[[["look", {"n": "a@b.c"}]]]), ())
        await until(lambda: not beside.shadows.n_under_way)

    run(work())
    [told] = beside.log.told
    assert kept in told.run.input
    assert champion == "full" or b"a@b.c" not in told.run.input
    assert shadow == "full" or b"a@b.c" not in told.run.input


class Held(Scripted):
    """A driver that waits, or meets what it is told to."""

    def __init__(self, raises=None):
        super().__init__()
        self.free, self.raises = asyncio.Event(), raises

    async def drive(self, driven):
        if self.raises is not None:
            raise self.raises
        await self.free.wait()
        return await super().drive(driven)


def test_what_comes_above_so_many_or_while_callers_wait_is_left_out_and_nobody_waits():
    driver = Held()
    beside = Beside(driver, most=2)

    async def work():
        for _ in range(5):
            beside.shadows.follow(ended(), ())
        assert (beside.shadows.n_under_way, beside.outcomes) == (2, {"left_out": 3})
        driver.free.set()
        await until(lambda: not beside.shadows.n_under_way)
        beside.shadows.is_busy = lambda: True
        beside.shadows.follow(ended(), ())
        beside.shadows.is_busy, beside.log.room = (lambda: False), False
        beside.shadows.follow(ended(), ())
        assert beside.shadows.n_under_way == 0

    run(work())
    assert beside.outcomes == {"left_out": 5, "done": 2}


def test_a_stop_gives_up_what_is_under_way_and_tells_nothing():
    beside = Beside(Held())

    async def work():
        beside.shadows.follow(ended(), ())
        await asyncio.sleep(0)
        await beside.shadows.stop()

    run(work())
    assert (beside.log.told, beside.outcomes) == ([], {})


def test_a_shadow_without_room_or_money_is_told_nowhere():
    beside = Beside(Held(LimitHit(NO_ROOM, "The budget of evals is spent.")))

    async def work():
        beside.shadows.follow(ended(), ())
        await until(lambda: not beside.shadows.n_under_way)

    run(work())
    assert (beside.log.told, beside.outcomes) == ([], {"refused": 1})


def test_a_version_that_cannot_be_made_ready_breaks_nothing():
    beside = Beside()

    async def gone(run):
        raise LookupError("gone")

    beside.shadows._parts.versions.prepare = gone

    async def work():
        beside.shadows.follow(ended(), ())
        await until(lambda: not beside.shadows.n_under_way)

    run(work())
    assert beside.outcomes == {"broken": 1}


def test_the_end_of_a_run_is_heard_once_with_its_journal_as_it_was_driven(desk):
    """Also where the store keeps less of it; and what is heard may fail as it likes."""
    heard = []

    def ended_(run, steps):
        heard.append((run.id, run.status, [step.output for step in steps if step.kind == "tool"]))
        raise ValueError("whoever hears fails")

    async def work():
        process = desk.process()
        process.parts = replace(process.parts, ended=ended_)
        process.start()
        await process.begin(new_run(script=[[["look", {"n": "a@b.c"}]]]))
        told = await process.wait("run_1", 10.0)
        await process.stop()
        return told

    desk.tools = Tools([offered("look")], {"look": lambda asked, context: gave(asked.arguments)})
    assert run(work()).status == "done"
    assert heard == [("run_1", "done", [b'{"n": "a@b.c"}'])]


def test_what_a_record_answers_took_what_it_took_then_with_the_run_below_it():
    """A node or tool that is answered in no time keeps its time, and what its run below cost is counted."""
    then = [
        StepRecord(
            run="r", n=0, kind="child", state="done", node="agent:helper", call="ask", cost_pusd=70, took_us=900
        ),
        StepRecord(
            run="r", n=1, kind="node", state="done", node="node:ask", call="ask", input=b'{"q":1}', took_us=1000
        ),
        StepRecord(run="r", n=2, kind="node", state="done", node="node:new", call="new", input=b'{"q":1}', took_us=500),
    ]
    record = Record(ReplayAsked(run=new_run(), steps=tuple(then), swaps={}))
    now = [
        with_members(then[1], run="again", n=0, call="ask", took_us=3, facts={"recorded": True}),
        with_members(then[2], run="again", n=1, took_us=800),
    ]
    found = record.as_then(now)
    assert [(step.kind, step.n, step.took_us, step.cost_pusd) for step in found] == [
        ("node", 0, 1000, 0), ("node", 1, 800, 0), ("child", 2, 900, 70),
    ]  # fmt: skip
    assert (found[2].run, found[2].facts) == ("again", {"recorded": True})
    assert json.loads(found[0].input) == {"q": 1}
