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
from math import inf
from typing import Any, Literal

from perdure.assets.guard import Guard
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute
from perdure.core.units import days, duration_text, hours, minutes, seconds

Choice = Literal["in_order", "weighted", "fastest", "sticky"]
"""`in_order`: the first that is sound, the others are fallbacks; `weighted`: by the targets' weights; `fastest`: least
time to the first byte so far; `sticky`: by the caller's key of affinity, so that a provider's cache is hit."""
CHOICES: tuple[Choice, ...] = ("in_order", "weighted", "fastest", "sticky")
Bodies = Literal["none", "redacted", "full"]
"""What is kept of requests and answers: nothing, what is left after redaction of personal data and secrets, or all."""
BODIES: tuple[Bodies, ...] = ("none", "redacted", "full")
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_TARGET = 'Write: Target(Upstream("openai", "https://api.openai.com/v1"), "gpt-5-mini")'
_GUARD = 'Name the guard itself: guards=[personal_data], where personal_data = Guard("personal_data", …)'


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

    def __post_init__(self) -> None:
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        wrong = [name for name, usd in told.items() if usd is not None and not 0.0 <= usd < inf]
        if wrong:
            raise BadRoute(
                f"The price {wrong[0]}={told[wrong[0]]!r} means nothing.",
                hint="Give US dollars for a million tokens, 0 where it costs nothing.",
            )


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

    def __post_init__(self) -> None:
        upstream: object = self.upstream
        if not isinstance(upstream, Upstream):
            raise BadRoute(f"A target is at {upstream!r}, which is no upstream.", hint=_TARGET)
        if not self.model:
            raise BadRoute(f"A target at {self.upstream.name!r} names no model.", hint=_TARGET)
        if not 0.0 <= self.weight < inf:
            raise BadRoute(f"Target {self.id!r} has the weight {self.weight!r}.", hint="Give 0 or more.")

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
            Calibrate it on judged pairs: `engines.semantics.calibrate`.
        embedder: a route or upstream model for embeddings, `upstream/model`; needed where `semantic` is set.
        sample: share of semantic hits whose fresh answer is asked for too, for evaluation.
        shared: answers to one team are given to another too.
    """

    ttl: timedelta = minutes(10)
    semantic: float | None = None
    embedder: str = ""
    sample: float = 0.01
    shared: bool = False

    def __post_init__(self) -> None:
        _lasts(self.ttl, "A cache keeps answers for")
        if self.semantic is not None and not 0.0 < self.semantic <= 1.0:
            raise BadRoute(f"A cosine similarity of {self.semantic!r} is none.", hint="Use one such as 0.94, or None.")
        if not 0.0 <= self.sample <= 1.0:
            raise BadRoute(f"A share of {self.sample!r} semantic hits is none.", hint="Use sample=0.01, 0 to 1.")


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

    def __post_init__(self) -> None:
        if not self.questions or isinstance(self.questions, str):
            raise BadRoute("A suite of probes asks nothing.", hint='Write: Probes(("Where is my parcel?", …))')
        _lasts(self.every, "Probes are replayed every")
        _lasts(self.reference, "Answers of probes are compared with those of")

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
            member `user`, else the caller's key; `key`: the caller's key alone, which no caller can choose.
        guards: what requests and answers pass, in order; each at its own champion.
        cache: answers that are given again; None: none are.
        probes: fixed questions that tell a silent change; None: nothing is asked.
        params: members set in each request that does not set them.
        bodies: what is kept of requests and answers.
        continues: requests of `/v1/responses` may name what earlier ones left at the provider (`previous_response_id`,
            `conversation`, references in `input`), whichever team's it is. Without it that takes a gateway of one team.
        source: the source or index that answers rest on: when it changes, cached answers are dropped.
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
    continues: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "guards", tuple(self.guards))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        if not _NAME.fullmatch(self.name):
            raise BadRoute(f"The route name {self.name!r} is not legal.", hint="Use a-z, 0-9, _, - and . in it.")
        self._check_targets()
        if self.choose not in CHOICES:
            raise BadRoute(f"Route {self.name!r} chooses {self.choose!r}.", hint=f"Use {', '.join(CHOICES)}.")
        if self.choose == "weighted" and not sum(target.weight for target in self.targets) > 0.0:
            raise BadRoute(f"The weights of route {self.name!r} sum to nothing.", hint="Give one of them a weight.")
        if self.attempts < 1 or self.breaker < 1 or not 0.0 <= self.retry_budget < inf:
            raise BadRoute(
                f"Route {self.name!r} has no attempt, or a breaker or retry budget that means nothing.",
                hint="Use attempts=1 and breaker=1 or more, retry_budget=0.2.",
            )
        for name in ("attempt", "total", "idle", "rest"):
            _lasts(getattr(self, name), f"Route {self.name!r} has {name}")
        guards: tuple[object, ...] = tuple(self.guards)
        wrong = [guard for guard in guards if not isinstance(guard, Guard)]
        if wrong:
            raise BadRoute(f"Route {self.name!r} passes {wrong[0]!r}, which is no guard.", hint=_GUARD)
        if self.bodies not in BODIES:
            raise BadRoute(f"Route {self.name!r} keeps bodies {self.bodies!r}.", hint=f"Use {', '.join(BODIES)}.")

    def _check_targets(self) -> None:
        if not self.targets:
            raise BadRoute(f"Route {self.name!r} has no target.", hint="Name at least one Target(upstream, model).")
        targets: tuple[object, ...] = tuple(self.targets)
        wrong = [each for each in targets if not isinstance(each, Target)]
        if wrong:
            raise BadRoute(f"Route {self.name!r} has {wrong[0]!r} for a target.", hint=_TARGET)
        ids = [target.id for target in self.targets]
        twice = next((each for each in ids if ids.count(each) > 1), None)
        if twice:
            raise BadRoute(
                f"Route {self.name!r} names the target {twice!r} twice.",
                hint="Leave one out; `attempts` says how often all are tried. Two upstreams need two names.",
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
            # Left out where it is not set: a version is its definition, and those of before have none.
            **({"continues": True} if self.continues else {}),
        }


def _lasts(span: object, what: str) -> None:
    """A time that is one, and lasts.

    Raises:
        BadRoute: it is something else, or over at once.
    """
    if not isinstance(span, timedelta) or span <= timedelta(0):
        told = duration_text(span) if isinstance(span, timedelta) else repr(span)
        raise BadRoute(f"{what} {told}, which is no time.", hint="Use seconds(…), minutes(…), hours(…) or days(…).")


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
