"""A run with everything around it in memory: a scripted model, tools of a table, a journal that may be driven again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from perdure.assets.agent import Agent
from perdure.assets.tools import ToolTerms, tool
from perdure.assets.version import Version
from perdure.core.clock import from_us
from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.core.usage import Usage
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.agents.loading import AgentLoader, LiveAgent
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.protocols import (
    ChatSaid,
    Driven,
    Ended,
    LimitHit,
    Offered,
    RunEvent,
    Spent,
    ToolAsked,
    ToolContext,
    ToolGave,
)

Reply = Any


def text(said: str, finish: str = "stop", **further: Any) -> dict[str, Any]:
    """An answer in words."""
    return {"message": {"role": "assistant", "content": said, **further}, "finish": finish}


def calls(
    *asked: tuple[str, Any], said: str | None = None, ids: str = "x", finish: str = "tool_calls"
) -> dict[str, Any]:
    """An answer that calls tools; every id is the same."""
    told = [
        {
            "id": ids,
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for name, given in asked
    ]
    return {"message": {"role": "assistant", "content": said, "tool_calls": told}, "finish": finish}


class MemoryJournal:
    """Keeps entries; gives a fresh journal of the same for the next drive."""

    def __init__(self, steps: Sequence[StepRecord] = ()) -> None:
        self.steps: list[StepRecord] = list(steps)
        self.waits: list[Wait] = []
        self.told: list[RunEvent] = []
        self.dies_at: int | None = None

    async def write(self, *steps: StepRecord, waits: Sequence[Wait] = ()) -> None:
        for step in steps:
            if self.dies_at is not None and len(self.steps) >= self.dies_at:
                raise asyncio.CancelledError
            self.steps.append(msgspec.structs.replace(step, run="r1", n=len(self.steps)))
        self.waits.extend(waits)

    def tell(self, event: RunEvent) -> None:
        self.told.append(event)


class TableDoing:
    """Calls tools of a table once a call, with the journal as the runtime does it."""

    def __init__(self, journal: MemoryJournal, table: Mapping[str, Callable[..., Any]]) -> None:
        self.journal = journal
        self.table = table
        self.done: list[ToolAsked] = []

    async def do(self, asked: ToolAsked) -> ToolGave:
        for step in self.journal.steps:
            if step.kind == "tool" and step.call == asked.call:
                return ToolGave(step.output, step.output.decode(), step.error, facts=step.facts)
        self.done.append(asked)
        found = self.table[asked.name](**asked.arguments)
        if asyncio.iscoroutine(found):
            found = await found
        gave = found if isinstance(found, ToolGave) else ToolGave(json.dumps(found).encode(), json.dumps(found))
        await self.journal.write(
            StepRecord(
                run="", n=0, kind="tool", state="failed" if gave.error else "done", node=f"tool:{asked.name}",
                call=asked.call, output=gave.value, error=gave.error, facts=gave.facts,
            )
        )  # fmt: skip
        return gave


@dataclass
class Table:
    """A toolbox of a table."""

    offered: Sequence[Offered]

    async def call(self, asked: ToolAsked, context: ToolContext) -> ToolGave:
        raise AssertionError("the driver goes by Doing")

    async def happened(self, asked: ToolAsked, context: ToolContext) -> ToolGave | None:
        return None


@dataclass
class Guard:
    """Limits of a run that a test sets."""

    steps: int = 100
    seconds: float = 60.0
    checked: int = 0

    def spent(self) -> Spent:
        return Spent(steps=self.checked)

    def check(self) -> None:
        if self.checked >= self.steps:
            raise LimitHit("limit.steps", f"The run may take {self.steps} steps.")
        self.checked += 1

    def left_s(self) -> float:
        return self.seconds


class ScriptedWorld:
    """A model that answers by a script: replies in turn, the last for ever; an exception is raised. It reaches nothing else."""

    search = predict = features = child = None

    def __init__(self, *script: Reply) -> None:
        self.script = list(script)
        self.bodies: list[dict[str, Any]] = []
        self.versions = {"prompt:helper": "helper@1", "route:main": "main@1"}

    async def chat(self, body: Any, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> ChatSaid:
        self.bodies.append(json.loads(msgspec.json.encode(body)))
        reply = self.script[min(len(self.bodies) - 1, len(self.script) - 1)]
        if callable(reply):
            reply = await reply(body)
        if isinstance(reply, Exception):
            raise reply
        return ChatSaid(
            reply["message"], reply["finish"], Usage(n_input=10, n_output=5), 7, f"call-{len(self.bodies)}",
            self.versions, 1000, "up/model",
        )  # fmt: skip

    async def stream(
        self, body: Any, caller: Caller, run: RunRecord, tags: Mapping[str, str]
    ) -> AsyncIterator[str | ChatSaid]:
        said = await self.chat(body, caller, run, tags)
        for word in (said.message.get("content") or "").split():
            yield word + " "
        yield said


@tool
def look(what: str) -> str:
    """Look something up."""
    return what


@tool(effect="keyed")
def send(what: str) -> str:
    """Send something."""
    return what


def version_of(agent: Agent) -> Version:
    """A version as `perdure apply` makes it."""
    return Version(f"{agent.name}@1", agent.name, "agent", agent.definition(), {}, {}, {}, from_us(0))


def live(**members: Any) -> LiveAgent:
    """A version of an agent, loaded."""
    agent = Agent("desk", prompt="helper", **{"tools": [look, send], **members})
    return AgentLoader({"desk": agent}).load(version_of(agent), trusted=True)


@dataclass
class Stage:
    """A run, and what is around it."""

    world: ScriptedWorld
    servable: LiveAgent = field(default_factory=live)
    table: dict[str, Callable[..., Any]] = field(
        default_factory=lambda: {"look": lambda what: f"found {what}", "send": lambda what: f"sent {what}"}
    )
    given: dict[str, Any] = field(default_factory=lambda: {"task": "Do it.", "input": {"tone": "formal"}})
    guard: Guard = field(default_factory=Guard)
    streams: bool = False
    serving: Any = None
    replayer: Any = None
    journal: MemoryJournal = field(default_factory=MemoryJournal)

    def __post_init__(self) -> None:
        self.doing = TableDoing(self.journal, self.table)

    def driven(self) -> Driven:
        schema = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
        offered = [
            Offered(each["name"], each["description"], schema, ToolTerms(effect=each["terms"].get("effect", "none")), f"tool:{each['name']}")
            for each in self.servable.tools
        ]  # fmt: skip
        run = RunRecord(
            id="r1", kind="agent", asset="desk", version="desk@1", arm="champion", status="running",
            input=json.dumps(self.given).encode(), root="r1",
        )  # fmt: skip
        return Driven(
            run, self.servable, self.journal, self.doing, Table(offered), Caller("", None), self.world, self.guard, self.streams, self.replayer,
        )  # type: ignore[arg-type]  # fmt: skip

    async def drive(self) -> Ended:
        return await AgentDriver(lambda: self.serving).drive(self.driven())

    def run(self) -> Ended:
        """Drive it on a loop of its own; a run that hangs fails."""

        async def in_time() -> Ended:
            async with asyncio.timeout(20):
                return await self.drive()

        return asyncio.run(in_time())

    def again(self) -> Stage:
        """After the process died: the journal is all that is left, the tools are what they were."""
        return Stage(
            self.world, self.servable, self.table, self.given, Guard(), self.streams, self.serving, self.replayer,
            MemoryJournal(self.journal.steps),
        )  # fmt: skip

    def kinds(self) -> list[tuple[str, str, str, str]]:
        return [(each.kind, each.state, each.call, each.error) for each in self.journal.steps]


KIT = SimpleNamespace(
    stage=Stage, world=ScriptedWorld, guard=Guard, text=text, calls=calls, live=live, version_of=version_of
)


@pytest.fixture
def kit() -> SimpleNamespace:
    """Makes runs."""
    return KIT
