"""A world in which a judge lives: answers are judged by the version that the pointer names, some are labelled by people.

The models behind its routes are fakes; asking, ledger, blobs and readings are the real ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perdure.assets.eval_objectives import judge_agreement, judge_shift
from perdure.assets.judge import Judge
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.route import Route, Target
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer
from perdure.core.settings import ProjectSettings, Settings
from perdure.core.units import days, hours, per_month
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.round import RoundReport
from perdure.loop.work.judges.asking import judge_cases
from perdure.loop.work.judges.queue import draw
from perdure.loop.work.making import make_version
from perdure.loop.work.versions import get_version
from perdure.stores.ledger.protocols import ReviewLabel
from perdure.surface.sdk import Perdure
from perdure.testing.evals import FakeAnswerer, FakeJudge

T0 = datetime(2025, 5, 1, tzinfo=UTC)
SETTINGS = Settings(project=ProjectSettings(name="judged"))
Labeller = Callable[[random.Random, Mapping[str, Any]], dict[str, float]]
"""A case → what each person says of it."""


def truth(told: Mapping[str, Any]) -> float:
    """A sum is right or wrong."""
    question = told["inputs"]["question"].split()
    return float(int(question[2]) + int(question[4]) == int(told["answer"].split()[0]))


def a_sum(rng: random.Random) -> Judgeable:
    """A sum, right or wrong by a coin."""
    a, b = rng.randrange(100), rng.randrange(100)
    off = rng.choice([0, rng.randrange(1, 9)])
    return Judgeable.of({"question": f"What is {a} plus {b} ?"}, [f"{a + b + off} is the sum."])


def ana(_rng: random.Random, told: Mapping[str, Any]) -> dict[str, float]:
    """One person who knows."""
    return {"ana": truth(told)}


def anchor_file(folder: Path, n: int = 90, seed: int = 5) -> Path:
    """An anchor set of sums."""
    rng, lines = random.Random(seed), []
    for _ in range(n):
        case = a_sum(rng)
        label = "good" if truth({"inputs": case.inputs, "answer": case.answers[0]}) else "bad"
        lines.append({"inputs": case.inputs, "answer": case.answers[0], "label": label, "labeller": "ana"})
    path = folder / "sums.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return path


@dataclass
class JudgeWorld:
    """A judge with its stores, from its first release on."""

    folder: Path
    judges: dict[str, FakeJudge]
    labeller: Labeller = ana
    declared: dict[str, Any] = field(default_factory=dict)
    n_anchor: int = 90
    n_drawn: float = 12.0
    day: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(3)
        usual: dict[str, Any] = {
            "anchor": anchor_file(self.folder, self.n_anchor),
            "healthy": [judge_agreement(over=days(3)) >= 0.8, judge_shift(over=days(2)) <= 0.1],
            "policy": Policy.act(ramp=Ramp(hours(0), hours(0), 0.5), watch=days(1), retrains=per_month(8)),
        }
        self.judge = Judge("sums", "The answer is the sum that was asked for.", "judges", **{**usual, **self.declared})
        target = Target(Upstream("fake", "https://fake.example/v1"), "judge-1")
        routes = [Route(name, [target]) for name in self.judges]
        self.perdure = Perdure(self.folder, SETTINGS, project=Project.of("judged", self.judge, *routes))
        self.fakes = FakeAnswerer(self.judges)
        self.place = replace(self.perdure.place, open_answerer=lambda: self.fakes)
        # Everything else is as a project has it: kinds, checks and rounds are those that are wired.
        self.perdure.__dict__["place"] = self.place
        first = make_version(self.place, "sums", "judge", self.judge.definition(), {}, T0)
        with self.place.transaction(T0, "first") as session:
            session.pointers.set([Pointer("sums", CHAMPION, first.id)])
        self.first = first.id

    def at(self, day: float) -> datetime:
        """The instant of a day."""
        return T0 + timedelta(days=day)

    def live(self, until: float) -> list[RoundReport]:
        """Half days: answers are judged, some drawn and labelled, then a round."""
        rounds = []
        while self.day < until:
            self._half_day()
            self.day += 0.5
            rounds.append(self.perdure.tick(at=self.at(self.day)))
        return rounds

    def _half_day(self) -> None:
        champion = get_version(self.place.stores.ledger, self.champion())
        cases = [a_sum(self.rng) for _ in range(24)]
        found = judge_cases(self.place, champion.definition, cases, {})
        judged = [(case, found[case.id]) for case in {case.id: case for case in cases}.values()]
        asked = draw(self.place, self.judge, champion, judged, self.n_drawn, self.at(self.day))
        by_key = {f"case:{case.id}:{champion.id}": case for case in cases}
        labels = [
            ReviewLabel(review.id, who, value, self.at(self.day + 0.3), source="test")
            for review in asked
            if not review.labels and (case := by_key.get(review.key))
            for who, value in self.labeller(self.rng, {"inputs": case.inputs, "answer": case.answers[0]}).items()
        ]
        with self.place.transaction(self.at(self.day + 0.3), "labelled") as session:
            session.reviews.label(labels)

    def champion(self) -> str:
        """The version that answers."""
        with self.place.stores.ledger.read() as session:
            return next(each.version for each in session.pointers.list("sums") if each.name == CHAMPION)

    def entries(self, action: str) -> list[Any]:
        """Facts of audit entries of an action."""
        with self.place.stores.ledger.read() as session:
            return [entry.facts for entry in session.audit.list(limit=100_000) if entry.action == action]

    def incidents(self) -> list[Any]:
        """All, oldest first."""
        with self.place.stores.ledger.read() as session:
            return session.incidents.list()

    def agrees(self, n: int = 100) -> float:
        """Share of new cases on which what answers now says what is right."""
        rng = random.Random(77)
        cases = {case.id: case for case in (a_sum(rng) for _ in range(n))}
        champion = get_version(self.place.stores.ledger, self.champion())
        found = judge_cases(self.place, champion.definition, list(cases.values()), {})
        right = [
            found[case.id].value == truth({"inputs": case.inputs, "answer": case.answers[0]}) for case in cases.values()
        ]
        return sum(right) / len(right)
