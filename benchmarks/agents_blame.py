"""Of seeded faults in agents and graphs: how often the right node is ranked first, is blamed, and how often nobody is blamed who is not to blame.

Each fault is laid at one node of a scripted agent (`perdure.testing.agents`) for some hours, after three days in which runs went well but for
one in twenty. Blame then looks as the loop does: journals first, at most 40 replays with one node swapped at a time. Two controls hold no fault
of a node at all: questions that are harder than before, and a fault that no swap and no journal shows.

    python benchmarks/agents_blame.py [--seeds 5] [--json FILE]

Scripted replays: nothing here says how well a model answers, only whether the arithmetic finds the node.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.graph import Graph, PromptNode, PythonNode, RuleNode, SearchNode
from perdure.assets.health import Finding, State
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact
from perdure.assets.tools import FeaturesTool, PredictTool, SearchTool, tool
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours, minutes
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.captured_runs import run_tables
from perdure.loop.work.runs.blaming import Found, find_blame
from perdure.loop.work.runs.gathering import gather
from perdure.loop.work.runs.kind import run_kind
from perdure.loop.work.runs.reading import Reader
from perdure.loop.work.runs.watched import watched_run
from perdure.surface.compose import open_ledger, open_place
from perdure.testing.agents import Flaw, Script, ScriptedReplays, every

T0 = datetime(2026, 3, 2, tzinfo=UTC)
FAULT = T0 + days(3)
NOW = FAULT + hours(12)
OBJECTIVE = task_success(over=hours(12)) >= 0.85
USUAL = {
    "agent:support": "support@1",
    "prompt:answer": "answer@1",
    "route:support": "route@1",
    "index:handbook": "handbook@1:7",
    "model:air_time": "air_time@1",
    "feature_view:weather": "weather@1",
}
GRAPH = {**{node: version for node, version in USUAL.items() if node != "agent:support"}, "graph:support": "support@1"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and who is to blame."""

    what: str
    node: str
    versions: Mapping[str, str] = field(default_factory=dict)
    flaws: Mapping[str, Flaw] = field(default_factory=dict)
    kind: str = "agent"
    miss: float = 0.05


FAULTS = (
    Fault("stale index: an old state is served", "index:handbook", {"index:handbook": "handbook@1:8"}, {"handbook@1:8": Flaw("stale", 0.7)}),
    Fault("worse prompt", "prompt:answer", {"prompt:answer": "answer@2"}, {"answer@2": Flaw("forgets", 0.6)}),
    Fault("broken tool", "tool:track", {}, {"tool:track": Flaw("fails", 0.6, FAULT)}),
    Fault("weaker model behind the route", "route:support", {"route:support": "route@2"}, {"route@2": Flaw("forgets", 0.5)}),
    Fault("wrong feature", "feature_view:weather", {}, {"feature_view:weather": Flaw("wrong", 0.7, FAULT)}),
    Fault("wrong unit from a model", "model:air_time", {"model:air_time": "air_time@2"}, {"air_time@2": Flaw("unit", 1.0)}),
    Fault("tool gives nothing", "tool:track", {}, {"tool:track": Flaw("empty", 0.6, FAULT)}),
    Fault("slow tool, times out", "tool:track", {}, {"tool:track": Flaw("times_out", 0.5, FAULT)}),
    Fault("injected document", "index:handbook", {"index:handbook": "handbook@1:8"}, {"handbook@1:8": Flaw("injected", 0.4)}),
    Fault("changed description of a tool", "agent:support", {"agent:support": "support@2"}, {"support@2": Flaw("wrong_tool", 0.7)}),
    Fault("rule of a graph changed", "graph:support", {"graph:support": "support@2"}, {"support@2": Flaw("misroutes", 0.6)}, kind="graph"),
    Fault("worse prompt, while index and model change too", "prompt:answer",
          {"prompt:answer": "answer@2", "index:handbook": "handbook@1:8", "model:air_time": "air_time@2"}, {"answer@2": Flaw("forgets", 0.6)}),
    Fault("control: harder questions", "", miss=0.45),
    Fault("control: harder questions, and a new index", "", {"index:handbook": "handbook@1:8"}, miss=0.45),
)  # fmt: skip


@tool
def track(parcel: int) -> dict[str, str]:
    """Where a parcel is."""
    return {"status": str(parcel)}


def _passed(text: str) -> str:
    return text


def declared(kind: str) -> Agent | Graph:
    """The agent or the graph whose runs are scripted."""
    success, healthy = [Exact()], [OBJECTIVE]
    if kind == "agent":
        tools = [
            SearchTool("handbook"),
            track,
            PredictTool("air_time", name="air_time"),
            FeaturesTool("weather", name="weather"),
        ]
        return Agent("support", prompt="answer", tools=tools, success=success, healthy=healthy)
    nodes = [
        RuleNode("way", [("$input.kind == 'parcel'", "parcel")], otherwise="other"),
        PromptNode("chat0", "answer", {"question": "$input.text"}),
        SearchNode("found", "handbook", "$input.text"),
        PythonNode("shown", _passed, {"text": "$found.hits"}),
        PromptNode("chat1", "answer", {"question": "$input.text"}),
    ]
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "kind": {"type": "string"}}}
    return Graph("support", schema, nodes, "$chat1", success=success, healthy=healthy)


def look(fault: Fault, seed: int, *, replays: bool = True) -> Found:
    """One fault, as the loop would find it."""
    settings = Settings(project=ProjectSettings(name="blame"))
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder), settings)
        place = open_place(Path(folder), settings, "bench", ledger)
        asset = _world(place, fault, seed)
        usual = USUAL if fault.kind == "agent" else GRAPH
        script = Script({**usual, **fault.versions}, dict(fault.flaws), fault.miss, kind=fault.kind)
        if replays:
            place = replace(place, open_replays=lambda: ScriptedReplays(script))
        kind = run_kind(fault.kind, [asset])
        [reading] = kind.signals["task_success"].observe(place, asset, OBJECTIVE.spec, NOW)
        finding = replace(OBJECTIVE.judge(reading), state=State.BROKEN)
        gathered = gather(place, Reader(), asset, [Finding(asset.name, OBJECTIVE.text(), finding.state, reading)], NOW)
        assert gathered is not None
        found = find_blame(place, asset, gathered, NOW)
        for store in (place.stores.ledger, place.stores.readings, place.stores.online, place.stores.results):
            store.close()
        return found


def _world(place: Workplace, fault: Fault, seed: int) -> Watched:
    usual = USUAL if fault.kind == "agent" else GRAPH
    before = Script(dict(usual), dict(fault.flaws), kind=fault.kind)
    after = Script({**usual, **fault.versions}, dict(fault.flaws), fault.miss, kind=fault.kind)
    told = every(T0, 200, minutes(20), before, first=1000 * seed)
    told += every(FAULT, 60, minutes(12), after, first=1000 * seed + 300)
    for name, frame in run_tables(told).items():
        place.stores.lake.append(name, frame.with_columns(pl.lit(1, pl.Int64).alias("batch")))
    own = f"{fault.kind}:support"
    with place.stores.ledger.transaction(actor="bench", at=T0, reason="declare") as session:
        for at, version in enumerate(dict.fromkeys([usual[own], after.versions[own]])):
            session.registry.put_version(Version(version, "support", fault.kind, {"n": at}, {}, {}, {}, T0, "bench"))
            session.pointers.set([Pointer("support", CHAMPION, version)])
    route = Route("support_route", [Target(Upstream("main", "https://main.example/v1"), "large")])
    prompt = Prompt("answer", [("user", "{{ question }}")], route="support_route", variables={"question": str})
    Project.of("blame", route, prompt)
    return watched_run(declared(fault.kind))


def main() -> None:
    """Print a row a fault, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for fault in FAULTS:
        found = [look(fault, seed) for seed in range(given.seeds)]
        alone = [look(fault, seed, replays=False) for seed in range(given.seeds)]
        rows.append(_row(fault, found, alone))
        print(_line(rows[-1]), flush=True)
    faults = [row for row in rows if row["node"]]
    right = sum(row["first"] == given.seeds for row in faults)
    print(f"\nthe right node first with every seed in {right} of {len(faults)} faults (bar: 8 of 10)")
    wrong = sum(row["wrongly_blamed"] for row in rows)
    print(f"blamed wrongly: {wrong} of {len(rows) * given.seeds}")
    if given.json:
        told = [
            {
                "what": row["what"],
                "ours": row["first"],
                "peer": given.seeds,
                "unit": "first",
                "ratio": row["first"] / given.seeds,
            }
            for row in faults
        ]
        given.json.write_text(json.dumps({"bench": "agents_blame", "agree": wrong == 0, "rows": told}, indent=1))


def _row(fault: Fault, found: list[Found], alone: list[Found]) -> dict[str, Any]:
    return {
        "what": fault.what,
        "node": fault.node,
        "first": sum(bool(each.ranked) and each.ranked[0].node == fault.node for each in found),
        "blamed": sum(each.first is not None and each.first.node == fault.node for each in found),
        "wrongly_blamed": sum(each.first is not None and each.first.node != fault.node for each in found),
        "first_alone": sum(bool(each.ranked) and each.ranked[0].node == fault.node for each in alone),
        "blamed_alone": sum(each.first is not None and each.first.node == fault.node for each in alone),
        "wrong_alone": sum(each.first is not None and each.first.node != fault.node for each in alone),
        "n": len(found),
        "replays": sum(each.n_replays for each in found) / len(found),
        "scores": [[(b.node, b.score) for b in each.ranked[:2]] for each in found],
    }


def _line(row: Mapping[str, Any]) -> str:
    n = row["n"]
    return (
        f"{row['what']:<48} {row['node'] or 'nobody':<22} first {row['first']}/{n}  blamed {row['blamed']}/{n}  wrongly {row['wrongly_blamed']}"
        f"   without replays: first {row['first_alone']}/{n} blamed {row['blamed_alone']} wrongly {row['wrong_alone']}   {row['replays']:.0f} replays"
        f"\n      {row['scores'][0]}"
    )


if __name__ == "__main__":
    main()
