"""Several scores as one: the suite's weighted mean, and the scorers that put others together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perdure.assets.scorers import Together
from perdure.engines.evals.parts import not_applicable
from perdure.engines.evals.protocols import Score


class _Weighed(Protocol):
    @property
    def label(self) -> str: ...
    @property
    def weight(self) -> float: ...


def combined(scores: Sequence[Score], weights: Sequence[float]) -> float | None:
    """The weighted mean of what applies; None where nothing does, or all that does weighs nothing.

    None too where one that counts could not say anything, such as a judge that was not to be read: the mean of the others
    would be another measure, and better than the whole one for an answer that is bad by what is missing.

    >>> combined([Score(1.0), Score(None, "not_applicable"), Score(0.0)], [1.0, 5.0, 3.0])
    0.25
    """
    total = weight_sum = 0.0
    for score, weight in zip(scores, weights, strict=True):
        if score.value is None and score.outcome == "failed" and weight > 0.0:
            return None
        if score.value is not None:
            total += weight * score.value
            weight_sum += weight
    return total / weight_sum if weight_sum > 0.0 else None


def put_together(declared: Together, of: Sequence[_Weighed], scores: Sequence[Score]) -> Score:
    """The parts' scores as one: the weighted mean, the least, or whether all that apply reach `at_least`.

    A part of weight 0 is told and not counted. Failed where a part that counts failed; without a value where one that counts
    could not say anything.
    """
    mute = [part.label for part, score in zip(of, scores, strict=True)
            if score.value is None and score.outcome == "failed" and part.weight]  # fmt: skip
    if mute:
        return Score(None, "failed", f"{mute[0]} could not say anything")
    counted = [(part, score) for part, score in zip(of, scores, strict=True) if score.value is not None and part.weight]
    values = [score.value for _, score in counted if score.value is not None]
    if not values:
        return not_applicable("no part applies")
    if declared.how == "mean":
        value = combined([score for _, score in counted], [part.weight for part, _ in counted]) or 0.0
    elif declared.how == "least":
        value = min(values)
    else:
        value = float(all(each >= declared.at_least for each in values))
    facts = {"of": {part.label: score.value for part, score in zip(of, scores, strict=True)}}
    why = "; ".join(f"{part.label}: {score.why}" for part, score in counted if score.why and score.value != 1.0)[:500]
    lost = any(score.outcome == "failed" for _, score in counted)
    return Score(value, "failed" if lost else "scored", why, facts)
