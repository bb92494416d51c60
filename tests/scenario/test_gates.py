"""Each gate passes what it should and refuses what it should, on real stores; its numbers against scipy and fairlearn."""

from __future__ import annotations

from dataclasses import replace

import fairlearn.metrics
import numpy as np
import polars as pl
import pytest
import scipy.stats
from repaired import (
    NOW,
    at,
    champion,
    damage,
    released,
    repaired,
    version,
    watched,
)

from perdure.assets.health import Comparison
from perdure.assets.repair import Trial
from perdure.core.canonical import canonical_json, plain
from perdure.core.units import days
from perdure.engines.training.dataset import LABEL
from perdure.loop.work.comparing import clusters_of, surely
from perdure.loop.work.gates import model_gates
from perdure.loop.work.rows import AS_OF, holdout_rows
from perdure.loop.work.scoring import score_version
from perdure.loop.work.training import Content, register
from perdure.testing.world import World


@pytest.fixture(scope="module")
def perdure(tmp_path_factory):
    """One drifted world with its candidates; no test moves its pointers or damages its blobs."""
    return released(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def made(perdure):
    """The fit on the newest week, which is better than the champion."""
    return repaired(perdure, watched(perdure), "retrain_recent")[-1]


def _judged(perdure, asset, gate, trial, day=NOW):
    return next(each for each in model_gates() if each.name == gate).judge(perdure.place, asset, trial, at(day))


def _offset(perdure, base, *, intercept=0.0, slope=1.0, runtime="native"):
    """A version that answers what another does, put on a line; natively, so that no graph needs to be made."""
    kept = version(perdure, base)
    line = {"intercept": intercept, "slope": slope}
    definition = {**kept.definition, "runtime": runtime, "calibration": line}
    lineage = {**kept.lineage, "test": line}
    return register(perdure.place, Content(definition, kept.artifacts, lineage, "minutes"), {}, at(NOW)).id


def _errors(perdure, asset, *versions):
    rows = holdout_rows(perdure.place, asset.declaration, at(NOW))
    y = rows[LABEL].to_numpy()
    return rows, *(np.abs(score_version(perdure.place, asset.declaration, each, rows) - y) for each in versions)


# Paired errors


def test_a_better_candidate_passes_with_its_gain(perdure, made):
    asset = watched(perdure)
    verdict = _judged(perdure, asset, "paired_error", Trial(made, champion(perdure).id))
    _, first, second = _errors(perdure, asset, made, champion(perdure).id)
    assert (verdict.comparison, verdict.passed) == (Comparison.BETTER, True)
    assert verdict.gain == pytest.approx(second.mean() - first.mean())


def test_the_interval_of_the_difference_is_scipys_over_clusters_of_equal_size(perdure, made):
    """With few units no skewness is corrected, and what is left is Student's t over the clusters' linearised sums."""
    asset = watched(perdure)
    verdict = _judged(perdure, asset, "paired_error", Trial(made, champion(perdure).id, n_rivals=4))
    rows, first, second = _errors(perdure, asset, made, champion(perdure).id)
    differences, clusters = first - second, clusters_of(rows)
    units = np.unique(clusters)
    assert 5 <= len(units) < 10
    sums = np.array([differences[clusters == unit].sum() for unit in units])
    sizes = np.array([(clusters == unit).sum() for unit in units])
    residuals = (sums - differences.mean() * sizes) / sizes.mean()
    error = np.sqrt((residuals**2).mean() / (len(units) - 1))
    confidence = surely(0.9, 4)
    low, high = scipy.stats.t.interval(confidence, len(units) - 1, loc=differences.mean(), scale=error)
    assert verdict.evidence["confidence"] == pytest.approx(0.975)
    assert (verdict.evidence["low"], verdict.evidence["high"]) == (
        pytest.approx(low, rel=1e-4),
        pytest.approx(high, rel=1e-4),
    )


def test_a_worse_and_an_equal_candidate_are_told_apart_and_both_refused(perdure, made):
    asset = watched(perdure)
    worse = _judged(perdure, asset, "paired_error", Trial(_offset(perdure, made, intercept=9.0), made))
    equal = _judged(perdure, asset, "paired_error", Trial(_offset(perdure, made), made))
    assert (worse.comparison, worse.passed) == (Comparison.WORSE, False)
    assert (equal.comparison, equal.passed) == (Comparison.NOT_ENOUGH_EVIDENCE, False)


def test_the_more_rivals_the_more_proof_is_asked_for(perdure, made):
    asset, trial = watched(perdure), Trial(made, champion(perdure).id)
    alone = _judged(perdure, asset, "paired_error", trial).evidence
    many = _judged(perdure, asset, "paired_error", replace(trial, n_rivals=10)).evidence
    assert many["high"] - many["low"] > alone["high"] - alone["low"]


def test_too_few_labels_are_not_enough_evidence(perdure, made):
    """In shadow and canary what is not proven worse goes on; in verify it does not."""
    asset = watched(perdure)
    since = at(NOW - 0.1)
    for stage, passes in (("shadow", True), ("canary", True), ("watch", True)):
        verdict = _judged(perdure, asset, "paired_error", Trial(made, champion(perdure).id, stage, since))
        assert (verdict.comparison, verdict.passed) == (Comparison.NOT_ENOUGH_EVIDENCE, passes)
    short = watched(perdure, holdout=days(0.05))
    assert not _judged(perdure, short, "paired_error", Trial(made, champion(perdure).id)).passed


def test_a_watch_judges_rows_since_the_release_and_fails_what_is_worse(perdure, made):
    asset, worse = watched(perdure), _offset(perdure, made, intercept=9.0)
    verdict = _judged(perdure, asset, "paired_error", Trial(worse, made, "watch", at(24)))
    rows = holdout_rows(perdure.place, watched(perdure, holdout=days(2)).declaration, at(NOW))
    assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
    assert verdict.evidence["n"] == rows.height
    assert _judged(perdure, asset, "paired_error", Trial(made, worse, "watch", at(24))).passed


def test_without_an_incumbent_nothing_is_compared(perdure, made):
    asset = watched(perdure)
    assert all(_judged(perdure, asset, each.name, Trial(made, None)).passed for each in model_gates())


def test_labels_that_come_late_move_the_comparison_back_to_where_they_are(tmp_path):
    world = World(n_days=27, per_day=60)
    late = pl.when(pl.col("arrived_at") > at(13)).then(pl.col("arrived_at") + days(4)).otherwise("arrived_at")
    world.arrivals = world.arrivals.with_columns(arrived_at=late)
    perdure = released(tmp_path, world)
    label = replace(perdure.project.model("minutes").label, delay=days(5))
    rows = holdout_rows(perdure.place, watched(perdure, label=label).declaration, at(NOW))
    assert rows.height > 100
    assert at(NOW) - days(8) <= rows[AS_OF].min()
    assert rows[AS_OF].max() < at(NOW) - days(5)


# Slices and groups


def _worse_in_the_south(perdure, made):
    """A candidate that is better by far in the north, and worse in the south: a fit with other categories' answers."""
    from perdure.loop.work.datasets import prepare_window
    from perdure.loop.work.training import Recipe, train_on

    asset = watched(perdure)
    dataset = prepare_window(perdure.place, asset.declaration, at(NOW), days(7), widest=None)
    south = pl.col("f.shop") == "south"
    skewed = dataset.train.with_columns(_label=pl.when(south).then(pl.col("_label") + 12.0).otherwise("_label"))
    planted = replace(dataset, train=skewed)
    return train_on(perdure.place, asset.declaration, planted, Recipe({"n_estimators": 80}), at(NOW)).version.id


def test_a_challenger_that_is_worse_on_one_slice_is_refused_and_the_slice_named(perdure, made):
    asset = watched(perdure, gate_confidence=0.9)
    verdict = _judged(perdure, asset, "slices", Trial(_worse_in_the_south(perdure, made), made))
    assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
    assert "shop=south" in verdict.text
    assert "shop=north" not in verdict.text
    assert set(verdict.evidence["slices"]) == {"shop=north", "shop=south"}


def test_slices_of_objectives_are_judged_too_and_none_declared_passes(perdure, made):
    trial = Trial(_worse_in_the_south(perdure, made), made)
    assert not _judged(perdure, watched(perdure, slices=()), "slices", trial).passed
    nothing = watched(perdure, slices=(), healthy=())
    assert _judged(perdure, nothing, "slices", trial).text == "No slice is declared."


def test_a_wider_gap_between_groups_is_refused_with_fairlearns_figures(perdure, made):
    asset, challenger = watched(perdure, fair=("shop",)), _worse_in_the_south(perdure, made)
    verdict = _judged(perdure, asset, "fairness", Trial(challenger, made))
    assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
    rows, *_ = _errors(perdure, asset)
    for name, each in (("candidate", challenger), ("incumbent", made)):
        frame = fairlearn.metrics.MetricFrame(
            metrics=lambda y, p: np.abs(y - p).mean(),
            y_true=rows[LABEL].to_numpy(),
            y_pred=score_version(perdure.place, asset.declaration, each, rows),
            sensitive_features=rows["shop"].to_numpy(),
        )
        found = verdict.evidence["fields"]["shop"]
        assert found[name] == pytest.approx(frame.by_group.to_dict())
        assert found[f"{name}_gap"] == pytest.approx(frame.difference())
    narrower = _judged(perdure, asset, "fairness", Trial(made, challenger))
    assert (narrower.comparison, narrower.passed) == (Comparison.BETTER, True)


# Size, contract, the way back


def test_a_candidate_three_times_as_large_is_refused_by_its_size_alone(perdure, made, monkeypatch):
    monkeypatch.setattr("perdure.loop.work.proving._FREE_BYTES", 0)
    asset = watched(perdure)
    big = repaired(
        perdure, watched(perdure, params={"n_estimators": 300, "num_leaves": 31}), "retrain_recent", step="big"
    )[-1]
    verdict = _judged(perdure, asset, "latency_size", Trial(big, made))
    assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
    assert _judged(perdure, asset, "latency_size", Trial(made, big)).comparison is Comparison.BETTER


def test_rows_that_alone_take_longer_than_is_allowed_are_refused(perdure, made):
    from perdure.assets.objective import latency_ms

    asset = watched(perdure, healthy=(latency_ms(over=days(1)) <= 0.001,))
    assert not _judged(perdure, asset, "latency_size", Trial(made, champion(perdure).id)).passed
    unbound = watched(perdure, healthy=(latency_ms(over=days(1)).unharmful(),))
    verdict = _judged(perdure, unbound, "latency_size", Trial(made, champion(perdure).id))
    assert (verdict.passed, verdict.evidence["bound_ms"]) == (True, None)


def test_a_version_of_another_contract_is_refused(perdure, made):
    kept = version(perdure, made)
    definition = {**kept.definition, "contract": {**kept.definition["contract"], "hash": "0" * 64}}
    other = register(perdure.place, Content(definition, kept.artifacts, kept.lineage, "minutes"), {}, at(NOW)).id
    verdict = _judged(perdure, watched(perdure), "contract_parity", Trial(other, made))
    assert not verdict.passed
    assert "contract" in verdict.text


def test_a_compiled_model_that_answers_otherwise_than_its_native_form_is_refused(perdure, made):
    """Its definition has a line that its graph lacks."""
    broken = _offset(perdure, made, intercept=1.0, runtime="onnx")
    verdict = _judged(perdure, watched(perdure), "contract_parity", Trial(broken, made))
    assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
    assert "differ" in verdict.text


def test_answers_that_are_no_finite_number_are_refused(perdure, made):
    odd = _offset(perdure, made, slope=1e308)
    verdict = _judged(perdure, watched(perdure), "contract_parity", Trial(odd, made))
    assert not verdict.passed


def test_a_way_back_whose_blob_is_corrupt_is_refused_before_it_is_needed(tmp_path):
    """Although the incumbent was loaded before, and its predictions are still in memory."""
    perdure = released(tmp_path)
    asset = watched(perdure)
    [candidate] = repaired(perdure, asset, "retrain_full")
    trial = Trial(candidate, champion(perdure).id)
    assert _judged(perdure, asset, "rollback_target", trial).passed
    assert _judged(perdure, asset, "paired_error", trial).evidence["n"] > 100
    damage(perdure, champion(perdure).id)
    for _ in range(2):
        verdict = _judged(perdure, asset, "rollback_target", trial)
        assert (verdict.comparison, verdict.passed) == (Comparison.WORSE, False)
        assert "could not be gone back to" in verdict.text
    back = Trial(champion(perdure).id, candidate, "rollback")
    assert not _judged(perdure, asset, "rollback_target", back).passed
    assert _judged(perdure, asset, "rollback_target", Trial(candidate, champion(perdure).id, "rollback")).passed


def test_a_damaged_profile_closes_the_way_back_too(tmp_path):
    perdure = released(tmp_path)
    damage(perdure, champion(perdure).id, "native")
    [candidate] = repaired(perdure, watched(perdure), "retrain_full")
    verdict = _judged(perdure, watched(perdure), "rollback_target", Trial(candidate, champion(perdure).id))
    assert not verdict.passed


def test_the_fallback_may_replace_a_champion_that_is_broken(tmp_path):
    from repaired import BROKEN, proposed, remedy

    perdure = released(tmp_path)
    asset = watched(perdure, fair=("shop",))
    damage(perdure, champion(perdure).id)
    [action] = proposed(perdure, asset, "fallback_default", BROKEN)
    [made] = remedy("fallback_default").repair(perdure.place, asset, action, "job/1", at(NOW))
    trial = Trial(made, champion(perdure).id)
    judged = {each.name: _judged(perdure, asset, each.name, trial) for each in model_gates()}
    assert [name for name, verdict in judged.items() if not verdict.passed] == []


def test_verdicts_are_the_same_to_the_byte_when_given_again(perdure, made, tmp_path):
    """By another process, too: here other stores with the same content."""
    other = released(tmp_path)
    again = repaired(other, watched(other), "retrain_recent")[-1]
    assert again == made
    for gate in model_gates():
        for stage in gate.stages:
            trial = Trial(made, champion(perdure).id, stage, None if stage == "verify" else at(23), 3)
            asset = watched(perdure, fair=("shop",))
            first = canonical_json(plain(gate.judge(perdure.place, asset, trial, at(NOW))))
            assert first == canonical_json(plain(gate.judge(perdure.place, asset, trial, at(NOW))))
            elsewhere = gate.judge(other.place, watched(other, fair=("shop",)), trial, at(NOW))
            assert first == canonical_json(plain(elsewhere))
