"""Unit fits: what was not changed is left alone, and no shape of a healthy column makes a factor appear."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engines.profile.units import NO_CHANGE, UNIT_CHANGES, fit_units

seeds = st.integers(0, 2**32 - 1)


def _sample(rng: np.random.Generator, shape: str, n: int) -> np.ndarray:
    if shape == "gamma":
        return rng.gamma(4.0, 5.0, n)
    if shape == "normal":
        return rng.normal(55.0, 15.0, n)
    return rng.poisson(12, n) * 1.15078


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["gamma", "normal", "grid"]), st.integers(8, 400))
def test_unchanged_values_are_left_alone(seed: int, shape: str, n: int) -> None:
    rng = np.random.default_rng(seed)
    fit = fit_units(_sample(rng, shape, 2000), _sample(rng, shape, n))
    assert (fit.scale, fit.offset, fit.name, fit.changed) == (1.0, 0.0, NO_CHANGE, False)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(UNIT_CHANGES), st.integers(40, 300))
def test_every_known_change_of_a_grid_is_found_exactly(seed: int, change: object, n: int) -> None:
    rng = np.random.default_rng(seed)
    new = _sample(rng, "grid", n) * change.scale + change.offset  # type: ignore[attr-defined]
    fit = fit_units(_sample(rng, "grid", 3000), new)
    assert fit.changed
    assert (fit.scale, fit.offset) == (change.scale, change.offset)  # type: ignore[attr-defined]


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(8, 100))
def test_the_order_of_values_does_not_matter(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = _sample(rng, "grid", 1000), _sample(rng, "grid", n) * 1.609344
    assert fit_units(old, new) == fit_units(rng.permutation(old), rng.permutation(new))
