"""A world in which an agent works: scripted runs are captured, and the real loop keeps it and its nodes healthy on a settable clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.tools import PredictTool, Tool, tool
from perdure.assets.upstream import Upstream
from perdure.core.clock import to_us
from perdure.core.settings import AgentSettings, ProjectSettings, Settings
from perdure.core.units import days, hours, per_month
from perdure.loop.work.versions import find_champion
from perdure.stores.capture.events import Feedback
from perdure.surface.sdk import Perdure
from perdure.testing.agents import OWNERS, Flaw, Script, ScriptedReplays

T0 = datetime(2026, 3, 2, tzinfo=UTC)
GOOD, OTHER = "Answer from what the tools say.", "Answer briefly."
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
    """An agent `support` over the prompt `answer`, the route `support_route` and tools."""

    folder: Path
    words: str = GOOD
    tools: Sequence[Tool] = (track,)
    healthy: Sequence[Any] = (task_success(over=hours(12)) >= 0.8,)
    per_hour: int = 6
    replays: bool = True
    flaws: dict[str, Flaw] = field(default_factory=dict)
    success: Sequence[Any] = (Exact(),)
    targets: Sequence[str] = ("large",)

    def __post_init__(self) -> None:
        self.now, self.n, self.telling = T0, 0, True
        self.open()
        self.perdure.apply(at=self.now)

    def open(self) -> None:
        """The project as it is declared now."""
        acts = Policy.act(
            ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20)
        )
        upstream = Upstream("main", "https://main.example/v1")
        route = Route("support", [Target(upstream, model, prices=PRICES) for model in self.targets], policy=acts)
        prompt = Prompt(
            "answer", [("system", self.words), ("user", "{{ question }}")], route="support",
            variables={"question": str}, policy=acts,
        )  # fmt: skip
        agent = Agent(
            "desk", prompt="answer", tools=self.tools, success=self.success, healthy=list(self.healthy), policy=acts
        )
        settings = Settings(project=ProjectSettings(name="agents"), agents=AgentSettings(replays=24))
        self.perdure = Perdure(self.folder, settings, project=Project.of("agents", route, prompt, agent))
        self.replaying = ScriptedReplays(self.script())
        opens = (lambda: self.replaying) if self.replays else None
        self.perdure.place = replace(self.perdure.place, open_replays=opens)

    def script(self) -> Script:
        """The agent's runs by what answers now."""
        ledger = self.perdure.place.stores.ledger
        nodes = {"agent:desk": "desk", "prompt:answer": "answer", "route:support": "support"}
        champions = {node: found.id for node, name in nodes.items() if (found := find_champion(ledger, name))}
        return Script({"agent:desk": "", **STEADY, **champions}, self.flaws, name="desk")

    def version(self, name: str) -> str:
        """Of what answers."""
        found = find_champion(self.perdure.place.stores.ledger, name)
        return found.id if found else ""

    def say(self, words: str) -> None:
        """Declare other words, and apply them."""
        self.words = words
        self.redeclare()

    def redeclare(self) -> None:
        """Apply what is declared now."""
        self.now += timedelta(minutes=1)
        self.open()
        self.perdure.apply(at=self.now)

    def live(self, n_hours: float, *, say: Any = None) -> None:
        """Runs, and a round each hour; `say`: what people say of a run, by its record."""
        until = self.now + hours(n_hours)
        while self.now < until:
            self._serve(say)
            self.now += hours(1)
            self.replaying.script = self.script()
            self.perdure.tick(at=self.now)

    def _serve(self, say: Any) -> None:
        script = self.script()
        with _Writing(self) as writer:
            for place in range(self.per_hour):
                told = script.run(self.n, self.now + place * hours(1) / (self.per_hour + 1))
                self.n += 1
                writer.append(told)
                if say is not None:
                    value = say(told)
                    at_us = told.run.ended_us
                    writer.append(Feedback(told.run.id, at_us, at_us, "key", "success", float(value)))

    def incidents(self, name: str = "desk") -> list[Any]:
        """Of an asset, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each for each in session.incidents.list() if each.asset == name]

    def blame(self) -> Any:
        """What was found last."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.cursors.get("blame/desk")

    def questions(self) -> list[Any]:
        """Open approvals."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.approvals.list(open_only=True)


class _Writing:
    """A segment writer of the world's capture."""

    def __init__(self, world: AgentWorld) -> None:
        from perdure.stores.capture.segments import SegmentWriter

        root = world.folder / world.perdure.settings.stores.root / "capture"
        self._writer = SegmentWriter(root, world.perdure.settings.capture)

    def __enter__(self) -> Any:
        return self._writer

    def __exit__(self, *_: object) -> None:
        self._writer.close()


__all__ = ["GOOD", "OTHER", "OWNERS", "T0", "AgentWorld", "Flaw", "PredictTool", "days", "search_handbook", "to_us", "track"]
