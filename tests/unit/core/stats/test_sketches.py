"""Grids hold equal shares, or one value each; counts on them are exact."""

from __future__ import annotations

import numpy as np

from perdure.core.stats.sketches import Grid, count_sorted, make_grid


def sorted32(values) -> np.ndarray:
    return np.sort(np.asarray(values, dtype=np.float32))


def test_cells_of_a_continuous_column_hold_equal_shares() -> None:
    values = sorted32(np.random.default_rng(0).lognormal(size=102_400))

    grid = make_grid(values)
    counts = count_sorted(grid, values)

    assert not grid.discrete
    assert counts[0] == counts[-1] == 0
    assert sum(each in (99, 100, 101) for each in counts) == 1022


def test_the_outermost_shares_are_halved_down_to_single_values() -> None:
    values = sorted32(np.random.default_rng(0).lognormal(size=102_400))

    counts = count_sorted(make_grid(values), values)

    assert counts[:8].tolist() == [0, 1, 1, 2, 4, 8, 16, 68]
    assert counts[-8:].tolist() == [68, 16, 8, 4, 2, 1, 1, 0]


def test_a_value_that_fills_much_of_the_reference_has_a_cell_of_its_own() -> None:
    rain = np.concatenate([np.zeros(6000), np.random.default_rng(1).exponential(size=4000)])
    values = sorted32(rain)

    grid = make_grid(values)
    counts = count_sorted(grid, values)

    assert 6000 in counts.tolist()


def test_a_column_of_few_values_has_one_cell_a_value_and_gaps_between() -> None:
    values = sorted32(np.repeat([1.0, 2.0, 5.0], [10, 20, 30]))

    grid = make_grid(values)

    assert grid.discrete
    assert count_sorted(grid, values).tolist() == [0, 10, 0, 20, 0, 30, 0]
    assert count_sorted(grid, sorted32([0, 1.5, 2, 9])).tolist() == [1, 0, 1, 1, 0, 0, 1]


def test_a_small_sample_of_a_continuous_column_is_not_taken_for_a_column_of_few_values() -> None:
    grid = make_grid(sorted32(np.random.default_rng(2).normal(size=200)))

    assert not grid.discrete
    assert len(grid.edges) == 201


def test_neighbouring_floats_are_told_apart_without_being_called_discrete() -> None:
    one = np.float32(1)
    values = np.repeat(np.array([one, np.nextafter(one, np.float32(2))], dtype=np.float32), 50)

    grid = make_grid(values)

    assert not grid.discrete
    assert count_sorted(grid, values).tolist() == [0, 50, 50, 0]


def test_no_value_makes_a_grid_of_one_cell() -> None:
    grid = make_grid(sorted32([]))

    assert count_sorted(grid, sorted32([1, 2])).tolist() == [2]


def test_grids_are_the_same_by_their_edges() -> None:
    edges = np.array([0, 1], dtype=np.float32)

    assert Grid(edges, discrete=False).same(Grid(edges.copy(), discrete=False))
    assert not Grid(edges, discrete=False).same(Grid(edges, discrete=True))
    assert not Grid(edges, discrete=False).same(Grid(edges[:1], discrete=False))
