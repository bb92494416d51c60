"""Verdicts hold whatever the order, the names of clusters or the sign; figures stay within their bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.core.stats.clustered import clustered_mean
from perdure.core.stats.corrected import correct
from perdure.core.stats.sequential import crossing_probability, look_bound
from perdure.core.stats.verdicts import Plan, compare
from perdure.core.verdict import Comparison

cases = st.lists(
    st.tuples(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.0, 0.25, 1.0]), st.integers(0, 30)), min_size=1, max_size=80
)
MIRRORED = {Comparison.BETTER: Comparison.WORSE, Comparison.WORSE: Comparison.BETTER}


@settings(max_examples=120, deadline=None)
@given(cases, st.integers(0, 10_000), st.integers(1, 4))
def test_order_and_numbers_of_clusters_do_not_matter_and_swapping_sides_mirrors(
    rows: list[tuple[float, int]], seed: int, look: int
) -> None:
    differences, clusters = (np.array(each) for each in zip(*rows, strict=True))
    plan = Plan(0.05, 0.05, 31)
    order = np.random.default_rng(seed).permutation(len(rows))

    found = compare(differences, clusters, plan, look=look)
    again = compare(differences[order], 1000 - 7 * clusters[order], plan, look=look)
    mirrored = compare(-differences, clusters, plan, look=look)

    assert again.comparison is found.comparison
    assert np.isclose(again.difference.low, found.difference.low)
    assert mirrored.comparison is MIRRORED.get(found.comparison, found.comparison)
    assert np.isclose(mirrored.difference.low, -found.difference.high)
    assert -1.0 <= found.difference.low <= found.difference.value <= found.difference.high <= 1.0
    assert (found.comparison is Comparison.BETTER) <= (found.difference.low > 0.0)
    assert found.n_more is None or found.n_more > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=60).filter(lambda each: len(each) % 3 == 0))
def test_of_equal_clusters_the_jackknife_and_the_sandwich_are_the_same(values: list[float]) -> None:
    differences, clusters = np.array(values), np.arange(len(values)) // 3

    narrow, wide = (clustered_mean(differences, clusters, kind=kind).se for kind in ("CR1", "CR3"))

    assert np.isclose(wide, narrow, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(60, 400), st.floats(0.005, 0.1))
def test_all_looks_together_spend_the_error_of_the_plan(n_looks: int, planned: int, alpha: float) -> None:
    seen = [k / n_looks * planned for k in range(1, n_looks + 1)]
    taken = [k for k in range(n_looks) if seen[k] >= 10]
    crossed = [look_bound(k + 1, n_looks, seen[k], planned, alpha) for k in taken]  # type: ignore[arg-type]

    assert np.isclose(crossing_probability([seen[k] / planned for k in taken], crossed, 0.0), alpha / 2.0, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 60), st.integers(1, 200), st.floats(0.1, 0.9), st.booleans())
def test_a_corrected_share_is_a_share_and_lies_in_its_interval(
    seed: int, n: int, n_others: int, share: float, shifted: bool
) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n + n_others) < share).astype(float)
    judged = np.where(rng.random(n + n_others) < 0.9, truth, rng.choice([0.0, 0.5, 1.0], n + n_others))

    found = correct(truth[:n], judged[:n], judged[n:], shifted=shifted)

    assert (found.corrected is None) == (found.method == "refused")
    if found.corrected is not None:
        assert 0.0 <= found.corrected.low <= found.corrected.value <= found.corrected.high <= 1.0
