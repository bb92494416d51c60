"""What is measured of a prompt's production, read off captured calls: approval, support of claims, scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from perdure.assets.eval_objectives import hallucination_ratio, online_score, unapproved_ratio
from perdure.assets.health import State
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact, Matches
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.core.clock import to_us
from perdure.core.settings import CaptureSettings, ProjectSettings, Settings
from perdure.core.units import hours
from perdure.core.usage import Usage
from perdure.loop.work.prompts.causes import UnapprovedServed
from perdure.loop.work.prompts.signals import prompt_signals
from perdure.loop.work.prompts.tested import watched_prompt
from perdure.stores.capture.events import Call
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.sdk import Perdure

T0 = datetime(2026, 3, 2, tzinfo=UTC)
SUITE = Suite(
    "polite", [Case("a", {"question": "Why?"}, "So")], [Matches("^Dear"), Exact()], prompt="answer", role="guarded"
)


@dataclass
class Served:
    """A project whose calls are written down."""

    folder: Any
    n: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def release(self, words: str, at: datetime) -> str:
        """Declare and release a wording; its version."""
        prompt = Prompt(
            "answer", [("system", words), ("user", "{{ question }}")], route="support", variables={"question": str}
        )
        route = Route("support", [Target(Upstream("main", "https://main.example/v1"), "m")])
        self.perdure = Perdure(
            self.folder, Settings(ProjectSettings("served")), project=Project.of("served", route, prompt)
        )
        self.perdure.apply(at=at)
        self.asset = watched_prompt(prompt, [SUITE])
        with self.perdure.place.stores.ledger.read() as session:
            self.generation = session.pointers.generation()
            self.versions[words] = next(p.version for p in session.pointers.list("answer"))
        return self.versions[words]

    def call(self, version: str, at: datetime, said: str = "Yes.", **other: Any) -> None:
        """A call that a version answered."""
        self.n += 1
        told = [{"role": "system", "content": "The bridge has 12 lanes. It was built in 1889."}]
        fields: dict[str, Any] = {
            "id": f"c{self.n}", "route": "support", "endpoint": "chat", "served_us": to_us(at), "recorded_us": to_us(at),
            "generation": self.generation, "version": "support@1", "arm": "champion", "prompt": version, "key": "k", "team": "t",
            "affinity": "a", "stream": False, "status": 200, "outcome": "answered", "finish": "stop", "latency_us": 1000,
            "first_us": 900, "cache": "", "usage": Usage(), "cost_pusd": 1, "saved_pusd": 0, "attempts": [], "guards": [],
            "request": msgspec.json.encode(told), "answer": msgspec.json.encode([{"role": "assistant", "content": said}]),
            "tags": {}, **other,
        }  # fmt: skip
        if not hasattr(self, "writer"):
            self.writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
        self.writer.append(Call(**fields))

    def measure(self, spec: Any, at: datetime) -> list[Any]:
        """What a signal says once all calls are in the lake."""
        self.writer.close()
        del self.writer
        with self.perdure.hold_lease() as held:
            self.perdure.loop.tick(at, held.lease)
        return list(prompt_signals()[spec.signal]().observe(self.perdure.place, self.asset, spec, at))


@pytest.fixture
def served(tmp_path) -> Served:
    """With one version released."""
    found = Served(tmp_path)
    found.release("Answer.", T0)
    return found


def test_calls_of_what_a_pointer_holds_are_approved(served):
    for minute in range(30):
        served.call(served.versions["Answer."], T0 + timedelta(minutes=minute + 1))
    [reading] = served.measure(unapproved_ratio(over=hours(2)), T0 + hours(1))
    assert (reading.value, reading.n, reading.facts["versions"]) == (0.0, 30, {})


def test_a_server_that_goes_on_with_an_old_version_beyond_the_grace_is_found(served):
    """Its table is of the old generation; what it answers right after the move is forgiven."""
    old, generation = served.versions["Answer."], served.generation
    moved = T0 + hours(1)
    served.release("Answer well.", moved)
    served.call(old, moved + timedelta(seconds=3), generation=generation)
    for second in range(60, 90):
        served.call(old, moved + timedelta(seconds=second), generation=generation)
    spec = unapproved_ratio(over=hours(2))
    [reading] = served.measure(spec, moved + hours(1))
    assert reading.facts["versions"] == {old: 30}
    finding = (spec <= 0.05).judge(reading)
    assert finding.state is State.BROKEN
    cause = UnapprovedServed().weigh(served.perdure.place, served.asset, [finding], moved + hours(1))
    assert cause is not None
    assert cause.text.startswith(f"A server answered by what no pointer held: {old} (30 calls).")


def test_a_version_that_nobody_released_is_found_whatever_the_clock_says(served):
    served.call("answer@000000000000", T0 + hours(1))
    served.call(served.versions["Answer."], T0 + hours(1))
    [reading] = served.measure(unapproved_ratio(over=hours(2)), T0 + hours(2))
    assert reading.value == 0.5


def test_claims_that_the_request_does_not_support_are_counted_and_their_calls_named(served):
    for minute in range(20):
        said = "It was built in 1889." if minute % 4 else "It has 13 lanes. It was built in 1889."
        served.call(served.versions["Answer."], T0 + timedelta(minutes=minute + 1), said)
    served.call(served.versions["Answer."], T0 + timedelta(minutes=30), "Hm.")
    [reading] = served.measure(hallucination_ratio(over=hours(2)), T0 + hours(1))
    assert reading.value == pytest.approx(5 / 25)
    assert reading.low < 5 / 25 < reading.high
    assert (reading.facts["n_answers_with_unsupported"], reading.facts["n_without_claims"]) == (5, 1)


def test_a_scorer_of_a_suite_scores_production_where_it_needs_nothing_expected(served):
    for minute in range(20):
        said = "Dear friend, yes." if minute % 2 else "Yes."
        served.call(served.versions["Answer."], T0 + timedelta(minutes=minute + 1), said)
    [reading] = served.measure(online_score(scorer="matches", over=hours(2)), T0 + hours(1))
    assert (reading.value, reading.facts["n_scored"]) == (0.5, 20)
    for label in ("exact", "nobody"):
        spec = online_score(scorer=label, over=hours(2))
        assert prompt_signals()["online_score"]().observe(served.perdure.place, served.asset, spec, T0 + hours(1)) == []
