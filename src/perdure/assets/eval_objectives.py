"""What can be asked of prompts, routes and judges by evals: signals to compare with a bound, as those of `assets.objective`.

eval_score(suite="refunds", over=days(7)) >= 0.9
hallucination_ratio(over=days(1)) <= 0.05
judge_agreement(over=days(30)) >= 0.8
label_age_d(over=days(1)) <= 30.0
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from perdure.assets.objective import SignalSpec


def eval_score(*, suite: str, over: timedelta) -> SignalSpec:
    """Score of the pointed-to version in the newest run of a suite within the window, 0 to 1, clustered; of a prompt or a route."""
    return SignalSpec("eval_score", over, None, MappingProxyType({"suite": suite}), f"eval_score_{suite}")


def online_score(*, scorer: str, over: timedelta) -> SignalSpec:
    """Mean of a scorer over sampled answers of production, 0 to 1; of one that computes: no judge is asked online."""
    return SignalSpec("online_score", over, None, MappingProxyType({"scorer": scorer}), f"online_score_{scorer}")


def hallucination_ratio(*, over: timedelta) -> SignalSpec:
    """Share of claims in sampled answers that their contexts do not support, 0 to 1; of a prompt or a route."""
    return SignalSpec("hallucination_ratio", over)


def unapproved_ratio(*, over: timedelta) -> SignalSpec:
    """Share of a prompt's calls that a version answered which no pointer held then, 0 to 1."""
    return SignalSpec("unapproved_ratio", over)


def judge_agreement(*, over: timedelta) -> SignalSpec:
    """Share of people's labels in the window that a judge agrees with, 0 to 1."""
    return SignalSpec("judge_agreement", over)


def judge_shift(*, over: timedelta) -> SignalSpec:
    """Share of the anchor's cases that a judge now judges otherwise than when it was calibrated, 0 to 1."""
    return SignalSpec("judge_shift", over)


def judge_obeyed(*, over: timedelta) -> SignalSpec:
    """Share of orders planted into what is judged that a judge followed, at its newest calibration or check in the window, 0 to 1."""
    return SignalSpec("judge_obeyed", over)


def label_age_d(*, over: timedelta) -> SignalSpec:
    """Days since a person last labelled one of a judge's cases in the review queue; nothing is measured before the first."""
    return SignalSpec("label_age_d", over)
