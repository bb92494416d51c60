"""A world in which a prompt lives: instant models behind its route, suites, and the real loop on a settable clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perdure.assets.eval_objectives import eval_score
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION
from perdure.core.settings import EvalSettings, ProjectSettings, Settings
from perdure.core.units import days, hours, minutes, per_month
from perdure.loop.protocols import LEASE
from perdure.loop.work.evals.running import RunOptions, run_suite
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.versions import find_champion, get_version
from perdure.surface.sdk import Perdure
from perdure.testing.prompts import Desk, Instant, countries

T0 = datetime(2026, 3, 2, tzinfo=UTC)
BASE = "Answer briefly."
GOOD = "Answer with the city only."
BAD = "Answer as a pirate."
SKILLS = {"briefly": 0.6, "pirate": 0.2, "city only": 0.95}
PRICES = UnitPrices(input=1.0, output=4.0)
OLD = Target(Upstream("main", "https://main.example/v1"), "large", prices=PRICES)
NEW = Target(Upstream("main", "https://main.example/v1"), "small", prices=PRICES)


@dataclass
class PromptWorld:
    """A prompt with a primary suite; `say` declares other words for it."""

    folder: Path
    n_cases: int = 120
    desk: Desk | None = None
    role: str = "primary"
    settings: dict[str, Any] = field(default_factory=dict)
    """What the suite declares otherwise."""
    healthy: Sequence[Any] = ()
    targets: Sequence[Target] = (OLD,)
    words: str = BASE
    suites: Sequence[Suite] | None = None
    injected: int = 0
    budget_usd: float = 0.0
    desks: dict[str, Desk] = field(default_factory=dict)
    """By target, where another one than `desk` stands behind it."""

    def __post_init__(self) -> None:
        self.cases, answers = countries(self.n_cases, injected=self.injected)
        self.desk = self.desk or Desk(answers, SKILLS)
        self.desk.answers = answers
        self.now, self.days = T0, 0.0
        self.open()

    def open(self) -> Perdure:
        """The project as it is declared now, in a process of its own as it were."""
        declared: dict[str, Any] = {
            "prompt": "answer",
            "role": self.role,
            "improve_share": 0.3,
            "margin": 0.05,
            **self.settings,
        }
        suites = self.suites if self.suites is not None else [Suite("cities", self.cases, [Exact()], **declared)]
        policy = Policy.act(
            ramp=Ramp(hours(0), hours(1), 0.3), watch=hours(2), cool_down=hours(1), retrains=per_month(20)
        )
        prompt = Prompt(
            "answer", [("system", self.words), ("user", "{{ question }}")], route="support",
            variables={"question": str}, healthy=list(self.healthy), policy=policy,
        )  # fmt: skip
        route = Route("support", list(self.targets))
        settings = Settings(project=ProjectSettings(name="prompted"), evals=EvalSettings(budget_usd=self.budget_usd))
        self.perdure = Perdure(self.folder, settings, project=Project.of("prompted", route, prompt, *suites))
        self.perdure.place = replace(self.perdure.place, open_answerer=lambda: Instant(self._desk_of))
        return self.perdure

    def _desk_of(self, route: str) -> Desk:
        """Who answers for a route, or for a version of it: by its first target."""
        name, _, version = route.partition("@")
        ledger = self.perdure.place.stores.ledger
        found = get_version(ledger, route) if version else find_champion(ledger, name)
        return self.desks.get(target_ids(found.definition)[0], self.desk) if found else self.desk

    def say(self, words: str, **apply: Any) -> Any:
        """Declare other words, and apply them; what is told of the prompt."""
        self.words = words
        self.open()
        return self.apply(**apply)

    def apply(self, **given: Any) -> Any:
        """What `apply` tells of the prompt's release; None where it tells nothing."""
        self.now += minutes(1)
        changes = self.perdure.apply(at=self.now, **given)
        told = [
            each for each in changes if each.asset == "answer" and each.what not in ("declared", "changed", "unchanged")
        ]
        return told[-1] if told else None

    def applied(self) -> list[Any]:
        """Everything that `apply` tells."""
        self.now += minutes(1)
        return self.perdure.apply(at=self.now)

    def route_version(self) -> str:
        """The version of the route that answers."""
        found = find_champion(self.perdure.place.stores.ledger, "support")
        return found.id if found else ""

    def live(self, n_hours: float, every: float = 1.0) -> None:
        """Rounds of the loop, an hour apart."""
        until = self.now + hours(n_hours)
        with self.perdure.hold_lease() as held:
            while self.now < until:
                self.now += hours(every)
                self.perdure.loop.tick(self.now, held.lease)

    def ask(self, run: str, *, fresh: bool = False) -> Any:
        """Run the suite of what answers, as a schedule would."""
        suite, options = self.perdure.project.suites["cities"], RunOptions(use_known=False if fresh else None)
        return run_suite(self.perdure.place, suite, [self.champion_version()], run, self.now, options)

    def champion_version(self) -> Any:
        """The version that answers."""
        return find_champion(self.perdure.place.stores.ledger, "answer")

    def champion(self) -> str:
        """Its system message."""
        return str(self.champion_version().definition["messages"][0]["content"])

    def incidents(self) -> list[Any]:
        """Of the prompt, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each for each in session.incidents.list() if each.asset == "answer"]

    def said(self, action: str) -> list[Any]:
        """Facts of audit entries of an action, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each.facts for each in session.audit.list(limit=100_000) if each.action == action]

    def verdicts(self) -> dict[str, Any]:
        """Of the newest verification, by gate."""
        told = [each for each in self.said("loop.verify") if each["stage"] == "verify"]
        return {verdict["gate"]: verdict for trial in told[-1]["trials"] for verdict in trial["verdicts"]}


def score(bound: float = 0.5) -> Any:
    """The objective on the world's suite."""
    return eval_score(suite="cities", over=days(2)) >= bound


__all__ = [
    "BAD",
    "BASE",
    "CHAMPION",
    "GOOD",
    "LEASE",
    "NEW",
    "OLD",
    "PRICES",
    "SKILLS",
    "T0",
    "Case",
    "PromptWorld",
    "score",
]
