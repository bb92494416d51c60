"""The cause `broken_feed`: what a model's sources show, and what their features looked like when served.

A source says it itself where it has objectives; a feature says it where it went missing, left the values that
it had at training, or comes back to them when a unit is converted. It is no broken feed that a season brings
values which training never saw: those lie outside of its range, and no conversion puts them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.assets.source import Source
from perdure.core.clock import iso
from perdure.core.stats import proportion_interval
from perdure.core.stats.columns import NumericColumn
from perdure.engines.drift.conversions import find_rescaling, off_grid
from perdure.engines.training.dataset import LABEL
from perdure.loop.observe import cadence
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.outcomes import feature_matrix
from perdure.loop.work.recent import Recent, Recents, day_of

BROKEN_FEED = "broken_feed"

_JUMP = 0.05
"""By how much more of a day's rows must lack a feature than at training."""
_OFF_GRID = 0.5
"""Share of a day's values inside the known range that must be new: a change of rounding or of codes."""
_SURE = 0.999
"""Many days and features are looked at."""
_LARGE, _HARMFUL, _FELT = 0.25, 0.1, 0.01
"""A feature's fault counts as the cause where it touches so much of the rows and is felt, or so much of the error is
its own. A sensor that is silent for a day while the error comes from elsewhere is no cause."""
_SHOWN = 8

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a source shows."""

    source: str
    what: str
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """A feature that was not served as it was learned."""

    feature: str
    source: str
    """Empty for what the request itself brings."""
    what: str
    """In words, after the feature's name."""
    rows: Mask
    """Which of the served rows it touches."""


class BrokenFeed:
    """Weighs what the model's sources and its served features show."""

    name = BROKEN_FEED

    def __init__(self, recents: Recents) -> None:
        self._recents = recents

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """Above 0.85 for a source with an open incident or a broken objective, or for a fault that is large or harmful."""
        recent = self._recents.of(place, asset, findings, now)
        if recent is None:
            return None
        symptoms = list(_symptoms(recent))
        faults = [] if recent.own.is_empty() else list(_faults(recent))
        if not symptoms and not faults:
            return None
        facts = [_fact(fault, recent.own) for fault in faults[:_SHOWN]]
        touched = _touched(faults, recent)
        weights = [symptom.weight for symptom in symptoms] + ([_weight(touched)] if faults else [])
        evidence = {"sources": [asdict(symptom) for symptom in symptoms], "features": facts, "touched": touched}
        return RankedCause(self.name, max(weights), evidence, _text(symptoms, facts, touched))


def _symptoms(recent: Recent) -> Iterator[Symptom]:
    """Open incidents and broken objectives of every source that the model rests on."""
    model = recent.model
    declared: dict[str, Source] = {view.source.name: view.source for view in model.features if view.source is not None}
    heavy = set(declared) | set(recent.plan.sources)
    others = {source.name: source for source in (model.rows, model.label.source) if source.name not in heavy}
    with recent.place.stores.ledger.read() as session:
        incidents = session.incidents.list(open_only=True)
    for name in sorted(heavy | set(others)):
        for incident in incidents:
            if incident.asset == name:
                yield Symptom(name, incident.summary, 1.0 if name in heavy else 0.88)
        source = declared.get(name) or others.get(name)
        for what in () if source is None else broken_objectives(recent, source):
            yield Symptom(name, what, 0.95 if name in heavy else 0.86)


def broken_objectives(recent: Recent, source: Source) -> list[str]:
    """The source's objectives whose newest reading is new and broken, in words with their values."""
    latest = recent.place.stores.readings.latest(source.name)
    found = []
    for objective in source.healthy:
        mine = [reading for reading in latest if objective.measured_by(reading)]
        for reading in mine:
            new = recent.now - reading.at <= 2 * cadence(objective.spec)
            if new and objective.judge(reading).state is State.BROKEN:
                found.append(f"{objective.text()} is broken at {_number(reading.value)} {reading.unit}".rstrip())
    return found


def _faults(recent: Recent) -> Iterator[Fault]:
    own = recent.own
    x, day = feature_matrix(own["features"]), day_of(own["served_at"])
    sources = {view.id: view.source for view in recent.plan.views}
    stale = dict(_stale_views(recent, day))
    for view, rows in stale.items():
        yield Fault(view, sources[view], "was missing or too old", rows)
    for position, feature in enumerate(recent.plan.features):
        column, values = recent.profile.columns.get(feature.name), x[:, position]
        if column is None:
            continue
        missing = np.isnan(values)
        usual = column.n_null / max(1, column.n + column.n_null)
        gone = missing & _on_bad_days(missing, day, usual + _JUMP)
        if gone.any() and feature.view not in stale:
            yield Fault(feature.name, sources[feature.view], "went missing", gone)
        if isinstance(column, NumericColumn):
            yield from _off_values(feature.name, sources[feature.view], column, values, day)


def _off_values(
    feature: str, source: str, column: NumericColumn, values: NDArray[np.float32], day: NDArray[np.int64]
) -> Iterator[Fault]:
    """A feature of few values that has others now: converted, or in between."""
    away = off_grid(column, values)
    n_off = int(away.sum())
    if not n_off:
        return
    rescaled = find_rescaling(column, values)
    if rescaled is not None and n_off >= _JUMP * np.isfinite(values).sum():
        yield Fault(feature, source, f"was converted ({rescaled.conversion.name})", away)
        return
    inside = np.isfinite(values) & (values > column.lowest) & (values < column.highest)
    between = away & inside
    bad = between & _on_bad_days(between[inside], day[inside], _OFF_GRID, day)
    if bad.any():
        yield Fault(feature, source, "had values between the known ones", bad)


def _stale_views(recent: Recent, day: NDArray[np.int64]) -> Iterator[tuple[str, Mask]]:
    """Stored views whose rows were missing, expired or not yet known much more often than at training."""
    status = recent.own["status"].to_list()
    for place, view in enumerate(recent.plan.stored_views):
        stale = np.array([len(bytes_) > place and bytes_[place] != 0 for bytes_ in status])
        columns = [recent.profile.columns[name] for name in view.features if name in recent.profile.columns]
        usual = min((column.n_null / max(1, column.n + column.n_null) for column in columns), default=0.0)
        rows = stale & _on_bad_days(stale, day, usual + _JUMP)
        if rows.any():
            yield view.id, rows


def _on_bad_days(hits: Mask, day: NDArray[np.int64], bound: float, asked: NDArray[np.int64] | None = None) -> Mask:
    """Which rows lie on days with, for sure, a larger share of hits than the bound."""
    names, member = np.unique(day, return_inverse=True)
    counts, n_hits = np.bincount(member), np.bincount(member, weights=hits).astype(np.int64)
    bad = [
        name
        for name, n, k in zip(names.tolist(), counts.tolist(), n_hits.tolist(), strict=True)
        if proportion_interval(k, n, confidence=_SURE).low > bound
    ]
    found: Mask = np.isin(day if asked is None else asked, bad)
    return found


def _touched(faults: Sequence[Fault], recent: Recent) -> Mapping[str, Any]:
    """How many of the served rows any fault touches, and how much of the window's error is theirs alone."""
    if not faults:
        return {"ratio": 0.0, "n_rows": 0, "error_ratio": 0.0}
    rows = np.logical_or.reduce([fault.rows for fault in faults])
    marked = recent.own.select("prediction_id").with_columns(touched=rows)
    labelled = recent.joined.frame.filter(pl.col(LABEL).is_not_null()).join(marked, on="prediction_id")
    loss = recent.loss(labelled[LABEL].to_numpy(), labelled["prediction"].to_numpy())
    known, hit = np.isfinite(loss), labelled["touched"].to_numpy()
    theirs, others = loss[known & hit], loss[known & ~hit]
    # Where every row is touched, all of the error may be theirs.
    share = 1.0 if len(theirs) and not len(others) else 0.0
    if len(theirs) and len(others) and loss[known].sum() > 0.0:
        excess = max(0.0, float(theirs.mean() - others.mean())) * len(theirs)
        share = excess / float(loss[known].sum())
    return {"ratio": round(float(rows.mean()), 4), "n_rows": int(rows.sum()), "error_ratio": round(share, 4)}


def _weight(touched: Mapping[str, Any]) -> float:
    """A small or harmless fault is noted; one that is large and felt, or costs error, is the cause."""
    ratio, error_ratio = float(touched["ratio"]), float(touched["error_ratio"])
    if error_ratio >= _HARMFUL or (ratio >= _LARGE and error_ratio >= _FELT):
        return round(0.9 + 0.08 * min(1.0, max(ratio, error_ratio)), 4)
    return round(min(0.15, 0.05 + ratio), 4)


def _fact(fault: Fault, served: pl.DataFrame) -> dict[str, Any]:
    times = served["served_at"].filter(pl.Series(fault.rows))
    first, last = times.min(), times.max()
    return {
        "feature": fault.feature,
        "source": fault.source,
        "what": fault.what,
        "ratio": round(float(fault.rows.mean()), 4),
        "first_at": iso(first) if isinstance(first, datetime) else "",
        "last_at": iso(last) if isinstance(last, datetime) else "",
    }


def _text(symptoms: Sequence[Symptom], facts: Sequence[Mapping[str, Any]], touched: Mapping[str, Any]) -> str:
    parts = []
    if symptoms:
        first = max(symptoms, key=lambda symptom: symptom.weight)
        more = f" (and {len(symptoms) - 1} more)" if len(symptoms) > 1 else ""
        parts.append(f"Source {first.source} is not whole: {first.what.rstrip('.')}{more}.")
    if facts:
        fact = max(facts, key=lambda each: float(each["ratio"]))
        origin = f" of source {fact['source']}" if fact["source"] else " of the requests"
        parts.append(
            f"{fact['feature']}{origin} {fact['what']} in {fact['ratio']:.0%} of the rows, "
            f"{fact['first_at']} to {fact['last_at']}; {touched['error_ratio']:.0%} of the error is theirs alone."
        )
    return " ".join(parts)


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"
