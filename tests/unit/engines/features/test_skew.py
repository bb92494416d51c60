"""Served vectors are compared with their recomputation to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError
from perdure.engines.features import SkewExample, compare_vectors

NAMES = ["a", "b", "c"]


def _matrix(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 3)


def test_equal_vectors_have_no_mismatch_and_missing_equals_missing():
    """NaN equals NaN, whatever its bits."""
    served = _matrix([1, np.nan, 3], [4, 5, 6])
    other = served.copy()
    other.view(np.uint32)[0, 1] = 0x7FC00001
    report = compare_vectors(served, other, NAMES)
    assert (report.n_rows, report.n_mismatched_rows, dict(report.by_feature), report.examples) == (2, 0, {}, ())


def test_one_bit_of_difference_counts():
    """As does missing against present, and the sign of a zero."""
    served = _matrix([1, 2, 3], [4, 5, 6], [0.0, 8, 9])
    other = _matrix([np.nextafter(np.float32(1), np.float32(2)), 2, np.nan], [4, 5, 6], [-0.0, 8, 9])
    report = compare_vectors(served, other, NAMES)
    assert (report.n_rows, report.n_mismatched_rows) == (3, 2)
    assert report.by_feature == {"a": 2, "c": 1}
    assert report.examples[1] == SkewExample(0, "c", 3.0, None)


def test_examples_are_few_and_counts_are_whole():
    """A wholly wrong feature does not fill the ledger."""
    report = compare_vectors(np.zeros((500, 3), np.float32), np.ones((500, 3), np.float32), NAMES)
    assert (report.n_mismatched_rows, report.by_feature["b"], len(report.examples)) == (500, 500, 10)


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (2, 4)])
def test_vectors_of_different_shapes_are_refused(shape):
    """Rows and features must correspond."""
    with pytest.raises(DeclarationError, match="shape"):
        compare_vectors(np.zeros((2, 3), np.float32), np.zeros(shape, np.float32), NAMES)


def test_no_rows_are_no_mismatch():
    """Of an empty sample."""
    assert compare_vectors(_matrix(), _matrix(), NAMES).n_mismatched_rows == 0
