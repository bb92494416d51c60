"""What the gateway counts about itself for Prometheus; added to by the serving thread only, without a lock."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from perdure.core.usage import PICO, Usage
from perdure.serve.gateway.breaker import Breaker
from perdure.serve.gateway.ongoing import Ongoing

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class _Histogram:
    __slots__ = ("buckets", "total_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, value_s: float) -> None:
        self.buckets[bisect_left(BOUNDS_S, value_s)] += 1
        self.total_s += value_s

    def cumulated(self) -> list[tuple[str, float]]:
        total, found = 0, []
        for bound, n in zip([*map(str, BOUNDS_S), "+Inf"], self.buckets, strict=True):
            total += n
            found.append((bound, float(total)))
        return found


class GatewayCounters:
    """Counts since the process began."""

    __slots__ = (
        "cache",
        "calls",
        "cost_pusd",
        "first",
        "guards",
        "latency",
        "n_lost",
        "n_under_way",
        "probe_first_s",
        "probes",
        "tokens",
        "tries",
        "unpriced",
    )

    def __init__(self) -> None:
        self.calls: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.tries: defaultdict[tuple[str, int, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.cost_pusd: defaultdict[str, int] = defaultdict(int)
        self.unpriced: defaultdict[str, int] = defaultdict(int)
        self.cache: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.guards: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.latency: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self.first: defaultdict[str, _Histogram] = defaultdict(_Histogram)
        self.probes: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.probe_first_s: dict[tuple[str, str], float] = {}
        self.n_under_way = 0
        self.n_lost = 0

    def count(self, call: Ongoing, usage: Usage, cost_pusd: int | None) -> None:
        """One call that is over. Cost: some 3 µs."""
        route = call.route
        self.calls[(route, call.outcome, call.status)] += 1
        for each in call.attempts:
            self.tries[(each.target, each.status, each.error)] += 1
        self.tokens[(route, "input")] += usage.n_input
        self.tokens[(route, "output")] += usage.n_output
        if cost_pusd is None:
            self.unpriced[route] += 1
        else:
            self.cost_pusd[route] += cost_pusd
        if call.cache:
            self.cache[(route, call.cache)] += 1
        for said in call.guards:
            self.guards[(said.guard, said.side, said.action)] += 1
        if call.outcome in ("answered", "cut"):
            self.latency[route].add(call.elapsed_us() / 1e6)
            self.first[route].add(call.first_us / 1e6)

    def count_probe(self, call: Ongoing, target: str) -> None:
        """One question to a target that is over."""
        self.probes[(call.route, target, call.outcome)] += 1
        if call.outcome == "answered":
            self.probe_first_s[call.route, target] = call.first_us / 1e6

    def families(self, breakers: Mapping[str, Breaker]) -> Iterator[Metric]:
        """As Prometheus reads them."""
        yield _counter("perdure_calls", "Calls of the gateway.", ("route", "outcome", "status"), self.calls)
        yield _counter(
            "perdure_upstream_tries", "Tries of calls at targets.", ("target", "status", "error"), self.tries
        )
        yield _counter("perdure_tokens", "Tokens billed.", ("route", "kind"), self.tokens)
        spent = {(route,): picos / PICO for route, picos in self.cost_pusd.items()}
        yield _counter("perdure_cost_usd", "US dollars billed, where the price is known.", ("route",), spent)
        unpriced = {(route,): n for route, n in self.unpriced.items()}
        yield _counter("perdure_calls_unpriced", "Calls of unknown price.", ("route",), unpriced)
        yield _counter("perdure_answer_cache", "Calls by what the cache had.", ("route", "found"), self.cache)
        yield _counter("perdure_guard_actions", "What guards did.", ("guard", "side", "action"), self.guards)
        yield _counter("perdure_probes", "Questions of probes.", ("route", "target", "outcome"), self.probes)
        newest = GaugeMetricFamily(
            "perdure_probe_first_byte_seconds",
            "Time to the first byte of the newest answer to a probe.",
            labels=("route", "target"),
        )
        for key, first_s in self.probe_first_s.items():
            newest.add_metric(key, first_s)
        yield newest
        yield GaugeMetricFamily("perdure_calls_under_way", "Calls under way.", value=self.n_under_way)
        yield CounterMetricFamily(
            "perdure_call_records_lost", "Records of calls that could not be written.", value=self.n_lost
        )
        for name, told, kept in (
            ("perdure_call_seconds", "Time of a whole call.", self.latency),
            ("perdure_call_first_byte_seconds", "Time to the first byte of an answer.", self.first),
        ):
            family = HistogramMetricFamily(name, told, labels=("route",))
            for route, histogram in kept.items():
                family.add_metric((route,), histogram.cumulated(), histogram.total_s)
            yield family
        yield from _of_targets(breakers)


def _of_targets(breakers: Mapping[str, Breaker]) -> Iterator[Metric]:
    closed = GaugeMetricFamily(
        "perdure_target_closed", "1 where calls pass, 0 where the target rests.", labels=("target",)
    )
    busy = GaugeMetricFamily("perdure_target_under_way", "Calls at the target now.", labels=("target",))
    opened = CounterMetricFamily("perdure_target_opened", "How often the breaker opened.", labels=("target",))
    for name, breaker in breakers.items():
        closed.add_metric((name,), float(breaker.is_closed))
        busy.add_metric((name,), breaker.n_under_way)
        opened.add_metric((name,), breaker.n_open)
    return iter((closed, busy, opened))


def _counter(name: str, told: str, labels: tuple[str, ...], counts: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, told, labels=labels)
    for key, n in counts.items():
        family.add_metric([str(part) for part in key], n)
    return family
