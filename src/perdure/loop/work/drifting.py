"""Drift of served features against the profile of what the version was trained on: the signal `drift`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import Objective, SignalSpec
from perdure.engines.drift import FeatureDrift, alarming, drift_by_feature
from perdure.engines.profile import build_profile
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.outcomes import feature_matrix, read_captures
from perdure.loop.work.ranges import untainted_by
from perdure.loop.work.readings import reading_of
from perdure.loop.work.versions import get_version, plan_of, profile_of

_ERROR_SIGNALS = ("mae", "rmse", "accuracy")


MOVED = {"psi": 0.1, "js": 0.1}
"""What counts as moved, for sure. PSI's usual reading: 0.1 look, 0.25 act."""


class DriftSignal:
    """The largest drift of any feature, with the whole ranking among the facts.

    Where a feature moved for sure, `facts["harm_low"]` is how far, for sure, the newest error reading is
    past its bound: drift whose `harm_low` is not positive is noted and never breaks an objective.
    """

    name = "drift"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading a version that served in the window; rows served with quarantined data are left out.

        `facts["n_tainted"]` counts those.
        """
        start = now - spec.over
        served = read_captures(place.stores.lake, asset.name, start, now, ["version", "features"])
        if served.is_empty():
            return []
        harm = _harm_low(place, asset, now)
        readings = []
        for (version_id,), drawn in served.group_by("version", maintain_order=True):
            plan = plan_of(get_version(place.stores.ledger, str(version_id)))
            rows = untainted_by(place, plan.sources, drawn, "served_at")
            if rows.is_empty():
                continue
            ranked = _ranked(place, str(version_id), rows, spec)
            facts: dict[str, Any] = {
                "features": [_fact(feature) for feature in ranked],
                "n_tainted": drawn.height - rows.height,
            }
            if harm is not None and alarming(
                ranked, bound=MOVED[spec.params["measure"]], measure=spec.params["measure"]
            ):
                facts["harm_low"] = harm
            value, low, high = _worst(ranked, spec.params["measure"])
            bounds = {"value": value, "low": low, "high": high, "n": rows.height}
            more = {"unit": spec.params["measure"], "version": str(version_id), "facts": facts}
            readings.append(reading_of(asset, spec, now, None, **bounds, **more))
        return readings


def _ranked(place: Workplace, version_id: str, rows: pl.DataFrame, spec: SignalSpec) -> list[FeatureDrift]:
    """Every feature's drift between training and the rows, the one that moved most first."""
    version = get_version(place.stores.ledger, version_id)
    names = [feature.name for feature in plan_of(version).features]
    reference = profile_of(place.stores.blobs, version)
    current = build_profile(feature_matrix(rows["features"]), names, reference=reference)
    return drift_by_feature(reference, current, measure=spec.params["measure"], confidence=spec.confidence)


def _worst(ranked: Sequence[FeatureDrift], measure: str) -> tuple[float | None, float | None, float | None]:
    """The largest drift with its bounds."""
    if not ranked:
        return None, None, None
    return getattr(ranked[0], measure), getattr(ranked[0], f"{measure}_low"), getattr(ranked[0], f"{measure}_high")


def _fact(feature: FeatureDrift) -> dict[str, Any]:
    return {
        "feature": feature.feature,
        "psi": round(feature.psi, 6),
        "js": round(feature.js, 6),
        "ks": None if feature.ks is None else round(feature.ks, 6),
        "w1_sd": None if feature.w1_sd is None else round(feature.w1_sd, 6),
        "off_grid_ratio": None if feature.off_grid_ratio is None else round(feature.off_grid_ratio, 6),
        "adjusted_p": round(feature.adjusted_p, 6),
        "null_ratio": [round(feature.null_ratio_reference, 6), round(feature.null_ratio_current, 6)],
    }


def _harm_low(place: Workplace, asset: Watched, now: datetime) -> float | None:
    """How far, for sure, the worst of the newest error readings is past its bound; None when none is new."""
    latest = [reading for reading in place.stores.readings.latest(asset.name) if reading.low is not None]
    harms = [
        _past_bound(objective, reading)
        for objective in asset.healthy
        if objective.spec.signal in _ERROR_SIGNALS and objective.bound is not None
        for reading in latest
        if objective.measured_by(reading) and now - reading.at <= objective.spec.over
    ]
    return max(harms, default=None)


def _past_bound(objective: Objective, reading: Reading) -> float:
    assert objective.bound is not None
    assert reading.low is not None
    assert reading.high is not None
    return objective.bound - reading.high if objective.operator == ">=" else reading.low - objective.bound
