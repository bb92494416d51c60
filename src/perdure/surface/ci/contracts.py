"""What changed in a contract, and whether what was accepted before is accepted still.

A change breaks callers when some row that they could send before is refused now: a field that is gone,
renamed, needed or tightened. A wider field, or a new one that may be left out, breaks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.surface.ci.records import FieldChange
from perdure.surface.ci.wording import shown

Spec = Mapping[str, Any]
_WIDER_TYPES = {("int", "float"), ("literal", "enum"), ("enum", "literal")}
_NUMBERS = ("int", "float")


@dataclass(frozen=True, slots=True)
class _Part:
    """One constraint of a field that changed."""

    name: str
    before: str
    after: str
    narrows: bool


def contract_changes(before: Spec, after: Spec, *, served: bool) -> list[FieldChange]:
    """What changed from one definition of a contract to another.

    Args:
        before: as `contract_definition` gives it.
        after: the same.
        served: callers send rows of it; else they are rows of a source.
    """
    old, new = _by_name(before), _by_name(after)
    renamed = _renamed(old, new)
    found: list[FieldChange] = []
    for name, spec in old.items():
        if name in new:
            found += [_told(f"field {name}: {part.name}", part, served) for part in _parts(spec, new[name])]
        elif name in renamed:
            found.append(_told(f"field {name}", _Part("", name, renamed[name], narrows=True), served, "renamed"))
        else:
            found.append(_told(f"field {name}", _Part("", _spec_text(spec), "", narrows=True), served, "removed"))
    for name, spec in new.items():
        if name not in old and name not in renamed.values():
            part = _Part("", "", _spec_text(spec), narrows=bool(spec["required"]))
            found.append(_told(f"field {name}", part, served, "needed" if spec["required"] else "may be left out"))
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        found.append(FieldChange("order of fields", shown(list(old)), shown(list(new)), "compatible"))
    return found + list(_validator_changes(before, after, served=served))


def _by_name(definition: Spec) -> dict[str, Spec]:
    return {field["name"]: field for field in definition["fields"]}


def _told(what: str, part: _Part, served: bool, how: str = "") -> FieldChange:
    lead, may = (f"{how}: ", " are") if how else ("", " may be")
    if not part.narrows:
        return FieldChange(what, part.before, part.after, f"{lead}compatible")
    if served:
        return FieldChange(what, part.before, part.after, f"{lead}callers' requests{may} refused", "breaking")
    return FieldChange(what, part.before, part.after, f"{lead}rows that do not fit are quarantined")


def _renamed(old: Mapping[str, Spec], new: Mapping[str, Spec]) -> dict[str, str]:
    """Fields that are gone, each with the only new one that is declared alike."""
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    found: dict[str, str] = {}
    for name in gone:
        alike = [each for each in come if _unnamed(new[each]) == _unnamed(old[name])]
        rivals = [each for each in gone if _unnamed(old[each]) == _unnamed(old[name])]
        if len(alike) == len(rivals) == 1:
            found[name] = alike[0]
    return found


def _unnamed(spec: Spec) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "name"}


def _spec_text(spec: Spec) -> str:
    choices = f" of {shown(spec['choices'])}" if spec.get("choices") else ""
    bounds = [_bound_text(spec, side) for side in ("lower", "upper")]
    return shown(f"{spec['type']}{choices}{' or null' if spec['nullable'] else ''}"
                 f"{''.join(f' {bound}' for bound in bounds if bound != 'none')}"
                 f"{'' if spec['required'] else ', optional'}")  # fmt: skip


def _parts(old: Spec, new: Spec) -> Iterator[_Part]:
    """The constraints of one field that changed."""
    if old["type"] != new["type"]:
        yield _Part("type", old["type"], new["type"], not _holds(old, new))
    yield from _flags(old, new)
    if old.get("choices") and new.get("choices") and set(old["choices"]) != set(new["choices"]):
        narrows = not set(old["choices"]) <= set(new["choices"])
        yield _Part("choices", shown(old["choices"]), shown(new["choices"]), narrows)
    for side in ("lower", "upper"):
        before, after = _bound(old, side), _bound(new, side)
        if before != after:
            name = "least" if side == "lower" else "most"
            yield _Part(name, _bound_text(old, side), _bound_text(new, side), _tighter(before, after, side))
    yield from _texts(old, new)


def _flags(old: Spec, new: Spec) -> Iterator[_Part]:
    if old["nullable"] != new["nullable"]:
        yield _Part("null", _allowed(old["nullable"]), _allowed(new["nullable"]), bool(old["nullable"]))
    if old["required"] != new["required"]:
        words = {True: "needed", False: "may be left out"}
        yield _Part("presence", words[old["required"]], words[new["required"]], bool(new["required"]))
    elif old.get("default") != new.get("default"):
        yield _Part("default", shown(old.get("default")), shown(new.get("default")), narrows=False)
    if old["fast"] != new["fast"]:
        words = {True: "by column", False: "row by row"}
        yield _Part("is checked", words[old["fast"]], words[new["fast"]], narrows=not new["fast"])


def _allowed(nullable: bool) -> str:
    return "allowed" if nullable else "refused"


def _holds(old: Spec, new: Spec) -> bool:
    """Whether the new type takes every value of the old one; what it asks for besides is judged apart."""
    if (old["type"], new["type"]) in _WIDER_TYPES:
        return True
    constrained = any(new.get(key) is not None for key in ("min_length", "max_length", "pattern"))
    return old["type"] in ("literal", "enum") and new["type"] == "str" and not constrained


def _bound(spec: Spec, side: str) -> tuple[Any, bool] | None:
    """The bound of one side, and whether it is itself left out; of whole numbers it never is."""
    strict, loose = ("gt", "ge") if side == "lower" else ("lt", "le")
    found = [(_value(spec[key]), key == strict) for key in (strict, loose) if spec.get(key) is not None]
    if spec["type"] == "int":
        found = [(value + (1 if side == "lower" else -1) if out else value, False) for value, out in found]
    if not found:
        return None
    if side == "lower":
        return max(found)
    return min(found, key=lambda bound: (bound[0], not bound[1]))


def _value(bound: Any) -> Any:
    return datetime.fromisoformat(bound) if isinstance(bound, str) else bound


def _tighter(before: tuple[Any, bool] | None, after: tuple[Any, bool] | None, side: str) -> bool:
    if before is None or after is None:
        return after is not None
    if side == "lower":
        return after > before
    return (after[0], not after[1]) < (before[0], not before[1])


def _bound_text(spec: Spec, side: str) -> str:
    bound = _bound(spec, side)
    if bound is None:
        return "none"
    sign = {"lower": (">=", ">"), "upper": ("<=", "<")}[side][bound[1]]
    value = bound[0].isoformat() if isinstance(bound[0], datetime) else f"{bound[0]:g}"
    return f"{sign} {value}"


def _texts(old: Spec, new: Spec) -> Iterator[_Part]:
    """Lengths, patterns, and steps of numbers."""
    for key, widens in (
        ("min_length", lambda before, after: after <= before),
        ("max_length", lambda before, after: after >= before),
        ("multiple_of", lambda before, after: before % after == 0),
        ("pattern", lambda _before, _after: False),
    ):
        before, after = old.get(key), new.get(key)
        if before != after:
            narrows = after is not None and (before is None or not widens(before, after))
            yield _Part(key.replace("_", " "), shown(before), shown(after), narrows)


def _validator_changes(before: Spec, after: Spec, *, served: bool) -> Iterator[FieldChange]:
    old = {(each["field"], each["name"]): each for each in before["validators"]}
    new = {(each["field"], each["name"]): each for each in after["validators"]}
    for key in sorted({*old, *new}, key=str):
        if old.get(key) == new.get(key):
            continue
        was, now = (str(each[key]["digest"])[:8] if key in each else "" for each in (old, new))
        yield _told(f"validator {key[1]}", _Part("", was, now, narrows=bool(now)), served)
