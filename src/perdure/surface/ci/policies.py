"""What changed in what the loop may do alone, who must say yes, and what holds it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from perdure.assets.policy import AUTONOMY
from perdure.core.units import parse_duration
from perdure.surface.ci.records import FieldChange, Risk
from perdure.surface.ci.wording import shown

Policy = Mapping[str, Any]
_WEAKER = "a weaker brake"
_LESS: tuple[str, ...] = ("watch", "cool_down", "rest", "ramp.shadow", "ramp.canary")
"""Durations that hold the loop back less when they are shorter."""
_MORE: Mapping[str, Callable[[Any], float]] = {
    "retrains": lambda rate: _times_a_second(str(rate)),
    "breaker": float,
    "ramp.share": float,
}
"""Figures that hold the loop back less when they are greater."""


def policy_changes(before: Policy, after: Policy) -> list[FieldChange]:
    """What changed from one policy to another, field by field; fields that were not recorded are not compared."""
    old, new = _flat(before), _flat(after)
    return [
        FieldChange(f"policy.{name}", shown(old[name]), shown(new[name]), *_meaning(name, old, new))
        for name in new
        if name in old and old[name] != new[name]
    ]


def _flat(policy: Policy) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in policy.items():
        inner = value if isinstance(value, Mapping) else None
        flat |= {name: value} if inner is None else {f"{name}.{key}": each for key, each in inner.items()}
    return flat


def _meaning(name: str, old: Policy, new: Policy) -> tuple[str, Risk]:
    before, after = old[name], new[name]
    if name == "autonomy":
        more = AUTONOMY.index(after) > AUTONOMY.index(before)
        return ("more autonomy", "autonomy") if more else ("less autonomy", "")
    if name == "trigger":
        alone = before == "manual" and new["autonomy"] != "observe"
        return ("more autonomy: it begins by itself", "autonomy") if alone else ("", "")
    if name in ("approve_by", "four_eyes"):
        return _approval(before, after)
    if name in _LESS:
        return (_WEAKER if parse_duration(after) < parse_duration(before) else "", "")
    if name in _MORE:
        return (_WEAKER if _MORE[name](after) > _MORE[name](before) else "", "")
    if name == "windows":
        return (_WEAKER if before and not after else "", "")
    return "", ""


def _approval(before: Any, after: Any) -> tuple[str, Risk]:
    """Of the role that approves, or of whether two people do."""
    if not before:
        return "an approval more", ""
    if not after:
        return "an approval removed", "approvals"
    return "another role approves", "approvals"


def _times_a_second(rate: str) -> float:
    times, _, per = rate.partition(" per ")
    return float(times) / max(parse_duration(per), timedelta(microseconds=1)).total_seconds()


def rules_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    """What changed in perdure.toml: the most that the loop may do alone, and who has which role."""
    cap = {"autonomy": before["autonomy"], "trigger": ""}, {"autonomy": after["autonomy"], "trigger": ""}
    if cap[0] != cap[1]:
        yield FieldChange("loop.autonomy", before["autonomy"], after["autonomy"], *_meaning("autonomy", *cap))
    old, new = before["roles"], after["roles"]
    for role in sorted({*old, *new}):
        was, now = old.get(role), new.get(role)
        if was == now:
            continue
        more = set(now or ()) - set(was or ()) if old else set()
        means = f"more people approve: {shown(sorted(more))}" if more else "fewer people approve" if old else ""
        yield FieldChange(f"roles.{role}", shown(was), shown(now), means, "approvals" if more else "")
    if old and not new:
        yield FieldChange("roles", "declared", "none", "the project's actor has every role", "approvals")
