"""Ours: the runtime of a server without HTTP, its journal in SQLite; with a URL, models through the gateway in this process.

`ours.py FOLDER` leaves the gateway out: the model is a function. `ours.py FOLDER URL` asks that upstream through it, with a key, a
team's budget and limits, prices, and records with redacted bodies.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from answering import answer, run

from perdure import (
    Budget,
    Limits,
    Prompt,
    Route,
    Target,
    Team,
    UnitPrices,
    Upstream,
)
from perdure.assets.agent import Agent
from perdure.assets.tools import tool
from perdure.assets.version import Version
from perdure.core.clock import from_us, machine_now, machine_us
from perdure.core.ids import PredictionIds, new_id
from perdure.core.runs import RunRecord
from perdure.core.settings import Settings
from perdure.core.usage import Usage
from perdure.serve.agents.driving import AgentDriver
from perdure.serve.agents.loading import AgentLoader
from perdure.serve.gateway.wiring import Gateway, GatewayDeclared, make_gateway
from perdure.serve.live import Live
from perdure.serve.loader import Loader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Arm, RoutingTable
from perdure.serve.routing import Route as Routed
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.protocols import ChatSaid
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.serve.tools.making import Toolmaker
from perdure.serve.tools.reaching import Reaching
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.ledger.protocols import Key
from perdure.stores.runs.sqlite import SqliteRuns
from perdure.surface.compose_gateway import open_answers, open_counters

N_CALLS = 4


@tool
async def look(query: str, top: int = 3) -> str:  # noqa: ARG001
    """Look something up."""
    return f"result {query}"


PROMPT = Prompt("helper", [("system", "You help.")], "main")
AGENT = Agent("desk", prompt="helper", tools=[look])


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


class Bench:
    """Runs over one store, begun, driven, told and ended by the runtime of a server."""

    def __init__(self, folder: Path, world: Any, caller: Caller, live: Live, writer: SegmentWriter) -> None:
        self._servable = AgentLoader({"desk": AGENT}).load(_version("desk", "agent", AGENT.definition()), trusted=True)
        self._box = Toolmaker().toolbox(self._servable)
        parts = Parts({"agent": AgentDriver(lambda: live.serving)}, self._prepare, lambda _: caller, world, writer)
        served = Served(lambda: ["desk"], lambda kind, asset, parent: ("desk@1", "champion"))  # noqa: ARG005
        self.runtime = Runtime(SqliteRuns(folder / "runs.db"), parts, served, Terms(most_at_once=200))
        self.runtime.start()

    async def _prepare(self, run: RunRecord) -> Prepared:
        return Prepared(self._servable, self._box, self._servable.limits)

    async def one(self) -> None:
        """A run, from its begin in the store to its end there."""
        name, now_us = new_id("run"), machine_us()
        asked = RunRecord(
            id=name, kind="agent", asset="desk", version="desk@1", arm="champion", status="running",
            input=b'{"task": "Where is it?"}', root=name, served_us=now_us, began_us=now_us,
        )  # fmt: skip
        await self.runtime.begin(asked)
        ended = await self.runtime.wait(name, 60.0)
        assert (ended.status, ended.output, ended.n_steps) == ("done", b'{"text":"done"}', 2 * N_CALLS + 1), ended


def _version(name: str, kind: str, told: Any) -> Version:
    return Version(f"{name}@1", name, kind, told, {}, {}, {}, from_us(0))


def _gateway(folder: Path, url: str, writer: SegmentWriter) -> tuple[Gateway, Live, Caller]:
    """The gateway of this process, as a project would have it."""
    settings = Settings()
    upstream = Upstream("local", f"{url}/v1")
    route = Route("main", [Target(upstream, "gpt-x", prices=UnitPrices(input=1, output=4))])
    limits = Limits(requests=100_000_000, tokens=1_000_000_000_000, concurrency=1_000)
    team = Team("team", budgets=[Budget(1_000_000)], limits=limits)
    key = Key("key_bench", "team", "0" * 64, "of the benchmark", machine_now())
    declared = GatewayDeclared(
        routes={"main": route}, guards={}, teams={"team": team}, prompts={"helper": PROMPT},
        upstreams={"local": upstream}, secrets={}, open_counters=partial(open_counters, folder, settings),
        open_answers=partial(open_answers, folder, settings), settings=settings.gateway, limits=settings.limits,
        owner="bench", embed=None,
    )  # fmt: skip
    live = Live(keys={key.digest: key})
    made = make_gateway(
        declared, live, writer, FileBlobs(folder / "blobs"), (PredictionIds().next, lambda _: machine_us())
    )
    kinds = {"main": "route", "helper": "prompt"}
    told = {"main": route.definition(), "helper": PROMPT.definition()}
    versions = {f"{name}@1": _version(name, kind, told[name]) for name, kind in kinds.items()}
    routes = {name: Routed(name, Arm("champion", f"{name}@1", 1.0)) for name in kinds}
    loaded = Loader(made.kinds, declared=kinds).load(RoutingTable(1, routes, versions), known=[])
    assert not loaded.failures, loaded.failures
    live.serving = loaded.serving
    made.start()
    return made, live, Caller(key.id, team, key)


async def main() -> None:
    folder = Path(sys.argv[1])
    writer = SegmentWriter(folder / "capture", Settings().capture)
    if len(sys.argv) == 2:
        await answer(Bench(folder, Instant(), Caller("", None), Live(), writer).one)
        return
    gateway, live, caller = _gateway(folder, sys.argv[2], writer)
    await answer(Bench(folder, Reaching(live, gateway.app), caller, live, writer).one)
    await gateway.stop()


if __name__ == "__main__":
    run(main)
