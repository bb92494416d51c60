"""Routes: logical model names that clients ask for, each a declared asset with versions, pointers and health.

    support = Route(
        "support",
        [Target(openai, "gpt-5-mini"), Target(claude, "claude-haiku-4-5")],
        guards=[personal_data, injection],
        cache=Cache(minutes(10)),
        healthy=[error_ratio(over=hours(1)) <= 0.02, first_token_ms(quantile=0.95, over=minutes(30)) <= 900],
        policy=Policy.act(),
    )

A version of a route is its definition: targets, order, deadlines. Which version answers is said by pointers, so a
canary, a shadow and an A/B of two routes are those of any asset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal

from perdure.assets.guard import Guard
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute
from perdure.core.units import days, hours, minutes, seconds

Choice = Literal["in_order", "weighted", "fastest", "sticky"]
"""`in_order`: the first that is sound, the others are fallbacks; `weighted`: by the targets' weights; `fastest`: least
time to the first byte so far; `sticky`: by the caller's key of affinity, so that a provider's cache is hit."""
CHOICES: tuple[Choice, ...] = ("in_order", "weighted", "fastest", "sticky")
Bodies = Literal["none", "redacted", "full"]
"""What is kept of requests and answers: nothing, what is left after redaction of personal data and secrets, or all."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """US dollars for a million tokens, where the price list is wrong or silent; None: as the whole it is a part of.

    Args:
        input: of a million input tokens.
        output: of a million output tokens.
        cached: of a million input tokens read from the provider's cache.
        cache_write_5m: of a million tokens written to it for five minutes.
        cache_write_1h: of a million tokens written to it for an hour.
        audio_input: of a million audio tokens in.
        audio_output: of a million audio tokens out.
        call: of one call, beside its tokens.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    call: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A model at an upstream.

    Args:
        upstream: where.
        model: its name there.
        weight: its part of the calls of a `weighted` route.
        prices: what it costs, instead of the price list.
        params: members set in each request that does not set them, such as `{"temperature": 0}`.
    """

    upstream: Upstream
    model: str
    weight: float = 1.0
    prices: UnitPrices | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`upstream/model`."""
        return f"{self.upstream.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers that are given again.

    Args:
        ttl: how long.
        semantic: answers to questions that mean the same are given too: cosine similarity from which they do, or None.
            Calibrate it on judged pairs: `perdure cache calibrate`.
        embedder: a route or upstream model for embeddings, `upstream/model`; needed where `semantic` is set.
        sample: share of semantic hits whose fresh answer is asked for too, for evaluation.
        shared: answers to one team are given to another too.
    """

    ttl: timedelta = minutes(10)
    semantic: float | None = None
    embedder: str = ""
    sample: float = 0.01
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """A fixed question that is asked on schedule: a shift of its answers is a model that changed silently.

    Args:
        name: unique within the suite.
        messages: as a client would send them.
        params: such as `{"temperature": 0, "max_tokens": 64}`.
    """

    name: str
    messages: tuple[Mapping[str, Any], ...]
    params: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0, "max_tokens": 64})


@dataclass(frozen=True, slots=True)
class Probes:
    """A suite of probes, replayed to every target of the route.

    Args:
        questions: some 10 to 50; texts are asked as the user's one message.
        every: how often the suite is replayed.
        reference: the answers of the newest so many days before are what new ones are compared with.
    """

    questions: tuple[Probe | str, ...]
    every: timedelta = hours(6)
    reference: timedelta = days(14)

    def suite(self) -> list[Probe]:
        """Every question as a probe; a bare text goes by `q` and its place."""
        return [
            Probe(f"q{place}", ({"role": "user", "content": each},)) if isinstance(each, str) else each
            for place, each in enumerate(self.questions, 1)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A logical model name.

    Args:
        name: what clients send as `model`.
        targets: who may answer, in order of preference.
        choose: which of the targets is asked first; the others are fallbacks.
        attempts: tries of one call, over all its targets.
        attempt: time to the first byte of one try.
        total: time of the whole call, all tries and the whole stream.
        idle: time between two pieces of a stream.
        retry_budget: second tries of a target, or tries of one that rests, are at most this share of the newest calls, so that an
            upstream in trouble is not stormed.
        breaker: after so many failures in a row (cut streams count) a target rests, `rest` long.
        rest: then one call at a time tries it again.
        affinity: member of the request, or header `x-…`, that sticky choice and sticky shares go by; empty: the
            member `user`, else the caller's key.
        guards: what requests and answers pass, in order; each at its own champion.
        cache: answers that are given again; None: none are.
        probes: fixed questions that tell a silent change; None: nothing is asked.
        params: members set in each request that does not set them.
        bodies: what is kept of requests and answers.
        source: the retrieval source that answers rest on: when it changes, cached answers are dropped.
        healthy: objectives, such as `error_ratio(over=hours(1)) <= 0.02`.
        policy: how far the loop may go alone.
    """

    name: str
    targets: Sequence[Target]
    choose: Choice = "in_order"
    attempts: int = 3
    attempt: timedelta = seconds(60)
    total: timedelta = seconds(600)
    idle: timedelta = seconds(60)
    retry_budget: float = 0.2
    breaker: int = 5
    rest: timedelta = seconds(30)
    affinity: str = ""
    guards: Sequence[Guard] = ()
    cache: Cache | None = None
    probes: Probes | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    bodies: Bodies = "redacted"
    source: str = ""
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "guards", tuple(self.guards))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        if not _NAME.fullmatch(self.name):
            raise BadRoute(f"The route name {self.name!r} is not legal.", hint="Use a-z, 0-9, _, - and . in it.")
        if not self.targets:
            raise BadRoute(f"Route {self.name!r} has no target.", hint="Name at least one Target(upstream, model).")
        ids = [target.id for target in self.targets]
        if len(set(ids)) < len(ids):
            raise BadRoute(f"Route {self.name!r} names a target twice: {', '.join(ids)}.")
        if self.choose not in CHOICES:
            raise BadRoute(f"Route {self.name!r} chooses {self.choose!r}.", hint=f"Use {', '.join(CHOICES)}.")
        if self.choose == "weighted" and not sum(target.weight for target in self.targets) > 0.0:
            raise BadRoute(f"The weights of route {self.name!r} sum to nothing.", hint="Give one of them a weight.")
        if self.attempts < 1 or min(self.attempt, self.total, self.idle) <= timedelta(0):
            raise BadRoute(
                f"Route {self.name!r} has no time or no attempt.", hint="Use attempts=1 and seconds(1) or more."
            )

    def definition(self) -> dict[str, Any]:
        """What a version of it is: JSON-compatible, enough to answer with it; upstreams and guards by name."""
        return {
            "targets": [_target(target) for target in self.targets],
            "choose": self.choose,
            "attempts": self.attempts,
            "attempt_s": self.attempt.total_seconds(),
            "total_s": self.total.total_seconds(),
            "idle_s": self.idle.total_seconds(),
            "retry_budget": self.retry_budget,
            "breaker": self.breaker,
            "rest_s": self.rest.total_seconds(),
            "affinity": self.affinity,
            "guards": [guard.name for guard in self.guards],
            "cache": None if self.cache is None else _cache(self.cache),
            "probes": None if self.probes is None else _probes(self.probes),
            "params": dict(self.params),
            "bodies": self.bodies,
            "source": self.source,
        }


def _target(target: Target) -> dict[str, Any]:
    return {
        "upstream": target.upstream.name,
        "dialect": target.upstream.dialect,
        "model": target.model,
        "weight": target.weight,
        "prices": None if target.prices is None else asdict(target.prices),
        "params": dict(target.params),
    }


def _cache(cache: Cache) -> dict[str, Any]:
    own = {field.name: getattr(cache, field.name) for field in fields(cache) if field.name != "ttl"}
    return {"ttl_s": cache.ttl.total_seconds(), **own}


def _probes(probes: Probes) -> dict[str, Any]:
    return {
        "questions": [
            {
                "name": probe.name,
                "messages": [dict(message) for message in probe.messages],
                "params": dict(probe.params),
            }
            for probe in probes.suite()
        ],
        "every_s": probes.every.total_seconds(),
        "reference_s": probes.reference.total_seconds(),
    }
