"""What judges are to be asked about runs of production, for the round of `prompts.online_asking`, which asks them.

An agent or a graph with an objective on its success, and a judge among its `success` scorers: the judge is asked about a sample of the
objective's window, within the day's money of all, of each answer once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.assets.health import Reading
from perdure.assets.judge import Judge
from perdure.assets.objective import SignalSpec
from perdure.assets.scorer_specs import label_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.evals.scoring import JudgeScorer
from perdure.loop.work.prompts.online_judged import Sampled
from perdure.loop.work.runs.judged import as_judged, judged_in, sample_of
from perdure.loop.work.runs.reading import Reader
from perdure.loop.work.runs.signals import run_signals

OF_SUCCESS = ("task_success", "usd_per_success", "s_per_success")
"""Signals that ask whether a run did what it was asked."""


@dataclass(frozen=True, slots=True, eq=False)
class RunsWanted:
    """What an objective of an agent or a graph wants to know of a judge."""

    spec: SignalSpec
    judge: Judge
    label: str
    among: str = "success"

    def sampled(self, place: Workplace, asset: Watched, by: JudgeScorer, now: datetime) -> Sequence[Sampled]:
        """Of the window's runs that people said nothing of, by their hashes; what was asked and answered in the same words once."""
        reader = Reader()
        window = reader.window(place, asset, self.spec.over, now)
        if window is None:
            return []
        sample = sample_of(reader.runs(place, asset, window), place.settings.evals.online_calls)
        return [one for group in sample if (one := as_judged(group[0].run, by)) is not None]

    def readings(self, place: Workplace, asset: Watched, now: datetime) -> Sequence[Reading]:
        """Of the objective's own signal."""
        return run_signals()[self.spec.signal]().observe(place, asset, self.spec, now)


def all_wanted(asset: Watched) -> Iterator[RunsWanted]:
    """What the objectives of an agent or a graph want to know of judges."""
    for objective in asset.healthy:
        if objective.spec.signal in OF_SUCCESS:
            for scorer, judge in judged_in(asset):
                yield RunsWanted(objective.spec, judge, label_of(scorer))
