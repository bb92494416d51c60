"""Ids are unique, sort by time and keep their shape."""

from __future__ import annotations

import re

from perdure.core.clock import sleep_s
from perdure.core.ids import PredictionIds, new_id, version_id


def test_an_id_has_its_prefix_nine_characters_of_time_and_eight_of_chance() -> None:
    assert re.fullmatch(r"run_[0-9a-z]{17}", new_id("run"))


def test_ids_made_later_sort_later() -> None:
    first = new_id("run")
    sleep_s(0.003)

    assert first[:13] < new_id("run")[:13]


def test_ten_thousand_ids_of_the_same_instant_differ() -> None:
    assert len({new_id("run") for _ in range(10_000)}) == 10_000


def test_a_version_id_is_the_asset_and_twelve_digits_of_the_hash() -> None:
    assert version_id("air_time", "3f2a9c1b7d40" + "0" * 52) == "air_time@3f2a9c1b7d40"


def test_prediction_ids_of_two_makers_never_meet() -> None:
    one, other = PredictionIds(), PredictionIds()

    made = [maker.next() for maker in (one, other) for _ in range(1000)]

    assert len(set(made)) == 2000
    assert all(re.fullmatch(r"p_[0-9a-z]{18}_[0-9a-f]+", each) for each in made)
