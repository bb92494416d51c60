"""Runs of an agent whose success a judge alone says: it is asked in rounds, once an answer, and its corrected word breaks the objective."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from judged_desk import COST, PRICE, Counted, Killed

from perdure.assets.agent import Agent
from perdure.assets.agent_objectives import task_success
from perdure.assets.health import Reading, State
from perdure.assets.judge import Judge
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Judged
from perdure.assets.upstream import Upstream
from perdure.core.clock import to_us
from perdure.core.runs import RunRecord
from perdure.core.settings import CaptureSettings, EvalSettings, ProjectSettings, Settings
from perdure.core.units import hours
from perdure.core.usage import PICO
from perdure.loop.work.judges.measuring import measure
from perdure.loop.work.prompts.online_rounds import newest_round, spent_today
from perdure.loop.work.runs.kind import run_kind
from perdure.loop.work.versions import find_champion
from perdure.stores.capture.events import Feedback, RunTold
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.sdk import Perdure
from perdure.testing.evals import FakeJudge

pytestmark = pytest.mark.scenario

T0 = datetime(2026, 3, 2, 6, tzinfo=UTC)
HEALTHY = task_success(over=hours(12)) >= 0.7


def truth(told: Any) -> float:
    """The answer is twice what the task says; what was expected is never shown."""
    assert "expected" not in told["inputs"]
    return float(int(told["answer"].split()[0]) == 2 * int(told["inputs"]["task"]))


class Doubling:
    """An agent that doubles numbers, with its stores."""

    def __init__(self, folder: Path, calibrated: bool = True, **evals: Any) -> None:
        self.folder, self.n = folder, 0
        lines = [
            {"inputs": {"task": str(n)}, "answer": str(2 * n + n % 2), "label": "bad" if n % 2 else "good", "labeller": "ana"}
            for n in range(120)
        ]  # fmt: skip
        (folder / "doubles.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
        main = Upstream("main", "https://main.example/v1")
        judge = Judge("doubles", "It is twice as much.", "judges", anchor=folder / "doubles.jsonl")
        prompt = Prompt("answer", [("user", "{{ task }}")], "support", variables={"task": str})
        agent = Agent("desk", prompt="answer", success=[Judged("doubles", label="right")], healthy=[HEALTHY])
        routes = [Route("support", [Target(main, "m")]), Route("judges", [Target(main, "j", prices=PRICE)])]
        self.project = Project.of("desk", *routes, prompt, agent, judge)
        self.fakes = Counted({"judges": FakeJudge(truth, noise=0.03)})
        settings = Settings(ProjectSettings("desk"), evals=EvalSettings(**{"batch_cases": 200, **evals}))
        self.perdure = Perdure(folder, settings, project=self.project)
        self.place = replace(self.perdure.place, open_answerer=lambda: self.fakes)
        self.perdure.__dict__["place"] = self.place
        self.perdure.apply(at=T0, unproven="The first.")
        if calibrated:
            champion = find_champion(self.place.stores.ledger, "doubles")
            assert champion is not None
            measure(self.place, judge, champion, T0)
        self.fakes.asked_of.clear()

    def serve(self, n: int, at: datetime, right: bool, said: float | None = None, **more: Any) -> None:
        """So many runs, a second apart."""
        found = find_champion(self.place.stores.ledger, "desk")
        assert found is not None
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
        for _ in range(n):
            self.n += 1
            at_us = to_us(at) + self.n * 1_000_000
            members: dict[str, Any] = {
                "status": "done", "input": json.dumps({"task": str(self.n), "expected": "x"}).encode(),
                "output": json.dumps({"text": str(2 * self.n + (not right))}).encode(), **more,
            }  # fmt: skip
            run = RunRecord(
                id=f"run_{self.n}", kind="agent", asset="desk", version=found.id, arm="champion", served_us=at_us,
                began_us=at_us, ended_us=at_us + 1_000_000, **members,
            )  # fmt: skip
            writer.append(RunTold(run=run, steps=[], waits=[], recorded_us=at_us + 1_000_000))
            if said is not None:
                writer.append(Feedback(run.id, at_us + 2_000_000, self.n, "k", "resolved", said))
        writer.close()

    def tick(self, at: datetime) -> Reading:
        """A round; what success is after it."""
        self.perdure.tick(at=at)
        return self.read(at)

    def read(self, at: datetime) -> Reading:
        [asset] = [each for each in self.perdure.loop._watched if each.name == "desk"]
        found: Sequence[Reading] = (
            run_kind("agent").signals["task_success"].observe(self.place, asset, HEALTHY.spec, at)
        )
        [reading] = found
        return reading


def test_success_falls_by_the_judge_s_word_alone_and_the_objective_breaks(tmp_path: Path) -> None:
    """Forty good runs, then forty bad ones half a day later: no feedback, no scorer that computes."""
    desk = Doubling(tmp_path)
    desk.serve(40, T0, right=True)
    before = desk.tick(T0 + hours(1))
    assert (before.n, before.facts["n_by_judge"], len(desk.fakes.asked_of)) == (40, 40, 40)
    assert before.value is not None
    assert before.value > 0.9
    assert before.facts["judges"]["right"]["method"] in ("ppi++", "rogan-gladen")
    assert HEALTHY.judge(before).state is State.HEALTHY

    desk.serve(40, T0 + hours(13), right=False)
    desk.tick(T0 + hours(14))
    report = desk.perdure.tick(at=T0 + hours(18))
    after = desk.read(T0 + hours(18))
    assert (after.value or 0.0) < 0.15 < (before.low or 0.0)
    assert after.facts["runs"]
    assert "task_success" in {finding.reading.signal for finding in report.broken}
    assert len(desk.fakes.asked_of) == len(set(desk.fakes.asked_of)) == 80, "each answer once"


def test_a_worker_that_is_killed_asks_nothing_twice_and_the_day_s_money_holds(tmp_path: Path) -> None:
    """The money is for ten of thirty; the rest waits, and the figure says why."""
    desk = Doubling(tmp_path, online_usd=25 * COST / PICO, concurrency=1)
    desk.serve(30, T0, right=True)
    desk.fakes.killed_at = 5
    with pytest.raises(Killed):
        desk.perdure.tick(at=T0 + hours(1))
    assert newest_round(desk.place, "desk").status == "running"  # type: ignore[union-attr]

    desk.fakes.killed_at = 10**9
    reading = desk.tick(T0 + hours(1) + timedelta(minutes=1))
    n_asked = len(desk.fakes.asked_of)
    assert 0 < n_asked == len(set(desk.fakes.asked_of)) < 30
    assert spent_today(desk.place, T0 + hours(2)) == n_asked * COST <= 25 * COST
    assert reading.n == reading.facts["n_by_judge"] == n_asked
    assert reading.facts["partial"].startswith("what judges may cost in a day is spent")


def test_people_s_word_goes_before_the_judge_s_who_is_not_asked_then(tmp_path: Path) -> None:
    """Ten that people call bad beside thirty that the judge calls good, and two that failed: neither is asked about."""
    desk = Doubling(tmp_path)
    desk.serve(10, T0, right=True, said=0.0)
    desk.serve(30, T0, right=True)
    desk.serve(2, T0, right=True, status="failed", output=b"")
    reading = desk.tick(T0 + hours(1))
    assert len(desk.fakes.asked_of) == 30
    assert (reading.n, reading.facts["n_by_feedback"], reading.facts["n_by_judge"]) == (42, 10, 30)
    assert reading.value == pytest.approx(30 / 42, abs=0.05)
    assert (reading.low or 1.0) < 30 / 42 < (reading.high or 0.0)


def test_of_many_runs_a_sample_is_judged_and_failures_count_as_far_as_it_goes(tmp_path: Path) -> None:
    """A third of all fails; a sixth of all is judged, and success is still two thirds."""
    desk = Doubling(tmp_path, online_calls=60)
    desk.serve(200, T0, right=True)
    desk.serve(100, T0, right=True, status="failed", output=b"")
    reading = desk.tick(T0 + hours(1))
    assert reading.n == 60
    assert len(desk.fakes.asked_of) == reading.facts["n_by_judge"] < 55
    assert (reading.low or 1.0) < 2 / 3 < (reading.high or 0.0)


def test_a_judge_that_nobody_calibrated_is_not_asked_and_success_is_not_known(tmp_path: Path) -> None:
    desk = Doubling(tmp_path, calibrated=False)
    desk.serve(20, T0, right=False)
    reading = desk.tick(T0 + hours(1))
    assert (reading.value, desk.fakes.asked_of) == (None, [])
    assert "never calibrated" in reading.facts["text"]
