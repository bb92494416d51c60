"""A route's versions as data: who is asked first and how often, and the changes that remedies make.

A definition is `Route.definition()` as the ledger keeps it. Nothing but the order, the weights and the set of targets, and a
declared limit of tokens, is ever changed: guards, bodies, deadlines stay as declared, and no target is added that is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.assets.route import Route

Definition = Mapping[str, Any]
LIMITS = ("max_tokens", "max_completion_tokens")
"""Members of `params` that bound the length of an answer."""
_FREE = frozenset({"targets", "params"})
_ALL = 1.0


def target_ids(definition: Definition) -> list[str]:
    """The targets as `upstream/model`, in order."""
    return [f"{each['upstream']}/{each['model']}" for each in definition["targets"]]


def first_shares(definition: Definition, first_ms: Mapping[str, float]) -> dict[str, float]:
    """The share of calls that each target is the first to be asked by, while all of them are sound.

    Args:
        definition: of a version.
        first_ms: usual time to the first byte of targets, as far as known; `fastest` goes by it.

    >>> targets = [{"upstream": "a", "model": "m", "weight": 3.0}, {"upstream": "b", "model": "m", "weight": 1.0}]
    >>> first_shares({"choose": "weighted", "targets": targets}, {})
    {'a/m': 0.75, 'b/m': 0.25}
    """
    ids, choose = target_ids(definition), definition["choose"]
    if choose == "in_order":
        return {ids[0]: _ALL}
    if choose == "fastest":
        known = [each for each in ids if each in first_ms]
        return {min(known, key=lambda each: (first_ms[each], each)) if known else ids[0]: _ALL}
    weights = {name: float(each["weight"]) for name, each in zip(ids, definition["targets"], strict=True)}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0.0} if total else {ids[0]: _ALL}


def put_last(definition: Definition, target: str) -> dict[str, Any] | None:
    """The target is asked only when the others failed; None where that changes nothing or the route does not choose so."""
    targets, choose = list(definition["targets"]), definition["choose"]
    ids = target_ids(definition)
    if target not in ids or len(ids) < 2 or choose == "fastest":
        return None
    at = ids.index(target)
    if choose == "in_order":
        changed = [*targets[:at], *targets[at + 1 :], targets[at]]
    else:
        changed = [{**each, "weight": 0.0} if place == at else each for place, each in enumerate(targets)]
        if not sum(float(each["weight"]) for each in changed) > 0.0:
            return None
    return None if changed == targets else {**definition, "targets": changed}


def left_out(definition: Definition, target: str) -> dict[str, Any] | None:
    """The route without the target; None where it is its only one."""
    kept = [each for name, each in zip(target_ids(definition), definition["targets"], strict=True) if name != target]
    if not kept or len(kept) == len(definition["targets"]):
        return None
    if definition["choose"] in ("weighted", "sticky") and not sum(float(each["weight"]) for each in kept) > 0.0:
        return None
    return {**definition, "targets": kept}


def put_first(definition: Definition, target: str) -> dict[str, Any] | None:
    """The target is asked before the others; None where it is already, or the route does not go in order."""
    ids = target_ids(definition)
    if definition["choose"] != "in_order" or target not in ids or ids[0] == target:
        return None
    at, targets = ids.index(target), list(definition["targets"])
    return {**definition, "targets": [targets[at], *targets[:at], *targets[at + 1 :]]}


def limit_of(definition: Definition) -> int | None:
    """The longest answer that the route asks for where a request does not say; None: it declares none."""
    found = [definition["params"][name] for name in LIMITS if isinstance(definition["params"].get(name), int)]
    return min(found) if found else None


def limited(definition: Definition, n_tokens: int) -> dict[str, Any] | None:
    """The declared limit of answers lowered; None where none is declared, or it is as low."""
    declared = limit_of(definition)
    if declared is None or n_tokens >= declared:
        return None
    params = {
        name: min(value, n_tokens) if name in LIMITS and isinstance(value, int) else value
        for name, value in definition["params"].items()
    }
    return {**definition, "params": params}


def why_not_declared(definition: Definition, route: Route) -> str:
    """Why a version may not answer for a declared route any more; empty where it may.

    Only the order, weights and choice among the declared targets, and a lower limit of tokens, may be another than declared.
    """
    declared = _plain(route.definition())
    definition = _plain(definition)
    known = {name: _settled(each) for name, each in zip(target_ids(declared), declared["targets"], strict=True)}
    for name, each in zip(target_ids(definition), definition["targets"], strict=True):
        if name not in known:
            return f"{name} is no target of the route as it is declared now"
        if _settled(each) != known[name]:
            return f"{name} is declared otherwise now"
    other = [name for name in declared if name not in _FREE and declared[name] != definition.get(name)]
    if _params(definition) != _params(declared):
        other.append("params")
    return f"{', '.join(other)} of the route is declared otherwise now" if other else ""


def _params(definition: Definition) -> dict[str, Any]:
    return {name: value for name, value in definition["params"].items() if name not in LIMITS}


def _settled(target: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in target.items() if name != "weight"}


def _plain(definition: Definition) -> Any:
    return msgspec.json.decode(msgspec.json.encode(definition))
