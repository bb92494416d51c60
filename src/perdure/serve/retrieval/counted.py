"""What is counted of searches for Prometheus; added to by the serving thread only, without a lock."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from perdure.serve.retrieval.held import ServedIndex
from perdure.stores.capture.events import Dropped

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class SearchCounters:
    """Counts since the process began."""

    __slots__ = ("buckets", "dropped", "searches", "total_s", "unsupported")

    def __init__(self) -> None:
        self.searches: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.dropped: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.unsupported: defaultdict[str, int] = defaultdict(int)
        self.buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS_S) + 1))
        self.total_s: defaultdict[str, float] = defaultdict(float)

    def count(self, index: str, purpose: str, status: int) -> None:
        """A request that was answered."""
        self.searches[index, purpose, status] += 1

    def count_found(self, index: str, took_s: float, dropped: Sequence[Dropped]) -> None:
        """A search that found what it found."""
        self.buckets[index][bisect_left(BOUNDS_S, took_s)] += 1
        self.total_s[index] += took_s
        for each in dropped:
            self.dropped[index, each.reason] += 1

    def families(self, served: Iterable[ServedIndex]) -> Iterator[Metric]:
        """As Prometheus reads them."""
        searches = CounterMetricFamily(
            "perdure_searches", "Requests to indexes.", labels=("index", "purpose", "status")
        )
        for (index, purpose, status), n in self.searches.items():
            searches.add_metric((index, purpose, str(status)), n)
        yield searches
        dropped = CounterMetricFamily(
            "perdure_search_dropped",
            "Chunks that were found and are not what the record says.",
            labels=("index", "reason"),
        )
        for (index, reason), n in self.dropped.items():
            dropped.add_metric((index, reason), n)
        yield dropped
        claims = CounterMetricFamily(
            "perdure_claims_unsupported", "Claims of answers that no text they were made from has.", labels=("index",)
        )
        for index, n in self.unsupported.items():
            claims.add_metric((index,), n)
        yield claims
        seconds = HistogramMetricFamily(
            "perdure_search_seconds", "Time of a search, embedding and checking included.", labels=("index",)
        )
        for index, buckets in self.buckets.items():
            seconds.add_metric((index,), _cumulated(buckets), self.total_s[index])
        yield seconds
        yield from _of_served(served)


def _of_served(served: Iterable[ServedIndex]) -> Iterator[Metric]:
    labels = ("index", "version")
    generation = GaugeMetricFamily("perdure_index_generation", "Generation that is served.", labels=labels)
    chunks = GaugeMetricFamily("perdure_index_chunks", "Chunks that are served.", labels=labels)
    seen = GaugeMetricFamily(
        "perdure_index_seen_timestamp_seconds", "When the source was listed for what is served.", labels=labels
    )
    failed = CounterMetricFamily("perdure_index_follow_errors", "Looks at a store that failed.", labels=labels)
    differed = CounterMetricFamily(
        "perdure_index_memory_differing", "Rows of memory that were not what the store has.", labels=labels
    )
    for each in served:
        differed.add_metric((each.index.name, each.version), each.comparing.n_differing)
        own, state = (each.index.name, each.version), each.held.generation
        generation.add_metric(own, state.number)
        chunks.add_metric(own, state.n_chunks)
        seen.add_metric(own, state.seen_us / 1e6)
        failed.add_metric(own, each.n_failed)
    return iter((generation, chunks, seen, failed, differed))


def _cumulated(buckets: Sequence[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, n in zip((*map(str, BOUNDS_S), "+Inf"), buckets, strict=True):
        total += n
        found.append((bound, float(total)))
    return found
