"""The gate over declared groups: the gap between the best and the worst served may not widen for sure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import Comparison, Verdict
from perdure.assets.model import Model
from perdure.assets.repair import Stage, Trial
from perdure.core.stats import Interval
from perdure.engines.fairness import gap_change, group_gap
from perdure.engines.performance import MIN_ROWS
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.comparing import Pairs, clusters_of, pairs_of, scoreboard_of, surely
from perdure.loop.work.scoring import is_whole
from perdure.loop.work.versions import get_version

_MIN_CLUSTERS = 20
"""Fewer say little when they are drawn again."""


class Fairness:
    """Mean loss by group, by fairlearn, of candidate and incumbent on the same rows."""

    name = "fairness"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Passes unless the gap of some field of `Model.fair` widens for sure.

        Raises:
            MissingExtra: groups are declared and fairlearn is not installed.
        """
        model: type[Model] = asset.declaration
        if not model.fair:
            return _passed("No groups are declared.")
        if trial.incumbent is None:
            return _passed("Nothing runs that groups could be compared with.")
        ledger = place.stores.ledger
        incumbent = get_version(ledger, trial.incumbent)
        if not is_whole(place, incumbent):
            return _passed("What runs cannot answer: there is nothing to compare with.")
        board = scoreboard_of(place, model, trial, now)
        pairs = pairs_of(board, get_version(ledger, trial.candidate), incumbent)
        confidence = surely(model.gate_confidence, len(model.fair))
        found = {name: _of_field(pairs, name, confidence) for name in model.fair}
        return self._verdict({name: each for name, each in found.items() if each is not None}, confidence, pairs.unit)

    def _verdict(self, found: dict[str, dict[str, Any]], confidence: float, unit: str) -> Verdict:
        evidence = {"confidence": confidence, "unit": unit, "fields": found}
        wider = [name for name, each in found.items() if each["low"] > 0.0]
        if wider:
            told = "; ".join(
                f"between {found[name]['best']} and {found[name]['worst']} of {name} from "
                f"{found[name]['incumbent_gap']:.4g} to {found[name]['candidate_gap']:.4g} {unit}".rstrip()
                for name in wider
            )
            return Verdict(self.name, Comparison.WORSE, False, f"The gap widens for sure: {told}.", evidence)
        narrower = bool(found) and all(each["high"] < 0.0 for each in found.values())
        told = f"No gap over {', '.join(found)} widens for sure." if found else "Too few labelled rows a group to tell."
        comparison = Comparison.BETTER if narrower else Comparison.NOT_ENOUGH_EVIDENCE
        return Verdict(self.name, comparison, True, told, evidence)


def _passed(text: str) -> Verdict:
    return Verdict(Fairness.name, Comparison.NOT_ENOUGH_EVIDENCE, True, text)


def _of_field(pairs: Pairs, name: str, confidence: float) -> dict[str, Any] | None:
    """The gaps over one field's groups that have enough rows; None with fewer than two of them."""
    values = pairs.rows[name].cast(pl.String).fill_null("null")
    counts = values.value_counts()
    large = counts.filter(pl.col("count") >= MIN_ROWS)[name]
    if len(large) < 2:
        return None
    chosen = values.is_in(large.implode()).to_numpy()
    groups, rows = values.to_numpy()[chosen], pairs.rows.filter(pl.Series(chosen))
    first, second = pairs.candidate[chosen], pairs.incumbent[chosen]
    clusters = clusters_of(rows, n_least=_MIN_CLUSTERS)
    units = np.arange(rows.height) if clusters is None else clusters
    change: Interval = gap_change(first, second, groups, units, confidence=confidence)
    candidate, incumbent = group_gap(first, groups), group_gap(second, groups)
    return {
        "candidate": dict(candidate.by_group),
        "incumbent": dict(incumbent.by_group),
        "candidate_gap": candidate.gap,
        "incumbent_gap": incumbent.gap,
        "best": candidate.best,
        "worst": candidate.worst,
        "low": change.low,
        "high": change.high,
    }
