"""Ours: the driver with journal, limits and claims in SQLite, tools by `Doing`; with a URL, models through the gateway in this process.

`ours.py FOLDER` leaves the gateway out: the model is a function. `ours.py FOLDER URL` asks that upstream through it, with a key, a
team's budget and limits, guards of rules, and records.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from answering import answer, run

from perdure import (
    Budget,
    Guard,
    InjectionRules,
    Limits,
    Pii,
    Prompt,
    Route,
    Secrets,
    Target,
    Team,
    UnitPrices,
    Upstream,
)
from perdure.assets.agent import Agent, RunLimits
from perdure.assets.tools import ToolTerms, tool
from perdure.assets.version import Version
from perdure.core.clock import from_us, machine_now, machine_us
from perdure.core.ids import PredictionIds
from perdure.core.runs import RunRecord
from perdure.core.settings import Settings
from perdure.core.usage import Usage
from perdure.engines.agents.marking import fence_of, fenced
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.agents.loading import AgentLoader
from perdure.serve.gateway.wiring import Gateway, GatewayDeclared, make_gateway
from perdure.serve.live import Live
from perdure.serve.loader import Loader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Arm, RoutingTable
from perdure.serve.routing import Route as Routed
from perdure.serve.runs.doing import Around, RunDoing
from perdure.serve.runs.journaling import JournalWriter, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import ChatSaid, Driven, Offered, ToolAsked, ToolContext, ToolGave
from perdure.serve.tools.reaching import Reaching
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.ledger.protocols import Key
from perdure.stores.runs.sqlite import SqliteRuns
from perdure.surface.compose_gateway import open_answers, open_counters

N_CALLS = 4
SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}, "top": {"type": "integer"}}, "required": ["query"]}  # fmt: skip


@tool
def look(query: str, top: int = 3) -> str:  # noqa: ARG001
    """Look something up."""
    return f"result {query}"


PROMPT = Prompt("helper", [("system", "You help.")], "main")
AGENT = Agent("desk", prompt="helper", tools=[look])


class Box:
    """Its one tool, called at once; what it gives is fenced as any."""

    offered = (Offered("look", "Look something up.", SCHEMA, ToolTerms(), "tool:look"),)

    async def call(self, asked: ToolAsked, context: ToolContext) -> ToolGave:
        value = look(**asked.arguments)
        return ToolGave(json.dumps(value).encode(), fenced(value, "look", fence_of(context.run.id)))

    async def happened(self, asked: ToolAsked, context: ToolContext) -> ToolGave | None:
        return None


class Instant:
    """A model that is a function."""

    async def chat(self, body: Any, caller: Caller, run: RunRecord, tags: Any) -> ChatSaid:
        n = sum(each["role"] == "assistant" for each in body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": "done" if n >= N_CALLS else None}
        if n < N_CALLS:
            told = {"name": "look", "arguments": json.dumps({"query": f"q{n}", "top": 3})}
            message["tool_calls"] = [{"id": "c", "type": "function", "function": told}]
        finish = "stop" if n >= N_CALLS else "tool_calls"
        return ChatSaid(message, finish, Usage(n_input=10, n_output=5), 7, "call", {"prompt:helper": "helper@1"}, 1)


@dataclass
class Bench:
    """Runs over one store."""

    store: SqliteRuns
    keeps: JournalWriter
    world: Any
    caller: Caller
    live: Live = field(default_factory=Live)
    numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        version = _version("desk", "agent", AGENT.definition())
        self.servable = AgentLoader({"desk": AGENT}).load(version, trusted=True)
        self.driver = AgentDriver(lambda: self.live.serving)

    async def one(self) -> None:
        """A run, from its begin in the store to its end there."""
        name, now_us = f"run_{next(self.numbers):012d}", machine_us()
        asked = RunRecord(
            id=name, kind="agent", asset="desk", version="desk@1", arm="champion", status="running",
            input=b'{"task": "Where is it?"}', root=name, began_us=now_us,
        )  # fmt: skip
        record, claim = self.store.begin(asked, "bench", now_us + 60_000_000)
        journal, box = RunJournal(name, self.keeps, claim), Box()
        limiter = Limiter(RunLimits(), journal)
        doing = RunDoing(Around(record, self.caller, self.world), journal, limiter, box)
        ended = await self.driver.drive(
            Driven(record, self.servable, journal, doing, box, self.caller, self.world, limiter, False)
        )
        assert ended.output == b'{"text":"done"}', ended
        assert len(journal.steps) == 2 * N_CALLS + 1
        closed = msgspec.structs.replace(record, status=ended.status, output=ended.output, ended_us=machine_us())
        await journal.close(closed)


def _version(name: str, kind: str, told: Any) -> Version:
    return Version(f"{name}@1", name, kind, told, {}, {}, {}, from_us(0))


def _gateway(folder: Path, url: str) -> tuple[Gateway, Live, Caller]:
    """The gateway of this process, as a project would have it."""
    settings = Settings()
    upstream = Upstream("local", f"{url}/v1")
    rules = Guard("rules", [Pii(), Secrets(), InjectionRules()], on=("input",), mode="block")
    route = Route("main", [Target(upstream, "gpt-x", prices=UnitPrices(input=1, output=4))], guards=[rules])
    limits = Limits(requests=100_000_000, tokens=1_000_000_000_000, concurrency=1_000)
    team = Team("team", budgets=[Budget(1_000_000)], limits=limits)
    key = Key("key_bench", "team", "0" * 64, "of the benchmark", machine_now())
    declared = GatewayDeclared(
        routes={"main": route}, guards={"rules": rules}, teams={"team": team}, prompts={"helper": PROMPT},
        upstreams={"local": upstream}, secrets={}, open_counters=partial(open_counters, folder, settings),
        open_answers=partial(open_answers, folder, settings), settings=settings.gateway, limits=settings.limits,
        owner="bench", embed=None,
    )  # fmt: skip
    live = Live(keys={key.digest: key})
    writer = SegmentWriter(folder / "capture", settings.capture)
    made = make_gateway(
        declared, live, writer, FileBlobs(folder / "blobs"), (PredictionIds().next, lambda _: machine_us())
    )
    kinds = {"main": "route", "rules": "guard", "helper": "prompt"}
    told = {"main": route.definition(), "rules": rules.definition(), "helper": PROMPT.definition()}
    versions = {f"{name}@1": _version(name, kind, told[name]) for name, kind in kinds.items()}
    routes = {name: Routed(name, Arm("champion", f"{name}@1", 1.0)) for name in kinds}
    loaded = Loader(made.kinds, declared=kinds).load(RoutingTable(1, routes, versions), known=[])
    assert not loaded.failures, loaded.failures
    live.serving = loaded.serving
    made.start()
    return made, live, Caller(key.id, team, key)


async def main() -> None:
    folder = Path(sys.argv[1])
    store = SqliteRuns(folder / "runs.db")
    keeps = JournalWriter(store)
    if len(sys.argv) == 2:
        await answer(Bench(store, keeps, Instant(), Caller("", None)).one)
        return
    gateway, live, caller = _gateway(folder, sys.argv[2])
    await answer(Bench(store, keeps, Reaching(live, gateway.app), caller, live).one)
    await gateway.stop()


if __name__ == "__main__":
    run(main)
