"""Runs of graphs under kill −9: processes that drive them die at random instants; a person answers; the world is looked at in the end.

Run as a program with a folder, a number of kills and a seed, it prints what came of it. See `runs_killed`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

from acting import NOBODY, Tools, gave, new_run, offered
from msgspec.structs import replace
from runs_killed import TTL_S, Chaos, Told, World, main

from perdure.assets.agent import RunLimits
from perdure.assets.graph import Graph, PromptNode, PythonNode, RuleNode, ToolNode
from perdure.assets.tools import tool
from perdure.assets.version import Version
from perdure.core.clock import EPOCH
from perdure.core.usage import Usage
from perdure.serve.graphs.driving import GraphDriver
from perdure.serve.graphs.loading import GraphLoader
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.protocols import ChatSaid
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.stores.runs.protocols import Wanted
from perdure.stores.runs.sqlite import SqliteRuns

ASKED = {
    "type": "object",
    "properties": {"words": {"type": "array", "items": {"type": "string"}}},
    "required": ["words"],
}


@tool(effect="keyed")
def book(word: str) -> str:
    """Book it."""
    return word


@tool(effect="once", approve_by="boss")
def send(words: list[str]) -> str:
    """Send them."""
    return str(words)


def joined(words: list[str]) -> str:
    return " ".join(words)


GRAPH = Graph(
    "desk",
    ASKED,
    [
        PromptNode("all", "reply", variables={"word": "$each"}, each="$input.words", side_by_side=2),
        ToolNode("booked", book, arguments={"word": "$input.words[0]"}),
        PromptNode("bad", "broken", fallback="instead", tries=1),
        RuleNode("instead", [], otherwise="stood in", only_as_fallback=True),
        PythonNode("line", joined, inputs={"words": "$input.words"}, after=["all"]),
        ToolNode("sent", send, arguments={"words": "$input.words"}, after=["line"]),
        PromptNode("last", "reply", variables={"word": "$line.value"}, when="$sent"),
    ],
    output={"all": "$all", "booked": "$booked.value", "bad": "$bad.value", "last": "$last.text"},
    limits=RunLimits(steps=1000),
)
"""Its tool `sent` waits for a yes; a no ends the run."""


class Models:
    """Answers chats after a while."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    async def chat(self, body, caller, run, tags):
        await asyncio.sleep(self.draw.random() * 0.02)
        if body["model"] == "prompt:broken":
            raise ValueError("broken")
        said = body["variables"]["word"].upper()
        return ChatSaid({"content": said}, "stop", Usage(n_input=1), 5, "call", {body["model"]: "reply@1"}, 1)


async def work(root: Path, seed: int) -> None:
    """One process: drives runs until it is killed."""
    world, draw = World(root / "world.db"), random.Random(seed)

    async def act(asked, context):
        await asyncio.sleep(draw.random() * 0.01)
        key = context.key if asked.name == "book" else f"{context.run.id} {asked.call} {draw.random()}"
        await asyncio.to_thread(world.change, context.run.id, asked.call, key)
        await asyncio.sleep(draw.random() * 0.01)
        return gave(asked.arguments.get("word", "sent"))

    tools = Tools(
        [offered("book", effect="keyed"), offered("send", effect="once", approve_by="boss")], {"book": act, "send": act}
    )
    version = Version("desk@1", "desk", "graph", GRAPH.definition(), {}, {}, {}, EPOCH)
    live = GraphLoader({"desk": GRAPH}).load(version, trusted=True)

    async def prepare(run):
        return Prepared(live, tools, live.limits)

    parts = Parts({"graph": GraphDriver()}, prepare, lambda run: NOBODY, Models(draw), Told(root / "told"))
    served = Served(lambda: ["desk"], lambda kind, asset, parent: (f"{asset}@1", "champion"))
    runtime = Runtime(SqliteRuns(root / "runs.db"), parts, served, Terms(poll_s=0.02, ttl_s=TTL_S))
    runtime.start()
    await asyncio.Event().wait()


class GraphChaos(Chaos):
    """A trial of graphs."""

    work = staticmethod(work)

    def begin(self, store):
        id_ = f"run_{len(self.scripts):05}"
        self.scripts[id_] = words = [f"{id_[-2:]}{n}" for n in range(self.draw.randint(1, 4))]
        run = replace(new_run(id_, kind="graph"), input=json.dumps({"words": words}).encode())
        store.begin(run, "nobody", 0)


def failures(trial: GraphChaos) -> list[str]:
    """What is not as promised, in words."""
    counts, wrong = trial.world.counts(), []
    with trial.store() as store:
        runs = [store.get(run.id) for run in store.list(Wanted(limit=100_000))]
    for told in runs:
        run, words = told.run, trial.scripts[told.run.id]
        refused = any(not wait.answer.approves for wait in told.waits if wait.question == "approve")
        if run.status != ("failed" if refused else "done"):
            wrong.append(f"{run.id} is {run.status}: {run.why} {run.text}")
        expected = {
            "all": [{"text": word.upper()} for word in words], "booked": words[0], "bad": "stood in",
            "last": " ".join(words).upper(),
        }  # fmt: skip
        if not refused and json.loads(run.output) != expected:
            wrong.append(f"{run.id} gave {run.output!r}")
        over = Counter(step.call for step in told.steps if step.kind == "node")
        wrong += [f"{run.id} computed {call} {n} times" for call, n in over.items() if n != 1]
        effects = {"booked": counts.get((run.id, "booked"), 0), "sent": counts.get((run.id, "sent"), 0)}
        if effects != {"booked": 1, "sent": int(not refused)}:
            wrong.append(f"{run.id} did {effects}")
    wrong += [f"{id_} is not there" for id_ in set(trial.scripts) - {told.run.id for told in runs}]
    return wrong


def summary(trial: GraphChaos) -> dict[str, float]:
    """The trial in figures."""
    return {"kills": trial.killed, "runs": len(trial.scripts), "effects": len(trial.world.counts()),
            "happened": trial.questions["happened"], "seconds": round(trial.took_s, 1)}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(GraphChaos, failures, summary))
