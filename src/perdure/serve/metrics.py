"""What the data plane counts about itself, and its rendering for Prometheus.

Requests add to plain dictionaries and lists (about 1 µs); the families are built only when
`/metrics` is asked. Only the serving thread counts, so there is no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

LATENCY_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Counters:
    """Counts since the process began, by model."""

    __slots__ = ("buckets", "latency_sum_s", "online_errors", "requests", "rows", "shadow_errors", "stale_views")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.rows: dict[str, int] = {}
        self.buckets: dict[str, list[int]] = {}
        self.latency_sum_s: dict[str, float] = {}
        self.stale_views: dict[tuple[str, str, str], int] = {}
        self.online_errors = 0
        self.shadow_errors = 0

    def count_request(self, path: str, model: str, status: int) -> None:
        """One answered request. `model` is empty where it is none that is declared."""
        key = (path, model, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def count_rows(self, model: str, n_rows: int, latency_s: float) -> None:
        """One request that was answered with predictions."""
        buckets = self.buckets.get(model)
        if buckets is None:
            buckets = self.buckets[model] = [0] * (len(LATENCY_BOUNDS_S) + 1)
            self.rows[model] = 0
            self.latency_sum_s[model] = 0.0
        buckets[bisect_left(LATENCY_BOUNDS_S, latency_s)] += 1
        self.rows[model] += n_rows
        self.latency_sum_s[model] += latency_s

    def count_views(self, model: str, rows: Iterable[Mapping[str, str]]) -> None:
        """The answered rows of a request that some view had no fresh row for: the word of each such view."""
        for status in rows:
            for view, word in status.items():
                key = (model, view, word)
                self.stale_views[key] = self.stale_views.get(key, 0) + 1


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that is kept elsewhere, as of now; `grows` makes it a counter."""

    name: str
    text: str
    value: float
    grows: bool = False

    def family(self) -> Metric:
        """It as Prometheus sees it."""
        kind = CounterMetricFamily if self.grows else GaugeMetricFamily
        return kind(self.name, self.text, value=self.value)


class ServeCollector(Collector):
    """Renders counters and readings as metric families."""

    def __init__(
        self, counters: Counters, readings: Sequence[Reading], more: Callable[[], Iterable[Metric]] = tuple
    ) -> None:
        self._counters = counters
        self._readings = readings
        self._more = more

    def collect(self) -> Iterator[Metric]:
        """The families, built afresh."""
        yield from self._traffic()
        for reading in self._readings:
            yield reading.family()
        yield from self._more()

    def _traffic(self) -> Iterator[Metric]:
        counted = self._counters
        requests = CounterMetricFamily("perdure_requests", "Requests answered.", labels=["path", "model", "status"])
        for (path, model, status), n in counted.requests.items():
            requests.add_metric([path, model, str(status)], n)
        yield requests
        rows = CounterMetricFamily("perdure_rows", "Rows predicted.", labels=["model"])
        latency = HistogramMetricFamily(
            "perdure_latency_seconds", "Server time of a predict request.", labels=["model"]
        )
        for model, n_rows in counted.rows.items():
            rows.add_metric([model], n_rows)
            latency.add_metric([model], _cumulated(counted.buckets[model]), counted.latency_sum_s[model])
        yield rows
        yield latency
        stale = CounterMetricFamily(
            "perdure_stale_view_rows",
            "Rows answered without a fresh row of a stored view, by what they got of it.",
            labels=["model", "view", "status"],
        )
        for labels, n in counted.stale_views.items():
            stale.add_metric(labels, n)
        yield stale
        yield CounterMetricFamily(
            "perdure_online_errors", "Reads of the online store that failed.", value=counted.online_errors
        )
        yield CounterMetricFamily(
            "perdure_shadow_errors", "Shadow predictions that failed.", value=counted.shadow_errors
        )


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    total = 0
    found: list[tuple[str, float]] = []
    for bound, n in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), buckets, strict=True):
        total += n
        found.append((bound, total))
    return found


def render(counters: Counters, readings: Sequence[Reading], more: Callable[[], Iterable[Metric]] = tuple) -> bytes:
    """The text of `/metrics`; `more` are families that are counted elsewhere, such as the gateway's."""
    registry = CollectorRegistry()
    registry.register(ServeCollector(counters, readings, more))
    return generate_latest(registry)
