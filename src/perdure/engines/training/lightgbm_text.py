"""LightGBM's text model: checked before it is loaded, and rewritten so that ONNX can say the same.

LightGBM compares a float32 feature with a float64 threshold; ONNX has float32 thresholds, and its
converter rounds to the nearest, so rows at a threshold go the other way (19 % of rows that sit next
to thresholds, measured). For a float32 `x`, `x <= t` equals `x <= t'` where t' is the greatest float32
not above t: `explicit_text` writes these t'. It also spells out what LightGBM leaves implied: a NaN in
a split which saw none counts as 0, and so does any number within 1e-35 of it. The rewritten model
predicts the same number for every float32 row; tests compare them bit by bit.

Surprise: LightGBM parses trees in threads, and a malformed tree ends the process instead of raising.
So `check_text` looks at the sizes first.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import Corrupt

# Bits of `decision_type`; include/LightGBM/tree.h and src/io/tree.cpp, version 4.
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_MISSING_ZERO, _MISSING_NAN = 1, 2
# Rows reach the trees without their numbers of at most this size: kZeroThreshold, include/LightGBM/meta.h.
_ZERO = np.float32(1e-35)


def check_text(text: str) -> None:
    """See that a text model is whole.

    Raises:
        Corrupt: it does not begin as one, or its trees do not have the sizes that it says.
    """
    sizes = re.search(r"^tree_sizes=([\d ]+)$", text, re.MULTILINE)
    begin = text.find("Tree=0\n")
    if not text.startswith("tree\n") or sizes is None or begin < 0:
        raise Corrupt("The native artifact is not a LightGBM model.", hint="Release a version that is whole.")
    at = begin
    for number, size in enumerate(int(each) for each in sizes[1].split()):
        if not text.startswith(f"Tree={number}\n", at):
            raise Corrupt(f"Tree {number} of the LightGBM model is damaged.", hint="Release a version that is whole.")
        at += size
    if not text.startswith("end of trees", at):
        raise Corrupt("The LightGBM model ends early.", hint="Release a version that is whole.")


def explicit_text(text: str) -> str | None:
    """The same model with float32 thresholds and every missing direction said; None when ONNX has no word for it.

    That is a model where zero counts as missing and goes another way than its threshold says.
    """
    lines = [line for line in text.split("\n") if not line.startswith("tree_sizes=")]
    threshold_line = -1
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            threshold_line = at
        elif line.startswith("decision_type="):
            thresholds = np.array(lines[threshold_line].removeprefix("threshold=").split(), dtype=np.float64)
            decisions = np.array(line.removeprefix("decision_type=").split(), dtype=np.int64)
            explicit = _explicit_decisions(decisions, thresholds)
            if explicit is None:
                return None
            categorical = (decisions & _CATEGORICAL).astype(bool)  # there a threshold is an index
            rounded = np.where(categorical, thresholds, _float32_thresholds(thresholds).astype(np.float64))
            lines[threshold_line] = "threshold=" + " ".join(repr(float(each)) for each in rounded)
            lines[at] = "decision_type=" + " ".join(str(each) for each in explicit)
    return "\n".join(lines)


def _explicit_decisions(decisions: NDArray[np.int64], thresholds: NDArray[np.float64]) -> NDArray[np.int64] | None:
    categorical = (decisions & _CATEGORICAL).astype(bool)
    default_left = (decisions & _DEFAULT_LEFT).astype(bool)
    missing = (decisions >> _MISSING_SHIFT) & 3
    zero_left = thresholds >= 0.0
    if (~categorical & (missing == _MISSING_ZERO) & (default_left != zero_left)).any():
        return None
    left = np.where(missing == _MISSING_NAN, default_left, zero_left) & ~categorical  # NaN is in no category
    explicit = (
        (_MISSING_NAN << _MISSING_SHIFT) | np.where(left, _DEFAULT_LEFT, 0) | np.where(categorical, _CATEGORICAL, 0)
    )
    return explicit.astype(np.int64)


def _float32_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    below = float32_below(thresholds)
    below[(thresholds >= -_ZERO) & (thresholds < 0.0)] = np.nextafter(-_ZERO, np.float32(-np.inf))
    below[(thresholds >= 0.0) & (thresholds <= _ZERO)] = _ZERO
    return below


def float32_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest float32 that is not above each value.

    >>> float32_below(np.array([0.1, 0.5])).tolist()
    [0.09999999403953552, 0.5]
    """
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    above = nearest.astype(np.float64) > values
    return np.where(above, np.nextafter(nearest, np.float32(-np.inf)), nearest)
