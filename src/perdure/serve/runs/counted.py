"""What is counted of runs for Prometheus: those that ended in this process, and what waits for a person in the store.

Counted where a run that is over is told to the capture log: each run is told by the one process that ended it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from perdure.core.runs import RunRecord, StepRecord
from perdure.core.usage import PICO
from perdure.serve.runs.passing import PassingWriter
from perdure.stores.capture.events import Event, RunTold
from perdure.stores.capture.protocols import CaptureWriter

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86_400.0)
STEPS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 50.0)
_OF_ASSET = ("kind", "asset")


class Bins:
    """A histogram a label."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self._counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(bounds) + 1))
        self._totals: defaultdict[tuple[str, str], float] = defaultdict(float)

    def count(self, labels: tuple[str, str], value: float) -> None:
        """One value."""
        self._counts[labels][bisect_left(self.bounds, value)] += 1
        self._totals[labels] += value

    def family(self, name: str, about: str) -> HistogramMetricFamily:
        """As Prometheus reads it."""
        made = HistogramMetricFamily(name, about, labels=_OF_ASSET)
        for labels, counts in self._counts.items():
            total, buckets = 0, []
            for bound, n in zip((*map(str, self.bounds), "+Inf"), counts, strict=True):
                total += n
                buckets.append((bound, float(total)))
            made.add_metric(labels, buckets, self._totals[labels])
        return made


class RunCounters:
    """Counts since the process began; added to by the serving thread only, without a lock."""

    def __init__(self) -> None:
        self.ended: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.cost_usd: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.tools: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.steps = Bins(STEPS)
        self.seconds = Bins(SECONDS)
        self.shadows: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """By kind, asset and what came of it."""
        self.shadow_usd: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.waiting: Mapping[tuple[str, str], int] = {}
        """Runs that wait for a person, of this project, as the store was seen last."""

    def count(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        """A run that is over."""
        labels = (run.kind, run.asset)
        self.ended[(*labels, run.status)] += 1
        self.tokens[labels] += run.n_tokens
        self.cost_usd[labels] += run.cost_pusd / PICO
        self.steps.count(labels, float(run.n_steps))
        self.seconds.count(labels, max(0, run.ended_us - run.began_us) / 1e6)
        # A call of which nobody knew for a while has two entries, and is one call.
        calls = {step.call: step for step in steps if step.kind == "tool" and step.state not in ("begun", "waiting")}
        for step in calls.values():
            # What a model calls that is no tool is named as it likes: a label of it would be as many as it likes.
            tool = "" if step.error == "tool.unknown" else step.node.removeprefix("tool:")
            self.tools[(run.asset, tool, step.error)] += 1

    def families(self, n_going: int) -> Iterator[Metric]:
        """As Prometheus reads them."""
        runs = CounterMetricFamily("perdure_runs", "Runs that ended.", labels=(*_OF_ASSET, "status"))
        for ended, n in self.ended.items():
            runs.add_metric(ended, n)
        yield runs
        yield self.steps.family("perdure_run_steps", "Steps of runs that ended.")
        yield self.seconds.family("perdure_run_seconds", "From the begin of a run to its end, waits included.")
        tokens = CounterMetricFamily("perdure_run_tokens", "Tokens of runs that ended.", labels=_OF_ASSET)
        for labels, n in self.tokens.items():
            tokens.add_metric(labels, n)
        yield tokens
        cost = CounterMetricFamily("perdure_run_cost_usd", "Cost of runs that ended.", labels=_OF_ASSET)
        for labels, usd in self.cost_usd.items():
            cost.add_metric(labels, usd)
        yield cost
        tools = CounterMetricFamily(
            "perdure_run_tool_calls", "Calls of tools by error, empty without one.", labels=("asset", "tool", "error")
        )
        for called, n in self.tools.items():
            tools.add_metric(called, n)
        yield tools
        yield from self._shadow_families()
        yield GaugeMetricFamily("perdure_runs_going", "Runs that go on in this process.", value=n_going)
        waiting = GaugeMetricFamily("perdure_runs_waiting", "Runs that wait for a person.", labels=_OF_ASSET)
        for labels, n in self.waiting.items():
            waiting.add_metric(labels, n)
        yield waiting

    def _shadow_families(self) -> Iterator[Metric]:
        shadows = CounterMetricFamily(
            "perdure_run_shadows",
            "Runs that a shadow version did again, by what came of it.",
            labels=(*_OF_ASSET, "outcome"),
        )
        for outcome, n in self.shadows.items():
            shadows.add_metric(outcome, n)
        yield shadows
        usd = CounterMetricFamily("perdure_run_shadow_cost_usd", "What shadows paid for.", labels=_OF_ASSET)
        for labels, paid in self.shadow_usd.items():
            usd.add_metric(labels, paid)
        yield usd


class CountingWriter(PassingWriter):
    """A capture writer through which runs that are over go, and are counted.

    Args:
        writer: of this process.
        counters: of runs.
    """

    def __init__(self, writer: CaptureWriter, counters: RunCounters) -> None:
        super().__init__(writer)
        self._count: Callable[[RunRecord, Sequence[StepRecord]], None] = counters.count

    def append(self, event: Event) -> bool:
        """As the writer does."""
        if isinstance(event, RunTold) and not event.run.replay_of:
            self._count(event.run, event.steps)
        return super().append(event)

    def close(self) -> None:
        """Nothing: who opened the writer closes it."""
