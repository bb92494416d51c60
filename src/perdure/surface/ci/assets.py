"""Which assets came, went and changed, field by field, with what each change means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from perdure.surface.ci.contracts import contract_changes
from perdure.surface.ci.formulas import formula
from perdure.surface.ci.objectives import objective_changes
from perdure.surface.ci.policies import policy_changes, rules_changes
from perdure.surface.ci.records import AssetChange, FieldChange, Risk
from perdure.surface.ci.snapshot import Snapshot
from perdure.surface.ci.wording import shortened, shown

Definition = Mapping[str, Any]
TRAINED = "takes effect when it is trained again"
_JUDGED = frozenset({"healthy", "policy", "code", "contract"})
_TRAINING = frozenset({"params", "features", "rows", "seed", "label", "code"})
_MEANING = frozenset({"task", "label.column"})
"""Parts of a model that say what its answers are."""
_EARLIER = FieldChange("definition", means="recorded by an earlier perdure: what it left out is not compared")


def compare(base: Snapshot, head: Snapshot, places: Mapping[tuple[str, str], str]) -> list[AssetChange]:
    """Every asset that is another one at the head than at the base, by kind and name."""
    found = []
    for key in sorted({*base.definitions, *head.definitions}):
        kind, name = key
        before, after = base.definitions.get(key), head.definitions.get(key)
        where = places.get((kind.replace("_", " "), name), "")
        if after is None:
            found.append(AssetChange(kind, name, "removed", "", tuple(_gone(kind, name, before or {}))))
        elif before is None:
            found.append(AssetChange(kind, name, "added", where))
        elif before != after:
            found.append(AssetChange(kind, name, "changed", where, tuple(_changes(kind, name, base, head))))
    if base.rules is not None and head.rules is not None:
        rules = tuple(rules_changes(base.rules, head.rules))
        found += [AssetChange("settings", "perdure.toml", "changed", "perdure.toml", rules)] if rules else []
    return found


def _gone(kind: str, name: str, before: Definition) -> Iterator[FieldChange]:
    if kind in ("model", "route", "prompt"):
        yield FieldChange(kind, shown(name), "", "callers get no answer of it any more", "breaking")
    for objective in before.get("healthy", ()):
        yield FieldChange("objective", shown(objective["objective"]), "", "removed with its asset", "loosened")


def _changes(kind: str, name: str, base: Snapshot, head: Snapshot) -> Iterator[FieldChange]:
    before, after = base.definitions[kind, name], head.definitions[kind, name]
    if kind == "contract":
        yield from contract_changes(before, after, served=name in served_contracts(base, head))
    elif kind == "feature_view":
        yield from view_changes(before, after)
    elif "policy" not in after:
        yield from _plain_changes(kind, before, after)
    else:
        if kind == "model":
            yield from _model_changes(before, after, base, head)
        yield from objective_changes(before.get("healthy", ()), after["healthy"])
        yield from policy_changes(before.get("policy", {}), after["policy"])
        yield from _plain_changes(kind, before, after)
        if not before.keys() >= after.keys() or not before["policy"].keys() >= after["policy"].keys():
            yield _EARLIER


def served_contracts(base: Snapshot, head: Snapshot) -> set[str]:
    """Contracts that callers of the base's models send rows of, and go on to."""
    return {
        before["contract"]
        for key, before in base.definitions.items()
        if key[0] == "model" and key in head.definitions and head.definitions[key]["contract"] == before["contract"]
    }


def _model_changes(before: Definition, after: Definition, base: Snapshot, head: Snapshot) -> Iterator[FieldChange]:
    if before["contract"] != after["contract"]:
        yield FieldChange("contract", before["contract"], after["contract"], "requests are judged by another contract")
        old, new = (
            side.definitions.get(("contract", name))
            for side, name in ((base, before["contract"]), (head, after["contract"]))
        )
        if old is not None and new is not None:
            for change in contract_changes(old, new, served=True):
                yield replace(change, what=f"request {change.what}")
    for name in sorted({*before.get("code", {}), *after["code"]}) if "code" in before else ():
        was, now = before["code"].get(name, ""), after["code"].get(name, "")
        if was != now:
            yield FieldChange(f"code of {name}", was[:8], now[:8], TRAINED if name == "fit" else "")


def view_changes(before: Definition, after: Definition) -> Iterator[FieldChange]:
    """What changed in a feature view; features are told as formulas."""
    old, new = ({each["name"]: each["expr"] for each in view["features"]} for view in (before, after))
    for name in [*old, *(name for name in new if name not in old)]:
        was, now = (formula(each[name]) if name in each else "" for each in (old, new))
        if was != now or (name in old and name in new and old[name] != new[name]):
            yield FieldChange(f"feature {name}", shortened(was), shortened(now))
    if list(old) != list(new) and set(old) == set(new):
        yield FieldChange("order of features", shown(list(old)), shown(list(new)))
    for name in sorted({*before, *after} - {"features", "name"}):
        if before.get(name) != after.get(name):
            yield FieldChange(name, shown(before.get(name)), shown(after.get(name)))


def _plain_changes(kind: str, before: Definition, after: Definition) -> Iterator[FieldChange]:
    """The parts that are told as they are; what was not recorded is not compared."""
    for name in sorted(after.keys() & before.keys() - _JUDGED):
        old, new = before[name], after[name]
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            old, new = {"": old}, {"": new}
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key) or (key in old) != (key in new):
                what = f"{name}.{key}" if key else name
                was, now = (shown(each[key], what) if key in each else "" for each in (old, new))
                means, risk = _meaning(what, old.get(key), new.get(key)) if kind == "model" else ("", "")
                yield FieldChange(what, was, now, means, risk)


def _meaning(what: str, before: Any, after: Any) -> tuple[str, Risk]:
    """Of a part of a model."""
    if what in _MEANING:
        return "its answers mean something else", "breaking"
    gate = _GATES.get(what)
    if gate is not None:
        return ("a gate proves less", "gates") if gate(before, after) else ("", "")
    return (TRAINED if what.partition(".")[0] in _TRAINING else ""), ""


_GATES: Mapping[str, Callable[[Any, Any], bool]] = {
    "gate_confidence": lambda before, after: after < before,
    "slices": lambda before, after: not set(before) <= set(after),
    "fair": lambda before, after: not set(before) <= set(after),
}
"""Parts of a model that its gates judge by → whether they prove less now."""
