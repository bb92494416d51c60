"""Runs of graphs without a server: the real driver, journal, limits and tool calls; a world and tools that answer from tables."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from perdure.assets.tools import ToolTerms
from perdure.assets.version import Version
from perdure.core.clock import EPOCH
from perdure.core.runs import ReplayAsked, Replayed, RunRecord, StepRecord
from perdure.core.usage import Usage
from perdure.serve.graphs.caching import NodeCache
from perdure.serve.graphs.driving import GraphDriver
from perdure.serve.graphs.loading import GraphLoader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.doing import Around, RunDoing
from perdure.serve.runs.going import Prepared
from perdure.serve.runs.journaling import InMemory, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import ChatSaid, Driven, Ended, Offered, ToolGave
from perdure.serve.runs.replaying import ReplayParts, replay


def _hit(text: str) -> dict[str, Any]:
    return {"key": 1, "document": "a.md", "text": text, "score": 1.0}


@dataclass
class World:
    """Answers from functions, and counts what was asked."""

    chats: Mapping[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    child_status: str = "done"
    asked: list[tuple[str, Any]] = field(default_factory=list)
    hold: Mapping[str, asyncio.Event] = field(default_factory=dict)

    async def chat(self, body, caller, run, tags):
        name = body["model"].removeprefix("prompt:")
        self.asked.append((name, body))
        if name in self.hold:
            await self.hold[name].wait()
        said = self.chats[name](body)
        said = await said if inspect.isawaitable(said) else said
        if isinstance(said, Exception):
            raise said
        versions = {f"prompt:{name}": f"{name}@1", "route:r": "r@1"}
        usage = Usage(n_input=10, n_output=5)
        return ChatSaid({"role": "assistant", "content": said}, "stop", usage, 1_000, "call_1", versions, 1, "up/model")

    async def search(self, index, query, k, mode, caller, run):
        self.asked.append((index, query))
        return {"hits": [_hit(query)] * k, "generation": 7, "seen_at": None, "version": f"{index}@1", "search": "s_1"}

    async def predict(self, model, rows, explain, run):
        self.asked.append((model, rows))
        told = {"id": "p_1", "value": 2.5, "version": f"{model}@1", "arm": "champion"}
        return {"predictions": [told | ({"explanation": {"contributions": {"a": 1.0, "b": -3.0}}} if explain else {})]}

    async def features(self, view, keys, run):
        self.asked.append((view, keys))
        return {"version": f"{view}@1", "keys": {keys[0]: {"values": {"gust": 9.0}, "status": "fresh"}}}

    async def child(self, kind, asset, input_, parent, call):
        self.asked.append((asset, input_))
        return RunRecord(
            id="run_child", kind="agent", asset=asset, version=f"{asset}@1", arm="champion", status=self.child_status,
            input=b"{}", output=b'"done it"', why="" if self.child_status == "done" else "limit.steps", text="told",
        )  # fmt: skip


@dataclass
class Toolbox:
    """One tool, that does what a function says."""

    name: str = "send"
    terms: ToolTerms = field(default_factory=lambda: ToolTerms(effect="once"))
    gives: Callable[[dict[str, Any]], ToolGave] = lambda arguments: ToolGave(b'{"sent": true}', "sent")
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def offered(self) -> Sequence[Offered]:
        return [Offered(self.name, "Sends.", {"type": "object"}, self.terms, f"tool:{self.name}")]

    async def call(self, asked, context):
        self.calls.append(asked.arguments)
        return self.gives(asked.arguments)

    async def happened(self, asked, context):
        return None


class Killed(BaseException):
    """The process died."""


class Dying(InMemory):
    """A journal's store that dies before its n-th write."""

    def __init__(self, left: int) -> None:
        self.left = left

    async def keep(self, journal, entry):
        self.left -= 1
        if self.left < 0:
            raise Killed
        await super().keep(journal, entry)


@dataclass
class Bench:
    """Drives one graph."""

    graph: Any
    world: World = field(default_factory=World)
    toolbox: Toolbox = field(default_factory=Toolbox)
    prompts: Mapping[str, Any] = field(default_factory=dict)
    views: Mapping[str, Any] = field(default_factory=dict)
    cache: NodeCache = field(default_factory=NodeCache)
    force: int = 1
    steps: list[StepRecord] = field(default_factory=list)
    waits: list[Any] = field(default_factory=list)

    def live(self):
        version = Version(f"{self.graph.name}@1", self.graph.name, "graph", self.graph.definition(), {}, {}, {}, EPOCH)
        loader = GraphLoader({self.graph.name: self.graph}, self.prompts, self.views)
        return loader.load(version, trusted=True)

    async def drive(
        self, given: Any, *, keeps: Any = None, replayer: Any = None, caller: Caller | None = None
    ) -> Ended:
        live = self.live()
        run = RunRecord(
            id="run_1", kind="graph", asset=live.name, version=live.version, arm="champion", status="running",
            input=msgspec.json.encode(given),
        )  # fmt: skip
        journal = RunJournal("run_1", keeps or InMemory(), None, self.steps, self.waits)
        limiter = Limiter(live.limits, journal)
        caller = caller or Caller("", None)
        around = Around(run, caller, self.world)
        driven = Driven(
            run=run,
            servable=live,
            journal=journal,
            doing=RunDoing(around, journal, limiter, self.toolbox),
            toolbox=self.toolbox,
            caller=caller,
            world=self.world,
            limits=limiter,
            streams=False,
        )
        driver = GraphDriver(lambda: self.force, self.cache)
        try:
            return await driver.drive(driven)
        except BaseExceptionGroup as group:  # of items of a list
            raise Killed from group
        finally:
            self.steps, self.waits = list(journal.steps), list(journal.waits)

    def run(self, given: Any, **more: Any) -> Ended:
        """Drive it to its end, or to where it waits."""
        return asyncio.run(self.drive(given, **more))

    def replayed(self, given: Any, swaps: Mapping[str, str] | None = None) -> Replayed:
        """The run that was driven, done again; what is asked anew is asked of the same world."""
        run = RunRecord(
            id="run_1", kind="graph", asset=self.graph.name, version="g@1", arm="champion", status="done",
            input=msgspec.json.encode(given),
        )  # fmt: skip
        live = self.live()
        prepared = Prepared(live, self.toolbox, live.limits)
        parts = ReplayParts(GraphDriver(), prepared, Caller("", None), self.world)
        asked = ReplayAsked(run=run, steps=tuple(self.steps), swaps=swaps or {})
        return asyncio.run(replay(asked, parts))

    def forget(self) -> None:
        """A new run: its journal is empty."""
        self.steps, self.waits = [], []

    def computed(self) -> list[str]:
        """Calls of nodes that are over, in the order of the journal."""
        return [step.call for step in self.steps if step.kind == "node"]


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """Makes a bench of a graph."""
    return Bench


@pytest.fixture(scope="session")
def world() -> type[World]:
    """Makes a world."""
    return World


@pytest.fixture(scope="session")
def toolbox() -> type[Toolbox]:
    """Makes a toolbox."""
    return Toolbox


@pytest.fixture(scope="session")
def dying() -> type[Dying]:
    """Makes a store that dies before its n-th write."""
    return Dying


@pytest.fixture(scope="session")
def killed() -> type[Killed]:
    """What a dead process raises."""
    return Killed
