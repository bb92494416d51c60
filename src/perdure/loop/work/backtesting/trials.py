"""The gates that compare errors, on a backtest's candidates: by the arithmetic of `loop.work.comparing`.

Gates that need a running server or compiled artifacts (latency, parity, proof of the way back) let everything
through here; that of fairness is not replayed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perdure.assets.health import Comparison
from perdure.assets.model import Model
from perdure.assets.repair import Stage
from perdure.loop.work.backtesting.fits import Candidate
from perdure.loop.work.backtesting.history import History, Int1D, fields_of
from perdure.loop.work.comparing import Pairs, compared, confidence_in, difference, parts_of, surely

_SLICED: tuple[Stage, ...] = ("verify", "watch")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a candidate passes a stage, and by how much it is better."""

    passed: bool
    gain: float


def judge(history: History, pair: tuple[Candidate, Candidate], rows: Int1D, stage: Stage, n_rivals: int = 1) -> Outcome:
    """A candidate against what runs, on labelled rows.

    Args:
        history: whose rows.
        pair: the candidate, and what it would replace or has replaced.
        rows: positions of the stage's rows that are known.
        stage: in `verify` only what is better for sure passes; later what is not worse for sure.
        n_rivals: candidates that compete.
    """
    first, second = pair[0].of(rows), pair[1].of(rows)
    both = np.isfinite(first) & np.isfinite(second)
    pairs = Pairs(history.rows[rows[both]], first[both], second[both], 0, "")
    found = difference(pairs, None, surely(confidence_in(history.model, stage), n_rivals))
    says = compared(found)
    passed = says is Comparison.BETTER if stage == "verify" else says is not Comparison.WORSE
    if passed and stage in _SLICED:
        passed = _no_slice_is_worse(pairs, history.model, stage)
    return Outcome(passed, 0.0 if found is None else -found.value)


def _no_slice_is_worse(pairs: Pairs, model: type[Model], stage: Stage) -> bool:
    parts = [part for name in fields_of(model) for part in parts_of(pairs.rows, name)]
    confidence = surely(confidence_in(model, stage), len(parts))
    found = [difference(pairs, chosen, confidence) for _, chosen in parts]
    return all(compared(each) is not Comparison.WORSE for each in found)
