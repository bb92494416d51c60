"""Three worlds that the whole loop tells apart: inputs that move and harm nobody, a relation that moves, a broken feed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole import START, TRAINED, Life, acting, at, world

from perdure.core.units import days
from perdure.loop.quarantine import quarantined
from perdure.loop.work.versions import plan_of

pytestmark = pytest.mark.scenario
CHANGED = 18.0
BAD, GOOD = 26.0, 28.0
SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_that_move_without_harm_are_noted_and_nothing_is_done(tmp_path: Path, seed: int) -> None:
    moved = world(seed, n_days=26, per_day=60)
    usual = pl.col("distance_km").is_between(2.5, 5.0)
    seldom = pl.Series(np.random.default_rng(seed).random(moved.orders.height) < 0.1)
    moved.orders = moved.orders.filter((pl.col("ordered_at") < at(CHANGED)) | usual | seldom)
    life = Life(tmp_path, moved).live(25.0, step=1.5)
    assert life.incidents() == []
    assert life.jobs() == []
    assert life.moves() == []
    newest = life.readings("drift")[-1]
    assert newest.value > 0.1
    assert "distance_km" in str(newest.facts)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_relation_that_moves_is_learned_anew_proved_released_and_watched(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path, world(seed, change_at=CHANGED)).live(23.0, step=1.0)
    life.live(27.0).live_until_closed(39.0)
    [incident] = life.incidents()
    assert (incident.asset, incident.kind) == ("minutes", "concept_drift")
    assert incident.closed_at is not None
    released = [job for job in life.jobs() if job.output["outcome"] == "released"]
    assert {job.output["outcome"] for job in life.jobs()} <= {"released", "rejected"}
    assert incident.facts["jobs"] == [job.id for job in life.jobs()]
    moves = life.moves()
    assert [stage for stage, _ in moves] == ["shadow", "canary", "all"] * len(released)
    released_on = moves[-1][1]
    assert incident.closed_at >= at(released_on) + days(2), "after its watch"
    assert incident.opened_at > at(CHANGED)
    opened_on = (incident.opened_at - START) / days(1)
    before, after = life.error(CHANGED, opened_on), life.error(released_on, life.day)
    assert after < before / 2
    assert life.perdure.verify_ledger().intact


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_feed_is_set_aside_and_nothing_ever_learns_from_it(tmp_path: Path, seed: int) -> None:
    """Rain in tenths of inches for two days; a routine competition right after it takes rows of those days."""
    broken = world(seed, policy=acting(every=days(5)), n_days=33, per_day=60)
    inside = pl.col("seen_at").is_between(at(BAD), at(GOOD), closed="left")
    half = (pl.col("rain_mm") * 2).round() / 2
    broken.sky = broken.sky.with_columns(rain_mm=pl.when(inside).then(half / 2.54).otherwise(half))
    life = Life(tmp_path, broken).live(BAD, step=1.0).live(29.5).live(32.0, step=1.0)

    [incident] = life.incidents()
    assert (incident.asset, incident.kind) == ("sky", "unit_change")
    assert set(incident.facts.get("affects", [])) <= {"minutes"}
    [kept] = quarantined(life.perdure.place.stores.ledger, "sky")
    known_at = pl.col("seen_at") + pl.duration(hours=1)
    wet = broken.sky.filter(inside, pl.col("rain_mm") > 0).select(known_at).to_series()
    assert kept.start <= wet.min(), "no rain is no rain in any unit"
    assert kept.start > at(BAD)
    assert kept.found_at <= at(BAD + 1), "within a day"
    assert wet.max() < kept.end <= at(GOOD + 1)
    assert kept.restored_at == kept.closed_at <= incident.closed_at

    found, restored = ((each - START) / days(1) for each in (kept.found_at, kept.restored_at))
    assert not _on_grid(_served_rain(life, BAD, found)).all(), "it answered with bad rows until they were found"
    during = _served_rain(life, found, restored)
    assert _on_grid(during).all()
    assert np.isnan(during).any(), "the last good row is too old after three hours"
    assert np.isfinite(_served_rain(life, restored, life.day)).mean() > 0.9

    repairs = [job for job in life.jobs() if job.subject == "minutes"]
    assert not [job for job in repairs if kept.found_at <= job.started_at < kept.closed_at]
    assert [job for job in repairs if job.started_at >= kept.closed_at]
    judged = 0
    for dataset, rows in life.datasets():
        if "f.rain_mm" not in rows.columns:
            continue  # of a recalibration, which fits on answers: it keeps no features
        assert _on_grid(rows["f.rain_mm"].cast(pl.Float64).fill_null(float("nan")).to_numpy()).all(), dataset.id
        judged += rows.filter(pl.col("_as_of").is_between(kept.start, kept.end)).height
    assert judged > 0
    assert life.error(restored, life.day) < 1.2 * life.error(TRAINED, BAD)


def _served_rain(life: Life, start: float, end: float) -> np.ndarray:
    """Millimetres that the model was given; NaN for none."""
    served = life.captures(start, end)
    with life.perdure.place.stores.ledger.read() as session:
        [plan] = {plan_of(session.registry.get_version(each)).features for each in served["version"].unique()}
    column = [feature.name for feature in plan].index("rain_mm")
    return np.array([row[column] for row in served["features"]])


def _on_grid(values: np.ndarray) -> np.ndarray:
    """Half millimetres, as the gauge gives them; a missing value is no wrong one."""
    return np.isnan(values) | (np.abs(values * 2 - np.round(values * 2)) < 1e-5)
