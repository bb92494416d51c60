"""What changed in what healthy means: objectives that came, went, were tightened or loosened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perdure.core.canonical import canonical_json
from perdure.core.units import parse_duration
from perdure.surface.ci.records import FieldChange
from perdure.surface.ci.wording import shown

Objective = Mapping[str, Any]
_SAME = ("signal", "by", "params", "operator")
_LOOSENED, _TIGHTENED = "loosened", "tightened"


def objective_changes(before: Sequence[Objective], after: Sequence[Objective]) -> list[FieldChange]:
    """What changed from some objectives to others; one with another bound, window or confidence is the same one.

    Objectives that were recorded in words only, by an earlier perdure, are not compared.
    """
    if any("bound" not in each for each in before):
        return []
    gone, come = list(before), list(after)
    pairs = _paired(gone, come, lambda each: _key(each, "over", "bound", "confidence"))
    pairs += _paired(gone, come, lambda each: _key(each, "over"))
    pairs += _paired(gone, come, _key)
    found = [change for pair in pairs for change in _changed(*pair)]
    found += [FieldChange("objective", shown(each["objective"]), "", "removed", "loosened") for each in gone]
    found += [FieldChange("objective", "", shown(each["objective"]), "added") for each in come]
    return sorted(found, key=lambda each: (each.what, each.before, each.after))


def _key(objective: Objective, *more: str) -> bytes:
    return canonical_json([objective[name] for name in (*_SAME, *more)])


def _paired(
    gone: list[Objective], come: list[Objective], key: Callable[[Objective], bytes]
) -> list[tuple[Objective, Objective]]:
    """Pairs that are alike by `key`, taken out of both lists."""
    pairs = []
    for old in list(gone):
        new = next((each for each in come if key(each) == key(old)), None)
        if new is not None:
            pairs.append((old, new))
            gone.remove(old)
            come.remove(new)
    return pairs


def _changed(old: Objective, new: Objective) -> list[FieldChange]:
    found = []
    means = [*_bound(old, new), *_confidence(old, new), *_window(old, new)]
    if means:
        loosened = any(how == _LOOSENED for how, _ in means)
        told = f"{'' if loosened else 'tightened: '}{', '.join(why for _, why in means)}"
        found.append(
            FieldChange("objective", shown(_text(old)), shown(_text(new)), told, "loosened" if loosened else "")
        )
    if old["stakeholder"] != new["stakeholder"]:
        what = f"who is owed {old['objective']}"
        found.append(FieldChange(shown(what), shown(old["stakeholder"]), shown(new["stakeholder"])))
    return found


def _text(objective: Objective) -> str:
    """In words; the bound with all its digits."""
    bound = objective["bound"]
    short = "" if bound is None else f" {bound:g}"
    return str(objective["objective"]).replace(
        f"{objective['operator']}{short}", f"{objective['operator']} {bound!r}", 1
    )


def _bound(old: Objective, new: Objective) -> list[tuple[str, str]]:
    if old["bound"] == new["bound"] or old["bound"] is None:
        return []
    higher = new["bound"] > old["bound"]
    loosened = higher if old["operator"] == "<=" else not higher
    return [
        (_LOOSENED if loosened else _TIGHTENED, "a worse value is healthy" if loosened else "a better value is asked")
    ]


def _confidence(old: Objective, new: Objective) -> list[tuple[str, str]]:
    if old["confidence"] == new["confidence"]:
        return []
    surer = new["confidence"] > old["confidence"]
    return [(_LOOSENED, "it must be surer before it breaks") if surer else (_TIGHTENED, "it breaks on less evidence")]


def _window(old: Objective, new: Objective) -> list[tuple[str, str]]:
    if old["over"] == new["over"]:
        return []
    longer = parse_duration(new["over"]) > parse_duration(old["over"])
    return [(_LOOSENED, "a longer window notices later") if longer else (_TIGHTENED, "a shorter window notices sooner")]
