"""Each remedy makes what it says, twice the same, and changes nothing when it only proposes."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from repaired import (
    BROKEN,
    DRIFTED,
    NOW,
    at,
    champion,
    damage,
    predictor,
    proposed,
    release,
    released,
    remedy,
    repaired,
    version,
    watched,
)

from perdure.assets.model import REMEDIES
from perdure.core.canonical import content_hash
from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady
from perdure.core.units import days
from perdure.engines.training.medians import Medians
from perdure.loop.work.comparing import pairs_of
from perdure.loop.work.datasets import fitted_until, used_keys
from perdure.loop.work.ranges import open_range
from perdure.loop.work.remedies import model_remedies
from perdure.loop.work.rows import AS_OF, holdout_rows
from perdure.loop.work.scoring import newest_scoreboard, score_version
from perdure.testing.world import World

FITS = ("retrain_full", "retrain_recent", "warm_start", "recalibrate")


@pytest.fixture(scope="module")
def perdure(tmp_path_factory):
    """One drifted world for the tests that leave its pointers alone."""
    return released(tmp_path_factory.mktemp("remedies"))


def _rows(perdure, made):
    """The dataset's rows that a version was fitted on."""
    lineage = version(perdure, made).lineage
    table = perdure.place.stores.lake.read(f"datasets/{lineage['dataset'].replace('@', '/')}")
    column, start, end = (lineage["rows"][name] for name in ("column", "start", "end"))
    inside = pl.col(column) < parse_at(end)
    return table.filter(inside if start is None else inside & (pl.col(column) >= parse_at(start)))


def test_the_remedies_are_those_that_a_model_may_name():
    assert {each.name for each in model_remedies()} == set(REMEDIES)


def test_no_remedy_answers_what_a_fit_cannot_mend():
    answered = {cause for each in model_remedies() for cause in each.answers}
    assert answered == {"blamed", "concept_drift", "data_drift", "schedule", "operational"}


def test_proposing_changes_nothing(perdure):
    ledger, lake = perdure.place.stores.ledger, perdure.place.stores.lake
    before = ledger.sequence(), lake.tables()
    for name in REMEDIES:
        proposed(perdure, watched(perdure), name)
    assert (ledger.sequence(), lake.tables()) == before


@pytest.mark.parametrize("name", FITS)
def test_a_repair_that_is_done_again_gives_the_same_versions(perdure, name):
    """Under the same step from its run; under another one because equal inputs make equal versions."""
    asset = watched(perdure)
    first = repaired(perdure, asset, name)
    assert first
    ledger = perdure.place.stores.ledger
    before = ledger.sequence()
    assert repaired(perdure, asset, name) == first
    assert ledger.sequence() == before, "the same step writes nothing"
    assert repaired(perdure, asset, name, step="job/2") == first
    assert [version(perdure, each).lineage["remedy"] for each in first] == [name] * len(first)


def test_another_project_makes_the_very_same_versions(perdure, tmp_path):
    again = released(tmp_path)
    for name in FITS:
        assert repaired(again, watched(again), name) == repaired(perdure, watched(perdure), name)


def test_windows_fit_on_their_rows_and_share_one_dataset(perdure):
    asset = watched(perdure)
    [whole] = repaired(perdure, asset, "retrain_full")
    recent = repaired(perdure, asset, "retrain_recent")
    spans = [_rows(perdure, each)[AS_OF] for each in (whole, *recent)]
    assert spans[0].min() < at(1)
    assert at(NOW) - days(14) <= spans[1].min() < at(NOW) - days(13)
    assert at(NOW) - days(7) <= spans[2].min() < at(NOW) - days(6)
    assert all(span.max() < at(NOW) - days(3) + timedelta(seconds=1) for span in spans), "the holdout is kept"
    assert len({version(perdure, each).lineage["dataset"] for each in (whole, *recent)}) == 1


def test_a_fit_on_recent_rows_follows_the_world(perdure):
    asset = watched(perdure)
    rows = holdout_rows(perdure.place, asset.declaration, at(NOW))
    error = {
        each: np.abs(score_version(perdure.place, asset.declaration, each, rows) - rows["_label"].to_numpy()).mean()
        for each in (champion(perdure).id, *repaired(perdure, asset, "retrain_recent"))
    }
    assert min(error, key=error.get) != champion(perdure).id


def test_a_warm_start_goes_on_from_the_champions_trees(perdure):
    [made] = repaired(perdure, watched(perdure), "warm_start")
    before = predictor(perdure, champion(perdure).id).native()
    after = predictor(perdure, made).native()
    assert after.num_trees() == 2 * before.num_trees()
    x = np.random.default_rng(0).random((50, 5), dtype=np.float32)
    assert np.array_equal(after.predict(x, num_iteration=before.num_trees()), before.predict(x))
    assert version(perdure, made).lineage["warm_start"] == champion(perdure).id
    assert version(perdure, made).definition["categories"] == champion(perdure).definition["categories"]


def test_too_few_labelled_rows_make_no_candidate(tmp_path):
    perdure = released(tmp_path, World(n_days=16, per_day=30), until=15.0)
    asset = watched(perdure, holdout=days(30), recent=())
    with pytest.raises(NotReady, match="holdout"):
        repaired(perdure, asset, "retrain_full", day=15.0)


def test_a_declaration_restricts_what_is_proposed(perdure):
    asset = watched(perdure, remedies=("retrain_recent",))
    assert [name for name in REMEDIES if proposed(perdure, asset, name)] == ["retrain_recent"]


def test_nothing_learns_from_quarantined_rows(tmp_path):
    perdure = released(tmp_path)
    open_range(perdure.place, "sky", at(20), reason="km/h", at=at(NOW), evidence={})
    [made] = repaired(perdure, watched(perdure), "retrain_full")
    rows = _rows(perdure, made)
    assert rows.filter(pl.col(AS_OF) < at(20))["f.rain_mm"].null_count() < 20
    late = rows.filter(pl.col(AS_OF) > at(20) + timedelta(hours=4))
    assert late.height
    assert late["f.rain_mm"].null_count() == late.height, "the feed's rows are gone, and older ones expired"


# Stateful training


def test_stateful_training_uses_each_row_once_over_three_repairs(tmp_path):
    perdure = released(tmp_path)
    asset = watched(perdure, training="stateful")
    assert not proposed(perdure, asset, "retrain_full")
    assert not proposed(perdure, asset, "retrain_recent")
    line = [champion(perdure)]
    used = [set(_rows(perdure, line[0].id)["_key"])]
    for day in (17.0, 20.5, 26.0):
        [made] = repaired(perdure, asset, "warm_start", day=day, step=f"job/{day}")
        release(perdure, made, day)
        line.append(version(perdure, made))
        used.append(set(_rows(perdure, made)["_key"]))
    assert all(used)
    assert sum(map(len, used)) == len(set.union(*used)), "no row twice"
    assert [each.lineage["warm_start"] for each in line[1:]] == [each.id for each in line[:-1]]
    watermarks = [parse_at(each.lineage["watermark"]) for each in line]
    assert watermarks == sorted(set(watermarks))
    known = used_keys(perdure.place, line[-1], lambda each: version(perdure, each))
    assert set(known) == set.union(*used)


def test_stateful_training_leaves_nothing_out_between_two_watermarks(tmp_path):
    perdure = released(tmp_path)
    asset = watched(perdure, training="stateful")
    [made] = repaired(perdure, asset, "warm_start")
    lineage = version(perdure, made).lineage["rows"]
    start, end = parse_at(lineage["start"]), parse_at(lineage["end"])
    assert iso(start) == champion(perdure).lineage["watermark"]
    arrived = perdure.place.stores.lake.read("sources/arrivals")
    expected = arrived.filter((pl.col("arrived_at") >= start) & (pl.col("arrived_at") < end))
    before = set(_rows(perdure, champion(perdure).id)["_key"])
    assert set(_rows(perdure, made)["_key"]) == set(expected["order_id"]) - before


def test_stateful_training_begins_with_a_whole_fit_where_nothing_can_be_gone_on_from(tmp_path):
    perdure = released(tmp_path)
    with perdure.place.transaction(at(NOW), "test") as session:
        session.pointers.remove("minutes", "champion")
    asset = watched(perdure, training="stateful")
    assert not proposed(perdure, asset, "warm_start")
    assert [each.remedy for each in proposed(perdure, asset, "retrain_full")] == ["retrain_full"]


# Recalibration


def test_recalibration_answers_the_line_of_the_champion_compiled_and_natively(perdure):
    [made] = repaired(perdure, watched(perdure), "recalibrate")
    line = version(perdure, made).definition["calibration"]
    x = np.random.default_rng(1).random((200, 5), dtype=np.float32) * 4
    base, calibrated = predictor(perdure, champion(perdure).id), predictor(perdure, made)
    expected = line["intercept"] + line["slope"] * base.predict(x)
    np.testing.assert_allclose(calibrated.predict(x), expected, rtol=1e-5)
    np.testing.assert_allclose(calibrated.native_predict(x), expected, rtol=1e-5)
    assert version(perdure, made).artifacts["native"] == champion(perdure).artifacts["native"]
    assert version(perdure, made).lineage["calibrates"] == champion(perdure).id


def test_recalibration_mends_a_shift(tmp_path):
    world = World(n_days=27, per_day=60)
    slower = pl.when(pl.col("arrived_at") >= at(14)).then(pl.col("minutes") * 1.3 + 5.0).otherwise("minutes")
    world.arrivals = world.arrivals.with_columns(minutes=slower)
    perdure = released(tmp_path, world)
    asset = watched(perdure)
    [made] = repaired(perdure, asset, "recalibrate")
    line = version(perdure, made).definition["calibration"]
    assert (line["slope"], line["intercept"]) == (pytest.approx(1.3, abs=0.1), pytest.approx(5.0, abs=2.0))
    release(perdure, made, NOW)
    [again] = repaired(perdure, asset, "recalibrate", step="job/2")
    twice = version(perdure, again).definition["calibration"]
    assert twice["slope"] == pytest.approx(line["slope"], rel=0.02), "a line over a line is one line"
    x = np.random.default_rng(2).random((20, 5), dtype=np.float32) * 4
    native = predictor(perdure, champion(perdure).id).native().predict(x)
    np.testing.assert_allclose(
        predictor(perdure, again).predict(x), twice["intercept"] + twice["slope"] * native, rtol=1e-5
    )


def test_a_probability_is_not_put_on_a_line(perdure):
    assert proposed(perdure, watched(perdure, task="classification"), "recalibrate") == []


# Versions that are there already


def test_known_versions_are_ranked_by_the_newest_rows_whether_they_ever_answered_or_not(tmp_path):
    """Of three fits the one of the present relation is the best, and the champion itself is not among them."""
    perdure = released(tmp_path)
    asset = watched(perdure)
    first = champion(perdure).id
    [best] = repaired(perdure, asset, "retrain_recent", day=24.5)[-1:]
    [middle] = repaired(perdure, asset, "retrain_full", day=22.5)
    assert champion(perdure).id == first
    assert repaired(perdure, asset, "past_version")[0] == best
    assert middle in repaired(perdure, asset, "past_version")
    release(perdure, best, 25.3)
    assert repaired(perdure, asset, "past_version") == [], "none is better than the one that runs"


def test_a_rollback_goes_to_what_ran_before_and_not_to_what_was_taken_back(tmp_path):
    perdure = released(tmp_path)
    asset = watched(perdure)
    first = champion(perdure).id
    assert proposed(perdure, asset, "rollback") == []
    second, third = repaired(perdure, asset, "retrain_recent")
    release(perdure, second, 26.0)
    assert remedy("rollback").repair(
        perdure.place, asset, proposed(perdure, asset, "rollback")[0], "job/1", at(NOW)
    ) == [first]
    release(perdure, third, 26.1)
    release(perdure, second, 26.2, stage="rollback")
    assert [each.params["version"] for each in proposed(perdure, asset, "rollback")] == [first]


def test_the_fallback_is_proposed_only_when_nothing_else_loads(tmp_path):
    perdure = released(tmp_path)
    asset = watched(perdure)
    assert proposed(perdure, asset, "fallback_default", BROKEN) == []
    damage(perdure, champion(perdure).id)
    assert proposed(perdure, asset, "fallback_default", DRIFTED) == []
    [action] = proposed(perdure, asset, "fallback_default", BROKEN)
    [made] = remedy("fallback_default").repair(perdure.place, asset, action, "job/1", at(NOW))
    native = predictor(perdure, made).native()
    assert isinstance(native, Medians)
    assert native.overall == pytest.approx(np.median(_rows(perdure, made)["_label"].to_numpy()))
    assert not proposed(perdure, asset, "warm_start"), "nothing goes on from what does not load"


def test_a_version_is_scored_as_it_would_have_answered(perdure):
    """Features as of each row's own instant, through the version's own plan."""
    model = perdure.project.model("minutes")
    rows = holdout_rows(perdure.place, watched(perdure).declaration, at(NOW))
    predicted = score_version(perdure.place, model, champion(perdure), rows)
    alone = score_version(perdure.place, model, champion(perdure).id, rows[7:8])
    assert predicted.shape == (rows.height,)
    assert predicted[7] == alone[0]
    assert content_hash(predicted.tolist()) == content_hash(
        score_version(perdure.place, model, champion(perdure), rows).tolist()
    )


def test_a_version_that_was_fitted_on_the_rows_that_judge_is_no_fair_rival(tmp_path):
    """A person trains on nearly everything; a longer holdout reaches back into it."""
    perdure = released(tmp_path)
    made = perdure.train("minutes", at=at(NOW)).version
    learned_until = parse_at(made.lineage["rows"]["end"])
    asset = watched(perdure, holdout=days(7), recent=(days(14),))
    assert learned_until > at(NOW) - days(7)
    assert made.id in repaired(perdure, watched(perdure, holdout=days(3)), "past_version")
    assert repaired(perdure, asset, "past_version") == []
    board = newest_scoreboard(perdure.place, asset.declaration, at(NOW))
    pairs = pairs_of(board, made, champion(perdure))
    assert 0 < pairs.rows.height < board.rows.height
    assert pairs.rows["_as_of"].min() >= learned_until
    assert len(pairs.candidate) == len(pairs.incumbent) == pairs.rows.height
    # Who goes on from it has seen what it saw.
    release(perdure, made.id, NOW)
    [warm] = repaired(perdure, asset, "warm_start")
    assert parse_at(version(perdure, warm).lineage["rows"]["end"]) < learned_until
    assert fitted_until(version(perdure, warm), lambda each: version(perdure, each)) == learned_until
