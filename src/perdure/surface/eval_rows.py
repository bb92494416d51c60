"""Rows of an eval's run, made into what is shown of it: versions beside each other, flips, disagreements, figures by scorer.

What surprised us: a case that one version failed to answer at all has no row for some scorers, so everything here looks scores up
by the scorer's label, never by place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.suite import Case
from perdure.core.canonical import canonical_json
from perdure.core.stats.clustered import clustered_interval
from perdure.core.stats.components import Components
from perdure.core.stats.intervals import Interval
from perdure.core.stats.shares import clustered_share
from perdure.core.stats.verdicts import Plan, compare
from perdure.core.usage import PICO
from perdure.loop.work.evals.summaries import summary_of
from perdure.stores.results.protocols import RunRow
from perdure.surface.eval_told import AnswerTold, CaseTold, Flip, ScorerTold, ScoreTold, SideTold
from perdure.surface.words import counted

_OPPOSITE = 0.5
"""Two scorers at least so far apart say opposite things of an answer; ours, without a source."""
_SHOWN = Plan(margin=0.02, smallest=0.05, planned=0, n_looks=1)
"""By which intervals of single scorers are told; verdicts are by the suite's own plan."""
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """What rows point to."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    """By digest, as the run froze them."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Text by key."""
    spans: Mapping[str, Spans] = field(default_factory=dict)
    """Unsupported parts by the answer's key."""
    claims: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By the answer's key: its claims that nothing supports, and all its claims."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How rows are looked at."""

    subjects: tuple[str, ...]
    """One version, or two: the present one first."""
    judges: frozenset[str] = frozenset()
    """Labels of the scorers that are judges."""
    tolerance: float = 0.02
    """Differences of a case's score within it are no flip."""


def cases_told(rows: Iterable[RunRow], looked: Looked, texts: Texts) -> tuple[CaseTold, ...]:
    """Every case with the answers of each version, in the order of the rows."""
    grouped: dict[str, list[list[RunRow]]] = {}
    for row in rows:
        if row.subject in looked.subjects:
            sides = grouped.setdefault(row.case, [[] for _ in looked.subjects])
            sides[looked.subjects.index(row.subject)].append(row)
    return tuple(_case(sides, looked, texts) for sides in grouped.values())


def _case(sides: Sequence[Sequence[RunRow]], looked: Looked, texts: Texts) -> CaseTold:
    first = next(row for side in sides for row in side)
    case = texts.cases.get(first.case)
    answers = tuple(tuple(_answer(row, texts) for row in sorted(side, key=lambda row: row.sample)) for side in sides)
    change = _change(sides)
    return CaseTold(
        id=first.case_id,
        question=_text(case.inputs) if case else "",
        expected=_text(case.expected) if case else "",
        contexts=tuple(_text(each) for each in case.contexts) if case else (),
        tags=tuple(first.tags),
        cluster=first.cluster,
        answers=answers,
        flip=_flip(sides, change, looked.tolerance),
        change=change,
        disagreement=next(filter(None, (_disagreement(row, looked.judges) for side in sides for row in side)), ""),
    )


def _answer(row: RunRow, texts: Texts) -> AnswerTold:
    return AnswerTold(
        text=texts.answers.get(row.answer, ""),
        sample=row.sample,
        score=row.score,
        scores=tuple(ScoreTold(*each) for each in row.scores),
        spans=texts.spans.get(row.answer, ()),
        error=row.error,
        cost_usd=None if row.cost_pusd is None else row.cost_pusd / PICO,
        latency_ms=row.latency_us / 1000,
        cached=row.cached,
    )


def _text(value: Any) -> str:
    """A case's part as people read it: texts as they are, a single one of an object too, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Mapping) and set(value) == {"messages"}:
        return _conversation(value["messages"])
    if isinstance(value, Mapping) and "text" in value:
        return str(value["text"])
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value.values())), str):
        return str(next(iter(value.values())))
    return msgspec.json.format(canonical_json(value), indent=2).decode()


def _conversation(messages: Sequence[Mapping[str, Any]]) -> str:
    """What a case without a prompt sends: one message as it is, several with who says them."""
    told = [(str(each.get("role", "")), _text(each.get("content"))) for each in messages]
    return told[0][1] if len(told) == 1 else "\n".join(f"{role}: {said}" for role, said in told)


def _change(sides: Sequence[Sequence[RunRow]]) -> float | None:
    if len(sides) < 2:
        return None
    means = [_mean(row.score for row in side) for side in sides]
    return None if means[0] is None or means[1] is None else means[1] - means[0]


def _flip(sides: Sequence[Sequence[RunRow]], change: float | None, tolerance: float) -> Flip:
    if len(sides) < 2:
        return "same"
    if not all(sides):
        return "unpaired"
    if change is None or abs(change) <= tolerance + 1e-12:
        return "same"
    return "better" if change > 0 else "worse"


def _disagreement(row: RunRow, judges: frozenset[str]) -> str:
    """Two judges, or a judge and the other scorers, that say opposite things of an answer."""
    said = {label: value for label, value, outcome, _ in row.scores if value is not None and outcome == "scored"}
    of_judges = {label: value for label, value in said.items() if label in judges}
    if not of_judges:
        return ""
    low, high = min(of_judges, key=of_judges.__getitem__), max(of_judges, key=of_judges.__getitem__)
    if of_judges[high] - of_judges[low] >= _OPPOSITE:
        return f"{low} says {of_judges[low]:.2g}, {high} says {of_judges[high]:.2g}"
    others = _mean(value for label, value in said.items() if label not in judges)
    if others is None:
        return ""
    far = max(of_judges, key=lambda label: abs(of_judges[label] - others))
    apart = abs(of_judges[far] - others) >= _OPPOSITE
    return f"{far} says {of_judges[far]:.2g}, the other scorers {others:.2g}" if apart else ""


def _mean(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None


def sides_told(
    rows: Sequence[RunRow], subjects: Sequence[str], claims: Mapping[str, tuple[int, int]] | None = None
) -> tuple[SideTold, ...]:
    """Each version over all its answers; `claims` as `Texts` has them."""
    return tuple(_side(each, [row for row in rows if row.subject == each], claims or {}) for each in subjects)


def _side(subject: str, rows: Sequence[RunRow], claims: Mapping[str, tuple[int, int]]) -> SideTold:
    found = summary_of(rows, subject, claims)
    return SideTold(
        subject=subject,
        score=score_interval(rows),
        mean=found.mean,
        n_answers=found.n_answers,
        n_failed=sum(bool(row.error) or any(map(_is_none, row.scores)) for row in rows),
        cost_usd=found.cost_pusd / PICO if found.n_unpriced < found.n_answers else None,
        n_unpriced=found.n_unpriced,
        p50_ms=found.p50_ms,
        p95_ms=found.p95_ms,
        spread="" if found.split is None else _spread(found.split),
        n_cached=found.n_cached,
        split=found.split,
        hallucination=_spreading(found.hallucination, rows, claims),
    )


def _spreading(
    found: Interval | None, rows: Sequence[RunRow], claims: Mapping[str, tuple[int, int]]
) -> Interval | None:
    """The share of claims without support; where no answer differs, with Wilson's bounds over answers: that is no certainty."""
    if found is None or found.low < found.high:
        return found
    known = {key: wrong / n for key, (wrong, n) in claims.items() if n}
    return _interval(rows, lambda row: known.get(row.answer))


def _is_none(said: tuple[str, float | None, str, str]) -> bool:
    """Whether a scorer found no answer; a judge without an opinion has no value, and says nothing of the answer."""
    return said[2] == "failed" and said[1] is not None


def _spread(split: Components) -> str:
    """Where it comes from, and which number of repeats makes the score surest for the money."""
    parts = {"between cases": split.case, "between samples of one": split.sample}
    parts |= {} if split.judging is None else {"between judgings of one answer": split.judging}
    whole = sum(each or 0.0 for each in parts.values())
    if split.case is None or split.sample is None or not whole:
        return ""
    said = [f"{(each or 0.0) / whole:.0%} {name}" for name, each in parts.items()]
    best = split.best_repeats()
    advice = f"; {counted(best, 'sample')} a case {'tells' if best == 1 else 'tell'} most for the money" if best else ""
    return f"spread: {', '.join(said)}{advice}"


def score_interval(rows: Iterable[RunRow]) -> Interval | None:
    """The mean score of one version's rows with its interval; None where there are fewer than two clusters."""
    return _interval(rows, lambda row: row.score)


def scorers_told(rows: Sequence[RunRow], looked: Looked) -> tuple[ScorerTold, ...]:
    """Each scorer over all answers of each version, and what changed between two, in the order they were first seen."""
    labels = list(dict.fromkeys(each[0] for row in rows for each in row.scores))
    sides = [[row for row in rows if row.subject == subject] for subject in looked.subjects]
    return tuple(
        ScorerTold(
            label,
            raw=tuple(_interval(side, _of(label)) for side in sides),
            difference=_paired(sides[0], sides[1], _of(label)) if len(sides) == 2 else None,
            judge=label in looked.judges,
            means=tuple(_mean(_column(side, _of(label)).means.values()) for side in sides),
            n_silent=sum(_silent(each, label) for side in sides for row in side for each in row.scores),
        )
        for label in labels
    )


def _silent(said: tuple[str, float | None, str, str], label: str) -> bool:
    return said[0] == label and said[2] == "failed" and said[1] is None


def _of(label: str) -> Callable[[RunRow], float | None]:
    return lambda row: next((value for name, value, _, _ in row.scores if name == label), None)


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure a case: mean over samples, with the case's cluster and weight."""

    means: Mapping[str, float]
    clusters: Mapping[str, str]
    weights: Mapping[str, float]

    def arrays(self, cases: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Numbers of the clusters, and weights, of these cases."""
        numbers: dict[str, int] = {}
        found = np.array([numbers.setdefault(self.clusters[case], len(numbers)) for case in cases], dtype=np.int64)
        weights = np.array([self.weights[case] for case in cases], dtype=np.float64)
        return found, weights if weights.any() else np.ones(len(cases))


def _column(rows: Iterable[RunRow], value: Callable[[RunRow], float | None]) -> _Column:
    found: dict[str, list[float]] = {}
    of_case: dict[str, RunRow] = {}
    for row in rows:
        said = value(row)
        if said is not None:
            found.setdefault(row.case, []).append(said)
            of_case[row.case] = row
    return _Column(
        {case: sum(each) / len(each) for case, each in found.items()},
        {case: row.cluster or case for case, row in of_case.items()},
        {case: row.weight for case, row in of_case.items()},
    )


def _interval(rows: Iterable[RunRow], value: Callable[[RunRow], float | None]) -> Interval | None:
    """Of a share Wilson's at the effective number of rows; Student's where cases have weights of their own."""
    column = _column(rows, value)
    cases = list(column.means)
    clusters, weights = column.arrays(cases)
    if len(set(clusters.tolist())) < 2:
        return None  # one cluster says nothing of others
    values = np.array([column.means[case] for case in cases])
    if (weights == weights[0]).all():
        return clustered_share(values, clusters)
    return clustered_interval(values, clusters, weights=weights, within=(0.0, 1.0))


def _paired(
    first: Iterable[RunRow], second: Iterable[RunRow], value: Callable[[RunRow], float | None]
) -> Interval | None:
    before, after = _column(first, value), _column(second, value)
    both = [case for case in after.means if case in before.means]
    clusters, weights = after.arrays(both)
    if len(set(clusters.tolist())) < 2:
        return None
    differences = np.array([after.means[case] - before.means[case] for case in both])
    return compare(differences, clusters, _SHOWN, weights=weights).difference
