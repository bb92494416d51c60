"""Graphs that meet their limits under the real runtime and store: each ends, soon, with few entries, and nothing turns in circles."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import msgspec
import pytest

from perdure.assets.agent import RunLimits
from perdure.assets.graph import AgentNode, Graph, PromptNode, SearchNode, ToolNode
from perdure.assets.tools import ToolTerms, tool
from perdure.core.clock import cpu_s, machine_us
from perdure.core.errors import NotReady, UpstreamBusy
from perdure.core.runs import RunRecord
from perdure.core.units import seconds
from perdure.serve.graphs.driving import GraphDriver
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.following import Following
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.protocols import ToolGave
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.stores.runs.sqlite import SqliteRuns

ITEMS = [f"item {n}" for n in range(300)]
ASKED = {"type": "object", "properties": {"items": {"type": "array", "items": {"type": "string"}}}}
MOST_CPU_S = 8.0
"""Of the whole run: a turning loop takes all that there is until the test's time is over."""


@tool
def send(text: str) -> str:
    """Look."""
    return text


@dataclass
class Captured:
    """A capture log in memory."""

    told: list = field(default_factory=list)

    def append(self, event):
        self.told.append(event)
        return True


def over_items(node_type=PromptNode, **more):
    """A node that is computed over every item."""
    given = {
        PromptNode: {"prompt": "reply", "variables": {"text": "$each"}},
        ToolNode: {"tool": send, "arguments": {"text": "$each"}},
        SearchNode: {"index": "handbook", "query": "$each"},
        AgentNode: {"agent": "helper", "input": {"task": "$each"}},
    }[node_type]
    return node_type("all", **given, each="$input.items", side_by_side=8, **more)


def driven(bench, graph, world, toolbox, folder, *, followed=None):
    """The run as the store has it when it is over, and the CPU that it took; `followed`: hears what whoever follows it hears."""
    live = bench(graph, world, toolbox).live()

    async def prepare(run):
        return Prepared(live, toolbox, live.limits, "full")

    async def work():
        store = SqliteRuns(folder / "runs.db")
        parts = Parts({"graph": GraphDriver()}, prepare, lambda run: Caller("", None), world, Captured())
        runtime = Runtime(store, parts, Served(lambda: ["g"], lambda *_: ("helper@1", "champion")), Terms(poll_s=0.02))
        runtime.start()
        run = RunRecord(
            id="run_1", kind="graph", asset="g", version="g@1", arm="champion", status="running", root="run_1",
            began_us=machine_us(),
            input=msgspec.json.encode({"items": ITEMS}),
        )  # fmt: skip
        try:
            begun = await runtime.begin(run, listens=followed is not None)
            if followed is not None:
                async with asyncio.timeout(20):
                    async for event in Following(runtime, "run_1").events(begun.listening):
                        followed.append(event)
            await runtime.wait("run_1", 20.0)
            return await runtime.get("run_1")
        finally:
            await runtime.stop()
            store.close()

    began_s = cpu_s()
    told = asyncio.run(work())
    return told, cpu_s() - began_s


def slow(body):
    async def said():
        await asyncio.sleep(0.02)
        return json.dumps(body["variables"]["text"])

    return said()


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (RunLimits(steps=5), "limit.steps"),
        (RunLimits(steps=1000, tokens=100), "limit.tokens"),
        (RunLimits(steps=1000, usd=1e-8), "limit.usd"),
        (RunLimits(steps=1000, tokens=10**6, wall=seconds(0.3)), "limit.wall"),
    ],
)
def test_a_node_over_many_items_ends_at_each_limit(bench, world, toolbox, tmp_path, limits, why):
    graph = Graph("g", ASKED, [over_items()], output="$all", limits=limits)
    told, took_s = driven(bench, graph, world({"reply": slow}), toolbox(), tmp_path)
    assert (told.run.status, told.run.why) == ("limited", why)
    assert len(told.steps) < 2 * len(ITEMS)
    assert took_s < MOST_CPU_S


@pytest.mark.parametrize(
    ("terms", "text", "why"),
    [(ToolTerms(calls=7), "$each", "limit.calls"), (ToolTerms(), "the same", "limit.loop")],
)
def test_a_tool_over_many_items_ends_at_its_calls_and_at_a_loop(bench, world, toolbox, tmp_path, terms, text, why):
    node = ToolNode("all", send, arguments={"text": text}, each="$input.items", side_by_side=8)
    graph = Graph("g", ASKED, [node], output="$all", limits=RunLimits(steps=1000, same_calls=2))
    box = toolbox(terms=terms, gives=lambda arguments: ToolGave(b'"seen"', "seen"))
    told, took_s = driven(bench, graph, world(), box, tmp_path)
    assert (told.run.status, told.run.why) == ("limited", why)
    assert len(box.calls) <= 16
    assert took_s < MOST_CPU_S


class Busy:
    """A world in which everything fails for now."""

    def __init__(self, world, delay_s):
        self.world, self.delay_s = world, delay_s
        self.n_asked = 0

    async def chat(self, *_):
        self.n_asked += 1
        error = UpstreamBusy("It is busy.", hint="Wait.")
        error.delay_s = self.delay_s
        raise error

    async def search(self, *_):
        self.n_asked += 1
        raise NotReady("It is not ready.", hint="Wait.", delay_s=self.delay_s)


@pytest.mark.parametrize("node", [PromptNode, SearchNode])
@pytest.mark.parametrize("tries", [1, 3])
def test_a_node_that_always_fails_for_now_is_given_up(bench, world, toolbox, tmp_path, node, tries):
    """No try comes at once, and after the first item that failed none is begun."""
    busy = Busy(world(), 0.0)
    graph = Graph("g", ASKED, [over_items(node, tries=tries)], output="$all")
    told, took_s = driven(bench, graph, busy, toolbox(), tmp_path)
    assert told.run.status == "failed"
    assert told.run.why in ("upstream.busy", "not_ready"), told.run.why
    assert busy.n_asked == 8 * tries
    assert took_s < MOST_CPU_S


@pytest.mark.parametrize("node", [PromptNode, SearchNode])
def test_a_node_that_fails_for_longer_than_the_run_may_take_ends_with_the_run(bench, world, toolbox, tmp_path, node):
    busy = Busy(world(), 60.0)
    graph = Graph("g", ASKED, [over_items(node, tries=1000)], output="$all", limits=RunLimits(wall=seconds(0.4)))
    told, took_s = driven(bench, graph, busy, toolbox(), tmp_path)
    assert told.run.status in ("limited", "failed")
    assert told.run.ended_us - told.run.began_us < 5_000_000
    assert busy.n_asked <= 16
    assert took_s < MOST_CPU_S


def test_runs_below_over_many_items_end_at_the_depth(bench, world, toolbox, tmp_path):
    """The runtime's own runs below: each graph runs itself until it may go no deeper."""
    graph = Graph("g", ASKED, [over_items(AgentNode)], output="$all", limits=RunLimits(depth=2, wall=seconds(5)))

    class Below:
        """Begins nothing: every run below is refused."""

        async def child(self, kind, asset, input_, parent, call):
            from perdure.serve.runs.protocols import LimitHit

            raise LimitHit("limit.depth", "It would be too deep.")

    told, took_s = driven(bench, graph, Below(), toolbox(), tmp_path)
    assert (told.run.status, told.run.why) == ("limited", "limit.depth")
    assert took_s < MOST_CPU_S


def test_a_list_that_is_done_in_time_is_whole(bench, world, toolbox, tmp_path):
    """Where no limit is met: each item and the whole are written down once, and the run costs what its items cost."""
    graph = Graph("g", ASKED, [over_items()], output="$all", limits=RunLimits(steps=1000, tokens=10**6))
    told, took_s = driven(bench, graph, world({"reply": lambda body: "yes"}), toolbox(), tmp_path)
    assert (told.run.status, len(told.steps)) == ("done", 2 * len(ITEMS) + 1)
    assert took_s < MOST_CPU_S


def test_whoever_follows_a_run_of_many_entries_hears_each_once_and_reads_the_store_seldom(
    bench, world, toolbox, tmp_path, monkeypatch
):
    """Also where it ends at a limit in the middle of the list."""
    reads, get = [], Runtime.get

    async def counted(runtime, run):
        reads.append(run)
        return await get(runtime, run)

    monkeypatch.setattr(Runtime, "get", counted)
    for n, limits in enumerate((RunLimits(steps=1000, tokens=10**6), RunLimits(steps=250, tokens=10**6))):
        graph, heard = Graph("g", ASKED, [over_items()], output="$all", limits=limits), []
        folder = tmp_path / str(n)
        folder.mkdir()
        told, took_s = driven(bench, graph, world({"reply": lambda body: "yes"}), toolbox(), folder, followed=heard)
        numbers = [event.data["n"] for event in heard if event is not None and event.name == "step"]
        assert numbers == list(range(len(told.steps)))
        assert heard[-1].name == "end"
        assert took_s < MOST_CPU_S
    assert len(reads) < 30
