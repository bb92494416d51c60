"""Versions of routes, ready to answer: targets with their clients, dialects, prices and breakers.

The watcher's loader calls `RouteLoader.load` for each version that a pointer names, on its own thread; calls take what it
made from the serving table. Addresses and secrets come from the declared upstreams and the environment, never from a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from perdure.assets.route import Route, UnitPrices
from perdure.assets.upstream import Upstream
from perdure.assets.version import Version
from perdure.core.clock import from_us, machine_us
from perdure.core.errors import not_found
from perdure.core.ports import Embed
from perdure.engines.dialects.protocols import Outbound
from perdure.engines.dialects.registry import outbound
from perdure.engines.prices import UnitPrice, find_price
from perdure.serve.gateway.allowance_sizes import Added, added_by
from perdure.serve.gateway.breaker import Breaker, RetryBudget
from perdure.serve.gateway.caching import CacheRules, Forgiving, RouteCache
from perdure.serve.gateway.caching_semantic import Embedder, SemanticCache
from perdure.serve.gateway.upstream.protocols import Client, HeaderPairs

_SPEAKS = {"local": "openai", "any": "openai"}
"""Dialects of upstreams in this process: they take and give OpenAI's form."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveUpstream:
    """An upstream with its client, its secret and what it is sent with each call."""

    declared: Upstream
    client: Client
    secret: str
    dialect: str
    """As bytes pass: `openai`, `anthropic` or `gemini`."""
    outbound: Outbound
    prefix: str
    """Path of the upstream's address, before every other."""
    headers: HeaderPairs
    """For bytes that pass: content type, and the secret in this dialect's header; declared ones the client adds."""


@dataclass(slots=True, eq=False)
class LiveTarget:
    """A model at an upstream, as a version of a route names it."""

    id: str
    upstream: LiveUpstream
    model: str
    weight: float
    params: Mapping[str, Any]
    breaker: Breaker
    declared_prices: UnitPrices | None
    price: UnitPrice | None
    added: Added | None
    """What is sent to it beside what callers set, as far as it costs."""

    def price_at(self, now_us: int) -> UnitPrice | None:
        """What it costs at an instant, looked up again where a new price was announced."""
        price = self.price
        if price is not None and price.until_us is not None and now_us >= price.until_us:
            self.price = price = _price(self.declared_prices, self.upstream.declared, self.model, now_us)
        return price


@dataclass(frozen=True, slots=True, eq=False)
class LiveRoute:
    """A version of a route."""

    name: str
    version: str
    targets: tuple[LiveTarget, ...]
    choose: str
    attempts: int
    attempt_s: float
    total_s: float
    idle_s: float
    breaker: int
    rest_s: float
    affinity: str
    guards: tuple[str, ...]
    cache: RouteCache | None
    semantic: SemanticCache | None
    probes: Mapping[str, Any] | None
    params: Mapping[str, Any]
    bodies: str
    source: str
    retries: RetryBudget
    continues: bool


@dataclass(frozen=True, slots=True, eq=False)
class RouteLoader:
    """Makes versions of routes ready.

    Args:
        upstreams: every declared upstream by name, with its client.
        breakers: of targets by id; filled here, and kept from version to version.
        answers: where routes that declare a cache keep answers; None: nowhere.
        embed: makes vectors of questions, for routes that find answers by meaning.
        routes: as declared: an embedder may be one.
    """

    upstreams: Mapping[str, LiveUpstream]
    breakers: dict[str, Breaker] = field(default_factory=dict)
    answers: Forgiving | None = None
    embed: Embed | None = None
    routes: Mapping[str, Route] = field(default_factory=dict)

    def load(self, version: Version) -> LiveRoute:
        """The route of a version.

        Raises:
            NotFound: it names an upstream that is not declared any more.
        """
        told = version.definition
        cache = self._cache(version)
        return LiveRoute(
            name=version.asset,
            version=version.id,
            targets=self.targets(told),
            choose=told["choose"],
            attempts=told["attempts"],
            attempt_s=told["attempt_s"],
            total_s=told["total_s"],
            idle_s=told["idle_s"],
            breaker=told["breaker"],
            rest_s=told["rest_s"],
            affinity=told["affinity"],
            guards=tuple(told["guards"]),
            cache=cache,
            semantic=self._semantic(cache),
            probes=told["probes"],
            params=told["params"],
            bodies=told["bodies"],
            source=told["source"],
            retries=RetryBudget(told["retry_budget"]),
            continues=told.get("continues", False),
        )

    def targets(self, definition: Mapping[str, Any]) -> tuple[LiveTarget, ...]:
        """Those of a route's definition, in its order.

        Raises:
            NotFound: it names an upstream that is not declared any more.
        """
        return tuple(self._target(each, definition["params"]) for each in definition["targets"])

    def _cache(self, version: Version) -> RouteCache | None:
        rules = CacheRules.of(version.definition)
        if rules is None or self.answers is None:
            return None
        source = version.definition["source"]
        return RouteCache(self.answers, rules, route=version.asset, version=version.id, source=source)

    def _semantic(self, cache: RouteCache | None) -> SemanticCache | None:
        if cache is None or cache.rules.semantic is None or self.embed is None:
            return None
        upstreams = {name: each.declared for name, each in self.upstreams.items()}
        embedder = embedder_of(cache.rules.embedder, self.routes, upstreams)
        return SemanticCache(cache.store, self.embed, cache.rules, embedder)

    def _target(self, told: Mapping[str, Any], params: Mapping[str, Any]) -> LiveTarget:
        upstream = self.upstreams.get(told["upstream"])
        if upstream is None:
            raise not_found("upstream", told["upstream"], self.upstreams)
        name = f"{told['upstream']}/{told['model']}"
        prices = None if told["prices"] is None else msgspec.convert(told["prices"], UnitPrices)
        return LiveTarget(
            id=name,
            upstream=upstream,
            model=told["model"],
            weight=told["weight"],
            params=told["params"],
            breaker=self.breakers.setdefault(name, Breaker()),
            declared_prices=prices,
            price=_price(prices, upstream.declared, told["model"], machine_us()),
            added=added_by({**params, **told["params"]}, upstream.dialect),
        )


def embedder_of(name: str, routes: Mapping[str, Route], upstreams: Mapping[str, Upstream]) -> Embedder:
    """Who is asked for vectors, and for how much: a route's first target, or a model at an upstream.

    Raises:
        NotFound: there is no such route or upstream.
    """
    if name in routes:
        target = routes[name].targets[0]
        upstream, model, prices = target.upstream, target.model, target.prices
    else:
        at, _, model = name.partition("/")
        if at not in upstreams:
            raise not_found("embedder", name, [*routes, *(f"{each}/MODEL" for each in upstreams)])
        upstream, prices = upstreams[at], None
    price = _price(prices, upstream, model, machine_us())
    if price is None and _is_own(upstream):
        price = _price(UnitPrices(input=0, output=0), upstream, model, machine_us())
    return Embedder(f"{upstream.name}/{model}", price)


def live_upstream(declared: Upstream, client: Client, secret: str) -> LiveUpstream:
    """An upstream ready to be called; its secret goes into the header that its dialect has for it."""
    dialect = _SPEAKS.get(declared.dialect, declared.dialect)
    prefix = "" if declared.dialect in _SPEAKS else urlsplit(declared.url).path.rstrip("/")
    return LiveUpstream(declared, client, secret, dialect, outbound(dialect), prefix, _headers(dialect, secret))


def _headers(dialect: str, secret: str) -> HeaderPairs:
    pairs = {"content-type": "application/json"}
    if dialect == "anthropic":
        pairs.setdefault("anthropic-version", "2023-06-01")
    if secret:
        name, form = _SECRETS[dialect]
        pairs[name] = form.format(secret)
    return [(name.encode("latin-1"), text.encode("latin-1")) for name, text in pairs.items()]


_SECRETS = {
    "openai": ("authorization", "Bearer {}"),
    "anthropic": ("x-api-key", "{}"),
    "gemini": ("x-goog-api-key", "{}"),
}
"""Dialect → header of its secret, and how the secret stands in it."""


def _is_own(upstream: Upstream) -> bool:
    """Whether it answers on this machine: then it costs nothing but time."""
    host = urlsplit(upstream.url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _price(prices: UnitPrices | None, upstream: Upstream, model: str, now_us: int) -> UnitPrice | None:
    return find_price(prices, upstream.provider or upstream.name, model, from_us(now_us))
