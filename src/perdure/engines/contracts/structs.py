"""A msgspec Struct a contract, and the few checks that msgspec cannot make as Pydantic does.

msgspec decodes a row of eight fields in under a microsecond. Its rule here: it may reject too much
(Pydantic judges again), never too little, and an accepted value must equal Pydantic's. Hence what
surprised us, and where it is settled:

- Python's `re`, which msgspec uses, is another dialect than the Rust regex of Pydantic (`$` before a
  last line break, back-tracking): patterns are checked by a compiled Pydantic validator, 75 ns.
- msgspec rounds more than six digits of a second, Pydantic cuts them: such bodies go to Pydantic.
- msgspec has no bounds on instants and dates: they are compared here.
- An offset is kept by msgspec; instants come out in UTC here as they do from the contract.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import force_setattr
from pydantic_core import SchemaValidator, core_schema

from perdure.assets.fields import FieldSpec, int_range

MORE_THAN_MICROSECONDS = re.compile(rb":\d\d:\d\d\.\d{7}")
"""A time with more digits than a microsecond has, anywhere in a body."""

_PLAIN: Mapping[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "date": date, "datetime": datetime}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def struct_type(name: str, specs: Sequence[FieldSpec]) -> type[msgspec.Struct]:
    """The Struct of a contract: frozen, unknown fields forbidden, constraints in its annotations."""
    fields: list[Any] = []
    for spec in specs:
        annotation = _annotation(spec)
        fields.append((spec.name, annotation) if spec.required else (spec.name, annotation, spec.default))
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False)


def _annotation(spec: FieldSpec) -> Any:
    kind: Any = Literal[spec.choices] if spec.choices else _PLAIN[spec.type]
    limits = _limits(spec)
    if limits:
        kind = Annotated[kind, msgspec.Meta(**limits)]
    return kind | None if spec.nullable else kind


def _limits(spec: FieldSpec) -> dict[str, Any]:
    if spec.type == "str":
        given = {"min_length": spec.min_length, "max_length": spec.max_length}
        return {key: value for key, value in given.items() if value is not None}
    if spec.type == "datetime":
        return {"tz": True}
    if spec.type == "int":
        low, high = int_range(spec)
        return {"ge": low, "le": high} | ({"multiple_of": spec.multiple_of} if spec.multiple_of else {})
    if spec.type == "float":
        return _tighter("gt", "ge", spec, max) | _tighter("lt", "le", spec, min)
    return {}


def _tighter(open_: str, closed: str, spec: FieldSpec, pick: Callable[..., float]) -> dict[str, float]:
    """Of an open and a closed bound on one side, the one that decides: msgspec takes only one."""
    excluded, included = getattr(spec, open_), getattr(spec, closed)
    if excluded is None:
        return {} if included is None else {closed: included}
    if included is None or pick(excluded, included) == excluded:
        return {open_: excluded}
    return {closed: included}


class Settle:
    """Finishes a decoded row: instants to UTC, then the checks that msgspec cannot make."""

    __slots__ = ("_checks", "_instants")

    def __init__(self, specs: Sequence[FieldSpec]) -> None:
        self._instants = tuple(spec.name for spec in specs if spec.type == "datetime")
        self._checks = tuple((spec.name, check) for spec in specs for check in _checks(spec))

    @property
    def has_instants(self) -> bool:
        """Whether a row holds any instant."""
        return bool(self._instants)

    def __call__(self, row: msgspec.Struct) -> bool:
        """Whether the row passes; its instants are in UTC after it.

        Raises:
            OverflowError: an instant lies outside of the years 1 to 9999 in UTC.
        """
        for name in self._instants:
            at = getattr(row, name)
            if at is not None and at.tzinfo is not UTC:
                force_setattr(row, name, at.astimezone(UTC))
        for name, holds in self._checks:
            value = getattr(row, name)
            if value is not None and not holds(value):
                return False
        return True


def _checks(spec: FieldSpec) -> list[Callable[[Any], bool]]:
    if spec.type == "str" and spec.pattern is not None and spec.fast:
        return [SchemaValidator(core_schema.str_schema(pattern=spec.pattern)).isinstance_python]
    if spec.type in ("datetime", "date"):
        return [_bound(_COMPARE[key], getattr(spec, key)) for key in _COMPARE if getattr(spec, key) is not None]
    return []


def _bound(compare: Callable[[Any, Any], bool], bound: date) -> Callable[[Any], bool]:
    return lambda value: compare(value, bound)
