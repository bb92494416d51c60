"""A world in which a route lives: calls are answered by two upstreams, probed on schedule, captured, and healed by the real loop.

No HTTP: what the gateway would do with a call is done here, by the targets of the versions that the pointers name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from perdure.assets.gateway_objectives import answer_shift, cost_usd, error_ratio, first_token_ms
from perdure.assets.policy import Policy, Ramp
from perdure.assets.project import Project
from perdure.assets.route import Probes, Route, Target, UnitPrices
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHALLENGER, CHAMPION
from perdure.core.clock import to_us
from perdure.core.settings import CaptureSettings, ProjectSettings, Settings
from perdure.core.units import days, hours, per_month
from perdure.core.usage import Usage
from perdure.loop.round import RoundReport
from perdure.loop.work.versions import get_version
from perdure.stores.capture.events import Attempt, Call, Guarded
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.sdk import Perdure

T0 = datetime(2025, 3, 1, tzinfo=UTC)
PRICES = UnitPrices(input=1.0, output=4.0)
MAIN = Target(Upstream("main", "https://main.example/v1"), "large", prices=PRICES)
SPARE = Target(Upstream("spare", "https://spare.example/v1"), "medium", prices=PRICES)
QUESTIONS = ("What is the capital of France?", "How long is a refund?", "Name three fruits.", "Where is my order?")
SAID = {
    0: "The capital of France is the city of Paris, on the river Seine.",
    1: "A refund usually takes five to seven working days after we received the parcel.",
    2: "Apples, pears and plums are three fruits that grow in gardens nearby.",
    3: "I need the number of your order to find where the parcel is now.",
}
OTHERWISE = {
    0: "Paris!",
    1: "Please consult our policy page, dear customer, and kindly wait for an agent to respond.",
    2: "Sure! Bananas; mangoes; kiwis. Would you like to hear about vegetables too?",
    3: "Could you share additional details? Happy to dig in, friend!",
}


@dataclass
class Upstreams:
    """How each target behaves at an hour: share of failed tries, milliseconds to the first byte, whether it changed."""

    fails: Callable[[str, float], float] = field(default=lambda _target, _hour: 0.003)
    first_ms: Callable[[str, float], float] = field(default=lambda target, _hour: 200.0 if target == MAIN.id else 260.0)
    changed: Callable[[str, float], bool] = field(default=lambda _target, _hour: False)
    price: Callable[[str, float], float] = field(default=lambda _target, _hour: 1.0)
    longer: Callable[[str, float], float] = field(default=lambda _target, _hour: 1.0)
    """How many times as many tokens an answer has."""
    status: int = 500


@dataclass(frozen=True)
class Look:
    """What the route's guard does at an hour: the share of its looks that fail, and how long one takes."""

    fails: float = 0.0
    took_ms: float = 2.0
    side: str = "input"


def usual_question(rng: random.Random, _hour: float) -> str:
    """What clients ask."""
    return f"Question about {rng.choice(['a parcel', 'a refund', 'an invoice'])} number {rng.randrange(99)}?"


@dataclass
class RouteWorld:
    """A route with its stores: first days without rounds, then rounds."""

    folder: Path
    upstreams: Upstreams
    seed: int = 1
    per_hour: int = 40
    probes: bool = True
    asks: Callable[[random.Random, float], str] = usual_question
    looks: Callable[[float], Look] = field(default=lambda _hour: Look())
    declared: dict[str, Any] = field(default_factory=dict)
    """What the route declares otherwise."""
    hour: float = 0.0
    n: int = 0
    first_asked: str = MAIN.id
    """The target that most calls of the hour are sent to first."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        usual: dict[str, Any] = {
            "probes": Probes(QUESTIONS, every=hours(3), reference=days(3)) if self.probes else None,
            "healthy": [
                error_ratio(over=hours(3)) <= 0.05,
                error_ratio(over=hours(3), by="target") <= 0.1,
                first_token_ms(quantile=0.9, over=hours(3)) <= 900,
                answer_shift(over=hours(18)) <= 0.1,
                cost_usd(over=hours(3)) <= 0.01,
            ],
            "policy": Policy.act(ramp=Ramp(hours(2), hours(3), 0.3), watch=hours(4), retrains=per_month(8)),
        }
        self.route = Route("support", [MAIN, SPARE], **{**usual, **self.declared})
        settings = Settings(project=ProjectSettings(name="routed"))
        self.perdure = Perdure(self.folder, settings, project=Project.of("routed", self.route))
        self.perdure.apply(at=T0)
        self.first, self.limit = self.champion(), float("inf")
        self.writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))

    def at(self, hour: float) -> datetime:
        """The instant of an hour."""
        return T0 + timedelta(hours=hour)

    def live(self, until: float, *, rounds: bool = True, every: int = 1) -> list[RoundReport]:
        """Hours of calls, with a round after each `every` of them."""
        reports = []
        while self.hour < until:
            arms = self.arms()
            self.first_asked, self.limit = arms[CHAMPION][1][0], self._limit(arms[CHAMPION][0])
            for _ in range(self.per_hour):
                self._call(self.hour + self.rng.random(), arms)
            if self.probes and self.hour % 3 == 0:
                self._probe(arms)
            self.hour += 1
            if rounds and self.hour % every == 0:
                reports.append(self.perdure.tick(at=self.at(self.hour)))
        return reports

    def arms(self) -> dict[str, tuple[str, list[str]]]:
        """Pointer → version and its targets in order."""
        ledger = self.perdure.place.stores.ledger
        with ledger.read() as session:
            pointers = {each.name: each.version for each in session.pointers.list("support")}
        found = {}
        for name, version in pointers.items():
            told = get_version(ledger, version).definition["targets"]
            found[name] = (version, [f"{each['upstream']}/{each['model']}" for each in told])
        return found

    def _limit(self, version: str) -> float:
        params = get_version(self.perdure.place.stores.ledger, version).definition["params"]
        return float(params.get("max_tokens", "inf"))

    def _call(self, hour: float, arms: dict[str, tuple[str, list[str]]]) -> None:
        arm = CHALLENGER if CHALLENGER in arms and self.rng.random() < 0.3 else CHAMPION
        version, targets = arms[arm]
        attempts: list[Attempt] = []
        for target in targets[: 1 if self.rng.random() < 0.6 else 2]:  # what the budget of retries leaves
            attempts.append(self._try(target, hour))
            if not attempts[-1].error:
                break
        ok = not attempts[-1].error
        question, said = self.asks(self.rng, hour), "It is on its way." if ok else ""
        self._record(hour, version, arm, attempts, ok, question, said, {}, self._look(hour))

    def _look(self, hour: float) -> Guarded | None:
        if not self.route.guards:
            return None
        look, name = self.looks(hour), self.route.guards[0].name
        action = "failed" if self.rng.random() < look.fails else "passed"
        return Guarded(name, f"{name}@1", CHAMPION, look.side, action, took_us=int(1000 * look.took_ms))

    def _try(self, target: str, hour: float) -> Attempt:
        first = int(1000 * self.upstreams.first_ms(target, hour) * self.rng.lognormvariate(0.0, 0.3))
        if self.rng.random() < self.upstreams.fails(target, hour):
            return Attempt(target, self.upstreams.status, 0, 0, first, "upstream")
        n_output = min(self.limit, self.upstreams.longer(target, hour) * self.rng.randrange(40, 60))
        usage = Usage(n_input=self.rng.randrange(80, 120), n_output=int(n_output))
        cost = int(self.upstreams.price(target, hour) * (usage.n_input * 1_000_000 + usage.n_output * 4_000_000))
        return Attempt(target, 200, 0, first, first + 500_000, "", usage, cost)

    def _probe(self, arms: dict[str, tuple[str, list[str]]]) -> None:
        seen: set[str] = set()
        for version, targets in arms.values():
            for target in targets:
                if target in seen:
                    continue
                seen.add(target)
                for place, question in enumerate(QUESTIONS):
                    attempt = self._try(target, self.hour)
                    said = self._said(target, place)
                    tags = {"probe": f"q{place + 1}", "target": target}
                    self._record(self.hour, version, "probe", [attempt], not attempt.error, question, said, tags)

    def _said(self, target: str, place: int) -> str:
        """Never twice the same words."""
        words = (OTHERWISE if self.upstreams.changed(target, self.hour) else SAID)[place].split()
        words = [
            word if self.rng.random() > 0.15 else self.rng.choice(["indeed", "well", "so", "here"]) for word in words
        ]
        return " ".join(words if target == MAIN.id else ["Hello.", *words])

    def _record(
        self, hour: float, version: str, arm: str, attempts: list[Attempt], ok: bool, asked: str, said: str,
        tags: dict[str, str], look: Guarded | None = None,
    ) -> None:  # fmt: skip
        """One call; where its guard fails it is blocked, as a guard does that fails closed."""
        self.n += 1
        at, last = to_us(self.at(hour)), attempts[-1]
        guards = [] if look is None else [look]
        blocked = any(each.action == "failed" for each in guards)
        ok = ok and not blocked
        first = sum(each.took_us for each in attempts[:-1]) + last.first_us + sum(each.took_us for each in guards)
        call = Call(
            id=f"c{self.n}", route="support", endpoint="chat", served_us=at, recorded_us=at, generation=1, version=version,
            arm=arm, prompt="", key="k1", team="help", affinity="u", stream=True, status=200 if ok else 400 if blocked else 502,
            outcome="blocked" if blocked else "answered" if ok else "failed", finish="stop" if ok else "", latency_us=first + 500_000,
            first_us=first if ok else 0, cache="", usage=last.usage or Usage(), cost_pusd=last.cost_pusd or 0, saved_pusd=0,
            attempts=attempts, guards=guards, request=_json([{"role": "user", "content": asked}]),
            answer=_json([{"role": "assistant", "content": said}]) if ok else b"", tags=tags,
        )  # fmt: skip
        self.writer.append(call)

    def said(self, action: str) -> list[Any]:
        """Facts of audit entries of an action, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return [each.facts for each in session.audit.list(limit=100_000) if each.action == action]

    def champion(self) -> str:
        """The version that answers."""
        return self.arms()[CHAMPION][0]

    def incidents(self) -> list[Any]:
        """All, oldest first."""
        with self.perdure.place.stores.ledger.read() as session:
            return session.incidents.list()

    def stages(self) -> list[str]:
        """Of each pointer move by a job."""
        with self.perdure.place.stores.ledger.read() as session:
            moves = session.pointers.history("support")
        return list(dict.fromkeys(each.facts["stage"] for each in moves if "job" in each.facts))


def _json(messages: list[dict[str, str]]) -> bytes:
    return msgspec.json.encode(messages)
