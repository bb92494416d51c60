"""The cause `label_trouble`: the truth itself is late, missing, orphaned, corrected, in another unit or constant.

Wrong labels look exactly like a relation that moved, so they are looked for first: a model that retrains on
seconds where minutes were meant is worse than one that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding
from perdure.core.errors import NotFound
from perdure.core.stats import proportion_interval
from perdure.core.units import duration_text
from perdure.engines.drift.conversions import CONVERSIONS, Conversion
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.causes_feed import broken_objectives
from perdure.loop.work.healthy import healthy_outcomes
from perdure.loop.work.outcomes import EARLY, read_captures, read_posted_labels
from perdure.loop.work.recent import Outcomes, Recent, Recents

LABEL_TROUBLE = "label_trouble"

_REAL, _NOTED = 0.92, 0.3
_SURE = 0.999
_MANY, _SOME = 0.2, 0.05
"""By how much more of the rows, or labels, than at training: trouble, and worth a word."""
_BETTER, _AS_HEALTHY = 0.2, 1.5
"""Undoing a conversion must leave so little of the error, and no more than so many healthy errors."""
_CONSTANT = 0.95
_N_CONSTANT = 50


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with the labels."""

    what: str
    text: str
    weight: float
    facts: Mapping[str, Any]


class LabelTrouble:
    """Weighs what speaks against the labels of the window."""

    name = LABEL_TROUBLE

    def __init__(self, recents: Recents) -> None:
        self._recents = recents

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Above 0.85 where something is wrong with a fifth of the labels more than at training; less is noted."""
        recent = self._recents.of(place, asset, findings, now)
        if recent is None or recent.joined.frame.is_empty():
            return None
        troubles = sorted(_troubles(recent), key=lambda trouble: (-trouble.weight, trouble.what))
        if not troubles:
            return None
        evidence = {trouble.what: dict(trouble.facts) for trouble in troubles}
        text = " ".join(trouble.text for trouble in troubles[:2])
        return RankedCause(self.name, troubles[0].weight, evidence, text)


def _troubles(recent: Recent) -> Iterator[Trouble]:
    usual = _usual_counts(recent)
    yield from _source_trouble(recent)
    yield from _missing(recent, usual)
    yield from _late(recent)
    yield from _orphaned(recent)
    yield from _repeated(recent, usual)
    outcomes = recent.outcomes
    if len(outcomes) >= _N_CONSTANT:
        yield from _converted(recent, outcomes)
        yield from _constant(recent, outcomes)


def _usual_counts(recent: Recent) -> Mapping[str, int]:
    """What was counted when the version's dataset was prepared; empty for a version that was made elsewhere."""
    try:
        with recent.place.stores.ledger.read() as session:
            dataset = session.registry.get_version(recent.version.lineage.get("dataset", ""))
    except NotFound:
        return {}
    counts: Mapping[str, int] = dataset.definition["card"].get("counts", {})
    return counts


def _source_trouble(recent: Recent) -> Iterator[Trouble]:
    source = recent.model.label.source
    for what in broken_objectives(recent, source):
        yield Trouble("source", f"The labels' source {source.name}: {what}.", 0.88, {"source": source.name, "is": what})


def _missing(recent: Recent, usual: Mapping[str, int]) -> Iterator[Trouble]:
    n, n_missing = recent.joined.frame.height, recent.joined.n_unlabelled
    n_before = usual.get("n_labelled", 0) + usual.get("n_unlabelled", 0)
    before = usual.get("n_unlabelled", 0) / n_before if n_before else 0.0
    last = recent.joined.frame.filter(pl.col(LABEL).is_not_null())["served_at"].max()
    text = (
        f"{n_missing} of {n} predictions have no label, although the declared delay of "
        f"{duration_text(recent.model.label.delay)} has passed; at training {before:.0%} had none."
    )
    facts = {"n": n, "n_unlabelled": n_missing, "usual_ratio": round(before, 4), "last_labelled_served_at": str(last)}
    yield from _judged("missing", n_missing, n, before, text, facts)


def _judged(what: str, k: int, n: int, before: float, text: str, facts: Mapping[str, Any]) -> Iterator[Trouble]:
    """Trouble where, for sure, many more are hit than before; a word where some more are."""
    low = proportion_interval(k, n, confidence=_SURE).low if n else 0.0
    if low > before + _SOME:
        yield Trouble(what, text, _REAL if low > before + _MANY else _NOTED, facts)


def _late(recent: Recent) -> Iterator[Trouble]:
    known = recent.joined.frame.filter(pl.col(LABEL).is_not_null())
    delay = known.select(((pl.col(LABEL_KNOWN_AT) - pl.col("served_at")).dt.total_microseconds() / 1e6).alias("s"))["s"]
    watermark_s, n = recent.model.label.delay.total_seconds(), known.height
    n_late, n_early = int((delay > watermark_s).sum()), int((delay < 0.0).sum())
    facts = {"n": n, "n_late": n_late, "n_early": n_early, "delay_s": watermark_s, "p90_s": delay.quantile(0.9)}
    late = f"{n_late} of {n} labels came later than the declared delay of {duration_text(recent.model.label.delay)}."
    yield from _judged("late", n_late, n, 0.0, late, facts)
    early = f"{n_early} of {n} labels were known before their prediction was made: a clock or a key is wrong."
    yield from _judged("early", n_early, n, 0.0, early, facts)


def _orphaned(recent: Recent) -> Iterator[Trouble]:
    """Labels that were posted for nothing that was served."""
    start, lake, name = recent.window[0], recent.place.stores.lake, recent.asset.name
    posted = read_posted_labels(lake, name, start, recent.now)
    if posted.is_empty():
        return
    served = read_captures(lake, name, start - EARLY, recent.now, ["key"])
    ids, keys = (served[column].implode() for column in ("prediction_id", "key"))
    n_joined = posted.filter(pl.col("prediction_id").is_in(ids) | pl.col("key").is_in(keys)).height
    n, n_orphaned = posted.height, posted.height - n_joined
    text = f"{n_orphaned} of {n} labels that were sent belong to nothing that was served: is the key still the same?"
    yield from _judged("orphaned", n_orphaned, n, 0.0, text, {"n": n, "n_orphaned": n_orphaned})


def _repeated(recent: Recent, usual: Mapping[str, int]) -> Iterator[Trouble]:
    n, n_before = recent.joined.n_labels, usual.get("n_labels", 0)
    corrected = usual.get("n_corrected", 0) / n_before if n_before else 0.0
    n_corrected = recent.joined.n_corrected
    text = f"{n_corrected} of {n} labels replaced another value; at training {corrected:.0%} did."
    facts = {"n": n, "n_corrected": n_corrected, "usual_ratio": round(corrected, 4)}
    yield from _judged("corrected", n_corrected, n, corrected, text, facts)
    twice = usual.get("n_labels_duplicated", 0) / n_before if n_before else 0.0
    n_twice = recent.joined.n_duplicates
    if n and proportion_interval(n_twice, n, confidence=_SURE).low > twice + _MANY:
        text = f"{n_twice} of {n} labels repeat one that was known; that is harmless, and new."
        yield Trouble("duplicated", text, 0.1, {"n": n, "n_duplicated": n_twice, "usual_ratio": round(twice, 4)})


def _converted(recent: Recent, outcomes: Outcomes) -> Iterator[Trouble]:
    """Days on which labels are right again once a conversion of units is undone."""
    healthy, _ = healthy_outcomes(recent)
    if recent.model.task == "classification" or not len(healthy):
        return
    usual = float(np.abs(healthy.prediction - healthy.y).mean())
    names, member = np.unique(outcomes.day, return_inverse=True)
    hit, conversion = _best_conversion(outcomes, member, usual)
    if conversion is None:
        return
    ratio = float(hit[member].mean())
    text = (
        f"Labels of {int(hit.sum())} of {len(names)} days ({ratio:.0%} of the rows) fit the predictions once they "
        f"are taken back from {conversion.name}: the mean absolute error is {usual:.3g} then, as it was."
    )
    facts = {"conversion": conversion.name, "ratio": round(ratio, 4), "n_days": int(hit.sum())}
    yield Trouble("converted", text, 0.97, facts)


def _best_conversion(
    outcomes: Outcomes, member: NDArray[np.intp], usual: float
) -> tuple[NDArray[np.bool_], Conversion | None]:
    """The conversion that explains the most rows, and the days that it explains."""
    sizes = np.bincount(member)
    raw = np.bincount(member, weights=np.abs(outcomes.prediction - outcomes.y)) / sizes
    best, found, n_best = np.zeros(len(sizes), dtype=np.bool_), None, 0
    for conversion in CONVERSIONS:
        undone = np.abs(outcomes.prediction - conversion.undone(outcomes.y))
        after = np.bincount(member, weights=undone) / sizes
        hit = (after <= _BETTER * raw) & (after <= _AS_HEALTHY * usual)
        n_hit = int(sizes[hit].sum())
        if n_hit > n_best:
            best, found, n_best = hit, conversion, n_hit
    return best, found


def _constant(recent: Recent, outcomes: Outcomes) -> Iterator[Trouble]:
    """The newest day's labels are all alike, as they never were."""
    healthy, _ = healthy_outcomes(recent)
    days, counts = np.unique(outcomes.day, return_counts=True)
    enough = days[counts >= _N_CONSTANT]
    newest = outcomes.y[outcomes.day == enough[-1]] if len(enough) else outcomes.y
    ratio, value = _most_frequent(newest)
    before = _most_frequent(healthy.y)[0] if len(healthy) else 1.0
    if ratio >= _CONSTANT and before < ratio - _MANY:
        text = f"{ratio:.0%} of the newest {len(newest)} labels are {value:g}; among healthy rows {before:.0%} share a value."
        yield Trouble("constant", text, _REAL, {"ratio": round(ratio, 4), "value": value, "usual": round(before, 4)})


def _most_frequent(values: NDArray[np.float64]) -> tuple[float, float]:
    """Share of the most frequent value, and the value."""
    distinct, counts = np.unique(values, return_counts=True)
    at = int(counts.argmax())
    return float(counts[at] / len(values)), float(distinct[at])
