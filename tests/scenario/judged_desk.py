"""A prompt whose production a judge judges: calls are captured, the model behind the judge is a fake, stores and rounds are real."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from perdure.assets.eval_objectives import online_score
from perdure.assets.health import Reading
from perdure.assets.judge import Judge
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact, Judged
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.core.clock import to_us
from perdure.core.ports import Answered, Asked
from perdure.core.settings import CaptureSettings, EvalSettings, ProjectSettings, Settings
from perdure.core.units import days
from perdure.core.usage import Usage
from perdure.loop.work.evals.running import ONLINE
from perdure.loop.work.judges.measuring import measure
from perdure.loop.work.prompts.online_judged import Sampled, sample_of, scorer_by
from perdure.loop.work.prompts.signals import prompt_signals
from perdure.loop.work.versions import find_champion
from perdure.stores.capture.events import Call
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.ledger.protocols import Run
from perdure.surface.sdk import Perdure
from perdure.testing.evals import FakeAnswerer, FakeJudge

T0 = datetime(2026, 3, 2, 6, tzinfo=UTC)
COST = 1_000_000
"""Picodollars of a question to the judge."""
PRICE = UnitPrices(input=0.001, output=0.001)
SPEC = online_score(scorer="right", over=days(1))


class Killed(BaseException):
    """The process is gone."""


def truth(told: Any) -> float:
    """A sum is right or wrong."""
    question = told["inputs"]["messages"][0]["content"].split()
    return float(int(question[2]) + int(question[4]) == int(told["answer"].split()[0]))


@dataclass
class Counted(FakeAnswerer):
    """Counts what it is asked of production, and may be killed at a question."""

    asked_of: list[str] = field(default_factory=list)
    killed_at: int = 10**9
    refused: set[str] = field(default_factory=set)
    """Cases that the judge's route does not let through."""

    async def ask(self, asked: Asked) -> Answered:
        if len(self.asked_of) + 1 >= self.killed_at:
            raise Killed
        self.asked_of.append(asked.tags["case"])
        if asked.tags["case"] in self.refused:
            return Answered({}, error="guard_blocked")
        return replace(await super().ask(asked), cost_pusd=COST)


def a_sum(rng: random.Random, right: float) -> tuple[str, str]:
    a, b = rng.randrange(1000), rng.randrange(1000)
    off = 0 if rng.random() < right else rng.randrange(1, 9)
    return f"What is {a} plus {b} ?", f"{a + b + off} is the sum."


def anchor_file(folder: Path, n: int = 120) -> Path:
    rng, lines = random.Random(5), []
    for _ in range(n):
        question, answer = a_sum(rng, 0.5)
        inputs = {"messages": [{"role": "user", "content": question}]}
        label = "good" if truth({"inputs": inputs, "answer": answer}) else "bad"
        lines.append(json.dumps({"inputs": inputs, "answer": answer, "label": label, "labeller": "ana"}))
    path = folder / "sums.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


class Desk:
    """A prompt whose production a judge judges, with its stores."""

    def __init__(self, folder: Path, judge: FakeJudge, evals: EvalSettings | None = None, **of_route: Any) -> None:
        self.folder, self.rng, self.n = folder, random.Random(2), 0
        main = Upstream("main", "https://main.example/v1")
        declared = Judge("sums", "The answer is the sum.", "judges", anchor=anchor_file(folder))
        prompt = Prompt("answer", [("user", "{{ q }}")], "support", variables={"q": str}, healthy=[SPEC >= 0.7])
        scorers = [Exact(), Judged("sums", label="right", weight=0.0)]
        suite = Suite(
            "correct", [Case("a", {"q": "What is 1 plus 1 ?"}, "2")], scorers, prompt="answer", role="guarded"
        )
        routes = [Route("support", [Target(main, "m")], **of_route), Route("judges", [Target(main, "j", prices=PRICE)])]
        self.project = Project.of("desk", *routes, prompt, suite, declared)
        self.fakes = Counted({"judges": judge})
        settings = Settings(ProjectSettings("desk"), evals=evals or EvalSettings(batch_cases=20))
        self.perdure = Perdure(folder, settings, project=self.project)
        self.place = replace(self.perdure.place, open_answerer=lambda: self.fakes)
        self.perdure.__dict__["place"] = self.place
        self.perdure.apply(at=T0, unproven="The first.")
        found = find_champion(self.place.stores.ledger, "answer")
        assert found is not None
        self.version = found.id

    def calibrate(self, at: datetime = T0) -> None:
        """The judge beside people, as `perdure judge calibrate` does."""
        champion = find_champion(self.place.stores.ledger, "sums")
        assert champion is not None
        measure(self.place, self.project.judges["sums"], champion, at)
        self.fakes.asked_of.clear()

    def serve(self, n: int, at: datetime, right: float = 0.8, **other: Any) -> None:
        """So many answered calls, a second apart."""
        with self.place.stores.ledger.read() as session:
            generation = session.pointers.generation()
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
        for _ in range(n):
            self.n += 1
            question, answer = a_sum(self.rng, right)
            when = to_us(at) + self.n * 1_000_000
            fields: dict[str, Any] = {
                "id": f"c{self.n}", "route": "support", "endpoint": "chat", "served_us": when, "recorded_us": when,
                "generation": generation, "version": "support@1", "arm": "champion", "prompt": self.version, "key": "k", "team": "t",
                "affinity": "a", "stream": False, "status": 200, "outcome": "answered", "finish": "stop", "latency_us": 1000,
                "first_us": 900, "cache": "", "usage": Usage(), "cost_pusd": 1, "saved_pusd": 0, "attempts": [], "guards": [],
                "request": msgspec.json.encode([{"role": "user", "content": question}]),
                "answer": msgspec.json.encode([{"role": "assistant", "content": answer}]), "tags": {}, **other,
            }  # fmt: skip
            writer.append(Call(**fields))
        writer.close()

    def tick(self, at: datetime) -> list[Reading]:
        """A round; what the objective's signal says after it."""
        self.perdure.tick(at=at)
        return self.read(at)

    def read(self, at: datetime) -> list[Reading]:
        [asset] = [each for each in self.perdure.loop._watched if each.name == "answer"]
        return list(prompt_signals()["online_score"]().observe(self.place, asset, SPEC, at))

    def sampled(self, at: datetime) -> Sequence[Sampled]:
        """The answers that are waited for, in the order in which they are asked about."""
        [asset] = [each for each in self.perdure.loop._watched if each.name == "answer"]
        champion = find_champion(self.place.stores.ledger, "sums")
        assert champion is not None
        with self.perdure.hold_lease() as held:
            self.perdure.loop._drain.run(now=at, actor="test", lease=held.lease)
        return sample_of(self.place, asset, self.version, scorer_by(champion), SPEC, at).answers

    def rounds(self) -> list[Run]:
        with self.place.stores.ledger.read() as session:
            return [run for run in session.runs.list(limit=1000) if run.kind == ONLINE]
