"""Values that the past never had: which are strange, when they are sure, and where they begin."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from perdure.engines.profile.novelty import (
    column_novelty,
    column_values,
    judged_columns,
    known_values,
    onset,
    past_bursts,
)

_GRID = np.arange(36) * 1.15078


def _looks(seed: int, n: int = 60) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.binomial(35, 0.25, 72).astype(np.float32) * np.float32(1.15078) for _ in range(n)]


def _bad(look: np.ndarray, n: int) -> np.ndarray:
    changed = look.copy()
    changed[len(look) - n :] *= np.float32(1.609344)
    return changed


def test_a_new_extreme_is_not_strange() -> None:
    """A storm brings a value just past the largest one; no other column of that day would call it a fault."""
    past = np.repeat(np.float32([1, 2, 3, 4]), 60)
    assert known_values(past).new(np.float32([5])).tolist() == [True]
    assert known_values(past).strange(np.float32([5, 2.5, 9])).tolist() == [False, True, True]


def test_a_value_between_rare_ones_is_not_strange() -> None:
    past = np.concatenate([np.repeat(np.float32([1, 2, 3]), 100), np.float32([7, 9])])
    assert known_values(past).strange(np.float32([8, 2.5])).tolist() == [False, True]


def test_of_many_values_only_those_far_outside_are_strange() -> None:
    known = known_values(np.linspace(0, 100, 3000, dtype=np.float32))
    assert known.strange(np.float32([50.5, 120, 151, -51])).tolist() == [False, False, True, True]


@pytest.mark.parametrize("n_bad", [18, 36, 72])
def test_some_bad_hours_of_the_newest_day_are_sure(n_bad: int) -> None:
    looks = _looks(0)
    found = column_novelty("wind", looks[:-1], _bad(looks[-1], n_bad), n_columns=8)
    assert found is not None
    assert found.sure
    assert found.low > 0.5
    assert abs(found.first - (72 - n_bad)) <= 3


def test_a_healthy_day_has_no_lower_bound() -> None:
    for seed in range(20):
        looks = _looks(seed)
        found = column_novelty("wind", looks[:-1], looks[-1], n_columns=8)
        assert found is not None
        assert not found.sure
        assert found.low == 0.0


def test_a_column_with_bursts_in_its_past_needs_more_to_be_sure() -> None:
    """A sensor that rounds otherwise for a morning did so before; the same burst is news elsewhere."""
    looks = _looks(0)
    window = looks[-1].copy()
    window[:14] += np.float32(0.5)
    used_to = [look.copy() for look in looks[:-1]]
    for look in used_to[::12]:
        look[:9] += np.float32(0.4)
    calm, restless = (column_novelty("temp", past, window, n_columns=8) for past in (looks[:-1], used_to))
    assert calm is not None
    assert restless is not None
    assert calm.sure
    assert not restless.sure


def test_bursts_of_the_past_are_counted_against_all_other_looks() -> None:
    looks = _looks(0, 20)
    looks[3] = looks[3].copy()
    looks[3][:5] = np.float32(5.1)
    bursts = past_bursts(looks, known_values(np.concatenate(looks)))
    assert [at for at, burst in enumerate(bursts) if burst >= 5] == [3]
    assert bursts[3] == 5


def test_a_short_past_and_an_empty_window_say_nothing() -> None:
    looks = _looks(0)
    assert column_novelty("wind", looks[:2], looks[-1]) is None
    assert column_novelty("wind", looks[:-1], np.full(72, np.nan, dtype=np.float32)) is None


def test_new_categories_are_strange_and_identifiers_are_not_judged() -> None:
    days = [np.array(["clear", "rain", None] * 24, dtype=object)] * 30
    found = column_novelty("sky", days, np.array(["regen"] * 24, dtype=object))
    assert found is not None
    assert (found.sure, found.share) == (True, 1.0)
    ids = [np.array([f"{day}-{n}" for n in range(72)], dtype=object) for day in range(30)]
    assert column_novelty("id", ids, np.array(["x"], dtype=object)) is None


def test_the_onset_is_the_first_row_from_which_values_are_off_to_stay() -> None:
    off = np.zeros(300, dtype=bool)
    off[[20, 130]] = True
    off[200:] = np.random.default_rng(0).random(100) < 0.8
    first = onset(off, 0.01)
    assert first is not None
    assert 200 <= first <= 203
    assert onset(np.zeros(10, dtype=bool)) is None


def test_instants_and_own_columns_are_not_judged() -> None:
    frame = pl.DataFrame({"a": [1], "b": ["x"], "_batch": [1], "at": [None]}, schema_overrides={"at": pl.Datetime})
    assert judged_columns(frame) == ["a", "b"]
    assert column_values(frame["a"]).dtype == np.float32
