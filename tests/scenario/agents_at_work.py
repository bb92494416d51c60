"""A world in which an agent or a graph works: scripted runs are captured, and the real loop keeps it and its nodes healthy on a settable clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from perdure.assets.agent import Agent, RunLimits
from perdure.assets.agent_objectives import task_success
from perdure.assets.graph import Graph, PromptNode, RuleNode, ToolNode
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.tools import Tool, tool
from perdure.assets.upstream import Upstream
from perdure.core.runs import RunKind
from perdure.core.settings import AgentSettings, CaptureSettings, ProjectSettings, Settings
from perdure.core.units import hours, per_month
from perdure.loop.work.indexes.kept import newest_census
from perdure.loop.work.versions import find_champion
from perdure.stores.capture.events import Feedback, RunTold
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.governance.telling import markdown
from perdure.surface.sdk import Perdure
from perdure.testing.agents import Flaw, Script, ScriptedReplays

T0 = datetime(2026, 3, 2, tzinfo=UTC)
GOOD, OTHER = "Answer from what the tools say.", "Answer briefly."
ACTS = Policy.act(ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20))
PRICES = UnitPrices(input=1.0, output=4.0)
STEADY = {"index:handbook": "handbook@1:7", "model:air_time": "air_time@1"}


@tool
def track(parcel: int) -> dict[str, str]:
    """Where a parcel is."""
    return {"status": f"in_hub_{parcel % 5}"}


@tool
def search_handbook(question: str) -> dict[str, Any]:
    """Search the handbook."""
    return {"hits": []}


@dataclass
class AgentWorld:
    """An agent `desk` over the prompt `answer`, the route `support` and tools."""

    kind: ClassVar[RunKind] = "agent"
    folder: Path
    words: str = GOOD
    tools: Sequence[Tool] = (track,)
    healthy: Sequence[Any] = (task_success(over=hours(12)) >= 0.8,)
    per_hour: int = 6
    replays: bool = True
    flaws: dict[str, Flaw] = field(default_factory=dict)
    success: Sequence[Any] = (Exact(),)
    limits: RunLimits = field(default_factory=RunLimits)
    policy: Policy = ACTS
    beside: Sequence[Any] = ()
    """Assets that the project declares too, such as an index."""
    now: datetime = T0
    n: int = 0

    def __post_init__(self) -> None:
        self.open()
        self.perdure.apply(at=self.now)

    def open(self) -> None:
        """The project as it is declared now."""
        route = Route(
            "support", [Target(Upstream("main", "https://main.example/v1"), "large", prices=PRICES)], policy=ACTS
        )
        prompt = Prompt(
            "answer", [("system", self.words), ("user", "{{ question }}")], route="support",
            variables={"question": str}, policy=ACTS,
        )  # fmt: skip
        settings = Settings(project=ProjectSettings(name="agents"), agents=AgentSettings(replays=24))
        self.perdure = Perdure(
            self.folder, settings, project=Project.of("agents", route, prompt, self.declared(), *self.beside)
        )
        self.replaying = ScriptedReplays(self.script())
        opens = (lambda: self.replaying) if self.replays else None
        self.perdure.place = replace(self.perdure.place, open_replays=opens)

    def declared(self) -> Agent | Graph:
        """What works here."""
        return Agent(
            "desk", prompt="answer", tools=self.tools, success=self.success, healthy=list(self.healthy),
            limits=self.limits, policy=self.policy,
        )  # fmt: skip

    def script(self) -> Script:
        """Its runs by what answers now."""
        nodes = {f"{self.kind}:desk": "desk", "prompt:answer": "answer", "route:support": "support"}
        champions = {node: self.version(name) for node, name in nodes.items()}
        return Script({**STEADY, **champions, **self._index()}, self.flaws, name="desk", kind=self.kind)

    def _index(self) -> dict[str, str]:
        version = self.version("handbook")
        census = newest_census(self.perdure.place, "handbook", version) if version else None
        return {} if census is None else {"index:handbook": f"{version}:{census.generation}"}

    def version(self, name: str) -> str:
        """Of what answers; empty where nothing does."""
        found = find_champion(self.perdure.place.stores.ledger, name)
        return found.id if found else ""

    def redeclare(self, unproven: str = "", **members: Any) -> list[Any]:
        """Declare something else, and apply it; what `apply` tells of the agent."""
        for name, value in members.items():
            setattr(self, name, value)
        self.now += timedelta(minutes=1)
        self.open()
        told = self.perdure.apply(at=self.now, unproven=unproven)
        return [each for each in told if each.asset == "desk" and each.what not in ("changed", "unchanged")]

    def live(self, n_hours: float, *, say: Callable[[RunTold], float] | None = None) -> None:
        """Runs, and a round each hour; `say`: what people say of a run."""
        until = self.now + hours(n_hours)
        while self.now < until:
            self._serve(say)
            self.now += hours(1)
            self.replaying.script = self.script()
            self.perdure.tick(at=self.now)

    def _serve(self, say: Callable[[RunTold], float] | None) -> None:
        script = self.script()
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings())
        for place in range(self.per_hour):
            told = script.run(self.n, self.now + place * hours(1) / (self.per_hour + 1))
            self.n += 1
            writer.append(told)
            if say is not None:
                at_us = told.run.ended_us
                writer.append(Feedback(told.run.id, at_us, at_us, "key", "success", float(say(told))))
        writer.close()

    def incidents(self, name: str = "desk") -> list[Any]:
        """Of an asset, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each for each in session.incidents.list() if each.asset == name]

    def blame(self) -> Any:
        """What was found last; None: nothing was looked for."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.cursors.get("blame/desk")

    def story(self, name: str = "desk") -> str:
        """What `perdure explain` tells of its newest incident."""
        return markdown(self.perdure.explain(name))


@dataclass
class GraphWorld(AgentWorld):
    """The same as a graph: a rule, the tool, and two questions to the prompt."""

    kind: ClassVar[RunKind] = "graph"
    way: str = "parcel"
    """What the rule looks for."""

    def declared(self) -> Graph:
        """A rule says which way it goes."""
        asked = {"type": "object", "properties": {"task": {"type": "string"}, "parcel": {"type": "integer"}},
                 "required": ["task", "parcel"]}  # fmt: skip
        nodes = [
            RuleNode("way", [(f"$input.task == '{self.way}'", self.way)], otherwise="other"),
            PromptNode("chat0", "answer", {"question": "$input.task"}),
            ToolNode("found", track, {"parcel": "$input.parcel"}),
            PromptNode("chat1", "answer", {"question": "{{ $way.value }}: {{ $chat0.text }} {{ $found.status }}"}),
        ]
        return Graph(
            "desk", asked, nodes, "$chat1.text", success=self.success, healthy=list(self.healthy), limits=self.limits,
            policy=self.policy,
        )  # fmt: skip


__all__ = ["GOOD", "OTHER", "T0", "AgentWorld", "Flaw", "GraphWorld", "search_handbook", "track"]
