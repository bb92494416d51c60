"""Pydantic's verdict on one row of JSON: what both fast paths defer to, and the errors users read.

Requests hand in the bytes that arrived; batches write a suspicious row as the JSON that a request
would have carried. One judge for both is why the same row has the same verdict online and offline.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypedDict

from pydantic import ValidationError

from perdure.assets.contract import Contract
from perdure.assets.core_schema import INT64_MAX, INT64_MIN, as_utc
from perdure.assets.fields import FieldSpec, contract_fields, unchecked_fields
from perdure.core.errors import BadContract, BadRow

# A validator of a user may fail in its own way on a row it did not foresee. The row is rejected
# with that failure; a batch is never lost to it.
_CRASHES = (ArithmeticError, AttributeError, LookupError, TypeError)
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


class RowError(TypedDict):
    """One error of one row."""

    field: str
    """Empty: the row as a whole."""
    message: str
    type: str
    """Pydantic's name of the error, such as `greater_than`; stable, for machines."""
    input: str | None
    """The value as it came, shortened; None for a field that did not come."""


class RejectedRows(BadRow):
    """Rows of a request that break their contract, with the rows themselves for quarantine."""

    def __init__(self, message: str, *, errors: Sequence[dict[str, Any]], rejected: Sequence[bytes], hint: str) -> None:
        super().__init__(message, errors=errors, hint=hint)
        self.rejected = list(rejected)
        """The bad rows as JSON, as they came, in their order."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`values` by field when the row is good, else None and every error of it."""

    values: dict[str, Any] | None
    errors: tuple[RowError, ...] = ()

    @property
    def unreadable(self) -> bool:
        """The row is not even JSON that Pydantic reads, such as an integer of 5,000 digits."""
        return any(error["type"] == "json_invalid" for error in self.errors)


class Judge:
    """Judges rows of one contract by Pydantic. About 3 µs a row of 8 fields, more with validators."""

    __slots__ = ("_contract", "_enums", "_unchecked", "_validate")

    def __init__(self, contract: type[Contract]) -> None:
        specs = contract_fields(contract)
        self._contract = contract
        self._validate = contract.__pydantic_validator__.validate_json
        self._enums = [spec.name for spec in specs if spec.type == "enum"]
        unchecked = unchecked_fields(contract)
        self._unchecked = [spec for spec in specs if spec.name in unchecked]

    def __call__(self, row: bytes) -> Verdict:
        """The verdict on one row of JSON.

        Raises:
            BadContract: a custom validator returned a value that its own field could not hold.
        """
        try:
            model = self._validate(row)
        except ValidationError as error:
            return Verdict(None, _row_errors(error))
        except _CRASHES as crash:
            message = f"A validator of {self._contract.__name__} failed: {type(crash).__name__}: {crash}"
            return Verdict(None, ({"field": "", "message": message, "type": "validator_crashed", "input": None},))
        if not isinstance(model, self._contract):
            raise BadContract(
                f"A validator made a whole {self._contract.__name__} {model!r}.", hint="Return self from it."
            )
        values = dict(model.__dict__)
        for name in self._enums:
            if isinstance(values[name], str):
                values[name] = str.__str__(values[name])
        for spec in self._unchecked:
            values[spec.name] = self._settled(spec, values[spec.name])
        return Verdict(values)

    def _settled(self, spec: FieldSpec, value: Any) -> Any:
        try:
            return _as_type(spec, value)
        except (TypeError, ValueError) as error:
            raise BadContract(
                f"A validator made {self._contract.__name__}.{spec.name} {value!r}, which is not {error}.",
                hint="A validator returns a value of its field's declared type, or raises ValueError.",
            ) from error


def _row_errors(error: ValidationError) -> tuple[RowError, ...]:
    return tuple(
        {
            "field": ".".join(str(part) for part in found["loc"]),
            "message": found["msg"],
            "type": found["type"],
            "input": None if found["type"] == "missing" else _short.repr(found["input"]),
        }
        for found in error.errors(include_url=False, include_context=False)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and INT64_MIN <= value <= INT64_MAX


def _is_instant(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


# By type of field: what its column can hold, and how it is written there.
_HOLDS: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "str": (lambda value: isinstance(value, str), str.__str__),
    "literal": (lambda value: isinstance(value, str), str.__str__),
    "enum": (lambda value: isinstance(value, str), str.__str__),
    "int": (_is_integer, int),
    "float": (_is_number, float),
    "bool": (lambda value: isinstance(value, bool), bool),
    "datetime": (_is_instant, as_utc),
    "date": (lambda value: isinstance(value, date) and not isinstance(value, datetime), lambda value: value),
}


def _as_type(spec: FieldSpec, value: Any) -> Any:
    """What a validator returned, as the field's column can hold it; raises the name of the type."""
    if value is None and spec.nullable:
        return None
    holds, convert = _HOLDS[spec.type]
    if holds(value) and (not spec.choices or str.__str__(value) in spec.choices):
        return convert(value)
    raise TypeError(f"one of {', '.join(spec.choices)}" if spec.choices else f"a {spec.type}")
