"""Where the spread of scores comes from: the cases, the samples of an answer, or the judgings of it.

Called by reports, which tell whether more cases or more repeats buy more. A balanced nested analysis of variance. What
surprised us: one sample a case leaves the spread of samples unknown, which is not none; and judging the same answer
again tells of the judge, not of the model: a repeat is a new answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, TooFewRows

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Components:
    """The variance of one score, split by its sources."""

    case: float | None
    """Between cases; None where one sample leaves it mixed with that of samples."""
    sample: float | None
    """Between answers to one case; None where each was asked once."""
    judging: float | None
    """Between judgings of one answer; None where each was judged once."""
    raw: tuple[float | None, float | None, float | None]
    """The same three as estimated: below 0 is told as 0 above."""
    mean_variance: float
    """Of the mean over all cases, cases taken as the units."""
    n_cases: int
    n_dropped: int
    """Cases left out since a score of theirs is missing: the split needs all."""

    def best_repeats(self, *, case_cost: float = 1.0, sample_cost: float = 1.0) -> int | None:
        """Samples a case that make the mean surest for the money: √(k_c σ²_s / (k_s σ²_c)), at least 1.

        Args:
            case_cost: of one case more, such as the minutes to write it.
            sample_cost: of one answer more, in the same unit.

        >>> Components(0.01, 0.04, None, (0.01, 0.04, None), 0.001, 50, 0).best_repeats()
        2
        """
        if not self.sample or not self.case:
            return None if self.sample is None or self.case is None else 1 if not self.sample else 100
        best = math.sqrt(case_cost * self.sample / (sample_cost * self.case))
        return min(100, max(1, round(best)))


def components(scores: Floats) -> Components:
    """The split of scores of C cases, S answers each, J judgings each.

    MS_j = ΣΣΣ(y - ȳ_cs)² / CS(J-1), MS_s = J ΣΣ(ȳ_cs - ȳ_c)² / C(S-1), MS_c = SJ Σ(ȳ_c - ȳ)² / (C-1); then σ²_j = MS_j,
    σ²_s = (MS_s - MS_j)/J, σ²_c = (MS_c - MS_s)/SJ. With J = 1 the spread of judgings is part of the samples'.

    Args:
        scores: shape (C, S, J) or (C, S); NaN where one is missing: its case is left out and counted.

    Raises:
        TooFewRows: fewer than 2 whole cases.
        DeclarationError: another shape.

    Cost: O(C S J).
    Source: S. Searle, G. Casella, C. McCulloch, Variance Components (1992), 3. Checked against statsmodels' MixedLM.

    >>> found = components(np.array([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]))
    >>> round(found.sample, 3), found.judging
    (0.167, 0.0)
    """
    data = np.asarray(scores, dtype=np.float64)
    data = data[..., None] if data.ndim == 2 else data
    if data.ndim != 3 or not data.shape[1] or not data.shape[2]:
        raise DeclarationError(
            f"Scores of shape {data.shape} have no cases, answers and judgings.", hint="Give (C, S, J)."
        )
    whole = data[np.isfinite(data).all(axis=(1, 2))]
    n_cases, n_samples, n_judgings = whole.shape
    if n_cases < 2:
        raise TooFewRows(f"{n_cases} whole cases have no spread.", hint="Give two at least.", n=n_cases, n_needed=2)
    of_sample, of_case = whole.mean(axis=2), whole.mean(axis=(1, 2))
    case_squares = n_samples * n_judgings * float(np.square(of_case - of_case.mean()).sum()) / (n_cases - 1)
    judging = sample = case = None
    below_sample = 0.0
    if n_judgings > 1:
        below_sample = float(np.square(whole - of_sample[..., None]).sum()) / (n_cases * n_samples * (n_judgings - 1))
        judging = below_sample
    if n_samples > 1:
        spread = float(np.square(of_sample - of_case[:, None]).sum())
        sample_squares = n_judgings * spread / (n_cases * (n_samples - 1))
        sample = (sample_squares - below_sample) / n_judgings
        case = (case_squares - sample_squares) / (n_samples * n_judgings)
    raw = (case, sample, judging)
    mean_variance = case_squares / (n_cases * n_samples * n_judgings)
    told = (_at_least_0(case), _at_least_0(sample), _at_least_0(judging))
    return Components(*told, raw, mean_variance, n_cases, len(data) - n_cases)


def _at_least_0(variance: float | None) -> float | None:
    return None if variance is None else max(0.0, variance)
