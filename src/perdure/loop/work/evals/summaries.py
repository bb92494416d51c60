"""What a run says of one version: its score with its interval, scorer by scorer, where the spread comes from, what it cost.

Called by `surface.evaluating` and by signals. Cases are the units, in their clusters; samples of one case are averaged first. What is
too little for an interval has none: one cluster says nothing of others, and answers that do not differ are no certainty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perdure.core.errors import TooFewRows
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.components import Components, components
from perdure.core.stats.intervals import Interval
from perdure.stores.results.protocols import RunRow

_QUANTILES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class ScorerSummary:
    """One scorer over all answers of a version."""

    label: str
    score: Interval | None
    """Mean over cases; None where clusters are too few."""
    n: int
    """Answers that it scored."""
    n_failed: int
    """Answers that were none to it, or that a judge could not judge."""
    n_na: int
    """Answers that it does not apply to."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One version in one suite."""

    subject: str
    score: Interval | None
    mean: float | None
    scorers: tuple[ScorerSummary, ...]
    n_cases: int
    n_clusters: int
    n_answers: int
    n_failed: int
    n_cached: int
    """Draws of earlier runs, given again."""
    split: Components | None
    """Where the spread comes from; None with too few whole cases."""
    cost_pusd: int
    """What the answers cost when they were made, as far as prices are known."""
    n_unpriced: int
    spent_pusd: int
    """What this run paid, judges too."""
    p50_ms: float | None
    p95_ms: float | None
    hallucination: Interval | None = None
    """Share of claims that no context supports; None where no scorer counts claims."""

    @property
    def cached_share(self) -> float:
        """Of the answers, 0 to 1."""
        return self.n_cached / self.n_answers if self.n_answers else 0.0


def summary_of(rows: Iterable[RunRow], subject: str, claims: Mapping[str, tuple[int, int]] | None = None) -> RunSummary:
    """The summary of a version. Cost: some 5 µs a row.

    Args:
        rows: of a run.
        subject: the version.
        claims: key of an answer → its claims that nothing supports, and all its claims.
    """
    own = [row for row in rows if row.subject == subject]
    waits = [row.latency_us / 1000.0 for row in own if not row.error]
    quantiles = [float(each) for each in np.quantile(waits, _QUANTILES)] if waits else [None, None]
    labels = list(dict.fromkeys(each[0] for row in own for each in row.scores))
    scores = [row.score for row in own if row.score is not None]
    return RunSummary(
        subject=subject,
        score=interval_of(own, lambda row: row.score),
        mean=sum(scores) / len(scores) if scores else None,
        scorers=tuple(_scorer(own, label) for label in labels),
        n_cases=len({row.case for row in own}),
        n_clusters=len({row.cluster for row in own}),
        n_answers=len(own),
        n_failed=sum(bool(row.error) for row in own),
        n_cached=sum(row.cached for row in own),
        split=_split(own),
        cost_pusd=sum(row.cost_pusd or 0 for row in own),
        n_unpriced=sum(row.cost_pusd is None for row in own),
        spent_pusd=sum(row.spent_pusd for row in own),
        p50_ms=quantiles[0],
        p95_ms=quantiles[1],
        hallucination=hallucination_of(own, claims or {}),
    )


def interval_of(rows: Iterable[RunRow], value: Callable[[RunRow], float | None]) -> Interval | None:
    """The weighted mean over cases with its clustered interval, 0 to 1; None with fewer than two clusters or no spread."""
    means: dict[str, list[float]] = {}
    about: dict[str, RunRow] = {}
    for row in rows:
        said = value(row)
        if said is not None:
            means.setdefault(row.case, []).append(said)
            about[row.case] = row
    numbers: dict[str, int] = {}
    clusters = [numbers.setdefault(about[case].cluster, len(numbers)) for case in means]
    weights = [about[case].weight for case in means]
    if not any(weights):
        weights = [1.0] * len(weights)
    values = np.array([sum(each) / len(each) for each in means.values()], dtype=np.float64)
    try:
        found = clustered_interval(
            values, np.array(clusters, dtype=np.int64), weights=np.array(weights, dtype=np.float64), within=(0.0, 1.0)
        )
    except TooFewRows:
        return None
    return None if found.low == found.high else found


def hallucination_of(rows: Iterable[RunRow], claims: Mapping[str, tuple[int, int]]) -> Interval | None:
    """Unsupported claims as a share of all claims: a ratio of sums, each answer weighing as many claims as it makes.

    Answers without a claim, such as "I do not know", count neither way.
    """
    found = [(row, *claims[row.answer]) for row in rows if claims.get(row.answer, (0, 0))[1]]
    numbers: dict[str, int] = {}
    clusters = np.array([numbers.setdefault(row.cluster, len(numbers)) for row, _, _ in found], dtype=np.int64)
    shares = np.array([wrong / n for _, wrong, n in found], dtype=np.float64)
    weights = np.array([float(n) for _, _, n in found], dtype=np.float64)
    try:
        return clustered_interval(shares, clusters, weights=weights, within=(0.0, 1.0))
    except TooFewRows:
        return None


def _scorer(rows: Sequence[RunRow], label: str) -> ScorerSummary:
    said = [each for row in rows for each in row.scores if each[0] == label]
    return ScorerSummary(
        label,
        interval_of(rows, lambda row: next((value for name, value, _, _ in row.scores if name == label), None)),
        sum(value is not None for _, value, _, _ in said),
        sum(outcome == "failed" for _, _, outcome, _ in said),
        sum(outcome == "not_applicable" for _, _, outcome, _ in said),
    )


def _split(rows: Sequence[RunRow]) -> Components | None:
    """Variance between cases and between samples of one."""
    n_samples = 1 + max((row.sample for row in rows), default=0)
    places = {case: at for at, case in enumerate(dict.fromkeys(row.case for row in rows))}
    scores = np.full((len(places), n_samples), np.nan)
    for row in rows:
        if row.score is not None:
            scores[places[row.case], row.sample] = row.score
    try:
        return components(scores)
    except TooFewRows:
        return None
