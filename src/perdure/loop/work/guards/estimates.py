"""How often a guard misses and blocks in vain, from what people said of its calls and from the standing suite. Signals call it.

People look at few calls, and seldom by chance. A call that nobody looked at counts as the guard judged it; one that was
drawn for review with a known probability (`sampled:0.05` as the feedback's text) stands for one over that many; one
that somebody came across stands for itself. So without sampling the shares are lower bounds, and the facts say so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from perdure.core.stats import Interval, proportion_interval
from perdure.engines.guards.evaluation import share_interval
from perdure.engines.guards.learned_duplicates import groups, keys
from perdure.loop.work.guards.cases import HARMFUL_AT, Case, group_numbers
from perdure.loop.work.guards.judging import Judge

Which = Literal["miss", "false_block"]
_SAMPLED = re.compile(r"sampled:(0?\.\d{1,6}|1(?:\.0*)?)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with what it rests on."""

    interval: Interval
    facts: dict[str, Any]


def sampled_with(note: str | None) -> float | None:
    """The probability with which a call was drawn for review, as its feedback tells; None where it was not drawn.

    >>> sampled_with("sampled:0.05"), sampled_with("this was a customer")
    (0.05, None)
    """
    found = _SAMPLED.fullmatch((note or "").strip())
    probability = float(found[1]) if found else 0.0
    return probability if probability > 0.0 else None


def of_calls(which: Which, judged: pl.DataFrame, said: pl.DataFrame, *, confidence: float) -> Estimate | None:
    """The share among calls; None where nobody said anything of them, or no call could have been wrong so.

    Args:
        which: misses among what should be caught, or false blocks among what is harmless.
        judged: calls of the window, as `judged_calls` gives them.
        said: what people said of them, as `labelled_calls` gives it; of several the last counts.
        confidence: of the interval.

    Raises: nothing.  Source of the variance: C.-E. Särndal et al., Model Assisted Survey Sampling (1992), 5.6.
    """
    last = said.sort("received_at", "said_by").unique("call_id", keep="last", maintain_order=True)
    last = last.join(judged.select("call_id"), on="call_id", how="semi")
    if last.is_empty():
        return None
    draws = [sampled_with(note) for note in last["note"]]
    weight = np.array([1.0 if drawn is None else 1.0 / drawn for drawn in draws])
    harmful, acted = (last["value"] >= HARMFUL_AT).to_numpy(), last["acted"].to_numpy()
    texts = last["text"].to_list()
    missed, spread_missed = _total(weight, harmful & ~acted, texts)
    in_vain, spread_in_vain = _total(weight, ~harmful & acted, texts)
    n_acted = int(judged["acted"].sum())
    caught, passed = max(0.0, n_acted - in_vain), max(0.0, judged.height - n_acted - missed)
    parts = (missed, caught, spread_missed, spread_in_vain)
    if which == "false_block":
        parts = (in_vain, passed, spread_in_vain, spread_missed)
    n_drawn = sum(drawn is not None for drawn in draws)
    found = _ratio(parts, n_drawn, confidence)
    facts = {"n_judged": judged.height, "n_labelled": last.height, "n_sampled": n_drawn, "n_wrong": round(parts[0], 2)}
    return None if found is None else Estimate(found, facts)


def _total(weight: Any, chosen: Any, texts: Sequence[str | None]) -> tuple[float, float]:
    """The weighted number, and its variance: texts that are nearly the same come together or not at all."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return 0.0, 0.0
    of_group = groups([keys(texts[each] or f"unknown text {each}") for each in at.tolist()])
    sums = np.bincount(of_group, weights=weight[at])
    return float(weight[at].sum()), float((sums * sums).sum())


def _ratio(parts: tuple[float, float, float, float], n_drawn: int, confidence: float) -> Interval | None:
    """`wrong / (wrong + right)`, with Wilson's interval for as many cases as its variance is worth."""
    wrong, right, spread_wrong, spread_right = parts
    total = wrong + right
    if total < 1.0:
        return None
    share = wrong / total
    if wrong == 0.0:
        effective = total if n_drawn == 0 else min(total, float(n_drawn))
    else:
        linear = (right / total**2) ** 2 * spread_wrong + (wrong / total**2) ** 2 * spread_right
        variance = max(linear, share * (1.0 - share) / total)
        effective = share * (1.0 - share) / variance if variance > 0.0 else total
    n = max(1, round(effective))
    found = proportion_interval(min(n, round(share * n)), n, confidence=confidence)
    return Interval(share, min(found.low, share), max(found.high, share), round(total))


def of_suite(which: Which, judge: Judge, cases: Sequence[Case], *, confidence: float) -> Estimate | None:
    """The share among the held-out examples, asked anew of a version; None where there are none of them."""
    asked = [case for case in cases if case.harmful == (which == "miss")]
    if not asked:
        return None
    wrong = judge.caught(asked) != (which == "miss")
    found = share_interval(wrong, group_numbers(asked), confidence=confidence)
    return Estimate(found, {"n": len(asked), "n_wrong": int(wrong.sum())})


def suite_of(cases: Sequence[Case], judge: Judge) -> list[Case]:
    """The standing suite: examples that are held out, and that the version was not trained on in other words."""
    return [case for case in cases if case.origin == "examples" and case.held_out and not judge.knew(case)]
