"""What is known at an instant includes what became known at that very instant; windows of it meet without a gap."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from perdure.assets.objective import freshness_h, violations_ratio, volume
from perdure.core.units import days, hours
from perdure.engines.features import FeaturePlan
from perdure.loop.work.feed import Feeds, JudgedRows, known_span
from perdure.loop.work.skew import histories
from perdure.surface.sdk import Perdure
from perdure.testing.world import START, World

INSTANT = pl.Datetime("us", "UTC")


@pytest.fixture
def opened(tmp_path, place):
    """A world that was taken in at the end of its first and of its second day."""
    world = World(n_days=3)
    row = (pl.col("shop") == "north") & (pl.col("seen_at") == START + hours(23))
    world.sky = world.sky.with_columns(rain_mm=pl.when(row).then(900.0).otherwise("rain_mm"))
    perdure = Perdure(tmp_path / "world", place.settings, project=world.project())
    for day in (1, 2):
        perdure.tick(at=START + days(day))
    return perdure


def measured(perdure, spec, day):
    """The series' value at the end of a day; rows of hour h are known at h + 1."""
    [reading] = [
        each for each in perdure.place.stores.readings.list("sky", spec.series) if each.at == START + days(day)
    ]
    return reading.value


def test_a_row_that_became_known_just_now_counts_and_counts_once(opened):
    assert [measured(opened, volume(over=days(1)), day) for day in (1, 2)] == [47.0, 48.0]
    assert measured(opened, freshness_h(over=days(1)), 1) == 1.0
    assert [measured(opened, violations_ratio(over=days(1)), day) for day in (1, 2)] == [1 / 48, 0.0]


def test_offline_features_see_a_row_that_became_known_just_now(opened):
    model = opened.project.model("minutes")
    plan = FeaturePlan.from_views(model.features)
    [rows] = histories(opened.place.stores.lake, plan, until=START + hours(12)).values()
    assert rows["_available_at"].max() == START + hours(12)


def test_stretches_that_meet_hold_every_row_once(opened):
    lake, borders = opened.place.stores.lake, [START, START + hours(5), START + hours(7), START + days(2)]
    spans = [known_span("_available_at", *pair) for pair in zip([None, *borders], borders, strict=False)]
    parts = [lake.read("sources/sky", span=span) for span in spans]
    assert sum(part.height for part in parts) == lake.read("sources/sky").height == 95
    assert parts[2]["_available_at"].unique().sort().to_list() == [START + hours(6), START + hours(7)]


def judged(good, bad=()):
    at = [datetime(2025, 1, 1, hour, tzinfo=UTC) for hour, _ in good]
    rows = pl.DataFrame(
        {"value": [each for _, each in good], "_available_at": at}, schema_overrides={"_available_at": INSTANT}
    )
    wrong = pl.DataFrame(
        {"row": list(bad), "errors": ["[]"] * len(bad), "_available_at": [None] * len(bad)},
        schema={"row": pl.String, "errors": pl.String, "_available_at": INSTANT},
    )
    return JudgedRows(rows, wrong)


def test_a_fingerprint_is_of_the_content_until_an_instant():
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC)
    of = [(9, 1.0), (12, 2.0), (12, 3.0), (13, 4.0)]
    fingerprint = judged(of).fingerprint_until(noon)
    assert judged([of[0], of[2], of[1]]).fingerprint_until(noon) == fingerprint
    changed = [
        judged(of[:2]),
        judged([(9, 1.0), (12, 2.0), (12, 2.0)]),
        judged([(8, 1.0), *of[1:]]),
        judged([*of[:3], (12, 3.0)]),
        judged(of, bad=["{}"]),
    ]
    assert all(rows.fingerprint_until(noon) != fingerprint for rows in changed)
    assert judged([]).fingerprint_until(noon) == judged([(13, 4.0)]).fingerprint_until(noon)


def test_an_unchanged_source_is_fingerprinted_alike_by_another_process(opened):
    """Else each restart would compare every source with the lake."""
    sky = opened.project.source("sky")
    first, second = (Feeds().rows(sky).fingerprint_until(START + days(1)) for _ in range(2))
    assert first == second


def test_a_source_whose_rows_are_all_bad_breaks_its_contract_for_sure(tmp_path, place):
    """No good row ever came: there is no table, and all the more a reading."""
    world = World(n_days=2)
    world.sky = world.sky.with_columns(rain_mm=pl.lit(900.0))
    perdure = Perdure(tmp_path / "world", place.settings, project=world.project())
    perdure.tick(at=START + days(1))
    assert measured(perdure, violations_ratio(over=days(1)), 1) == 1.0
