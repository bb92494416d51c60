"""What a contract says of each field, as data. Pure: neither polars nor msgspec is needed to read it.

Read from the core schema that Pydantic itself runs, not from annotations: whatever way a constraint
was written (`Field`, `conint`, `annotated_types`, a config), here is what will really be checked.
A key of that schema that is not in the tables below makes its field slow rather than wrong.

`engines.contracts` compiles it, `perdure check` prints it, versions hash it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict
from pydantic_core import SchemaValidator, ValidationError

from perdure.assets.core_schema import (
    INT64_MAX,
    INT64_MIN,
    as_utc,
    code_digest,
    model_fields,
    own_validator,
    validators_of,
    where,
)
from perdure.core.canonical import content_hash
from perdure.core.errors import BadContract
from perdure.core.ids import Digest

if TYPE_CHECKING:
    from perdure.assets.contract import Contract

FieldType = Literal["str", "int", "float", "bool", "datetime", "date", "literal", "enum"]

CONTRACT_CONFIG = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="null")

_HARMLESS_CONFIG = {"title", "json_schema_extra", "use_attribute_docstrings", "protected_namespaces"}
_BOUNDS = ("gt", "ge", "lt", "le")
# Keys of a core schema that the fast paths honour exactly; `type`, `ref`, `metadata` check nothing.
_KNOWN_KEYS: Mapping[str, frozenset[str]] = {
    "str": frozenset({"min_length", "max_length", "pattern"}),
    "int": frozenset({*_BOUNDS, "multiple_of"}),
    "float": frozenset({*_BOUNDS}),
    "bool": frozenset(),
    "datetime": frozenset({*_BOUNDS, "tz_constraint", "microseconds_precision"}),
    "date": frozenset({*_BOUNDS}),
    "literal": frozenset({"expected"}),
    "enum": frozenset({"cls", "members", "sub_type", "missing"}),
}
_SILENT_KEYS = frozenset({"type", "ref", "metadata", "serialization"})
_INSTEAD = {
    "list": "A row is flat: write one field a value, or one row an element.",
    "dict": "A row is flat: give each value a field of its own, such as origin_lat and origin_lon.",
    "decimal": "Write float, or int in the smallest unit, such as price_cents: int.",
    "timedelta": "Write a number with its unit in the name, such as delay_min: float.",
    "time": "Write a datetime, or a number such as minute_of_day: int.",
    "uuid": "Write str with a pattern.",
    "bytes": "Write str, such as the address of a file.",
    "union": "Write one type; int is accepted where float is declared, and `| None` allows null.",
    "literal": "Write Literal of strings only, and `| None` beside it to allow null.",
    "enum": "Write an enum.StrEnum or a Literal of strings.",
    "function-plain": "A PlainValidator hides the type of the column: use AfterValidator or BeforeValidator.",
}
_INSTEAD |= dict.fromkeys(("set", "frozenset", "tuple", "generator"), _INSTEAD["list"])
_INSTEAD |= dict.fromkeys(("model", "typed-dict", "dataclass", "definition-ref"), _INSTEAD["dict"])
_INSTEAD |= dict.fromkeys(("url", "multi-host-url"), _INSTEAD["bytes"])
_SUPPORTED = "Use str, int, float, bool, datetime, date, Literal of strings or StrEnum, each also `| None`."


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a contract: its type, its constraints, and whether the fast paths can check it."""

    name: str
    type: FieldType
    nullable: bool = False
    choices: tuple[str, ...] = ()
    """Allowed texts of a `literal` or `enum`, in the order declared."""
    gt: Any = None
    """A number for `int` and `float`, an aware UTC datetime for `datetime`, a date for `date`; so the next three."""
    ge: Any = None
    lt: Any = None
    le: Any = None
    multiple_of: float | None = None
    min_length: int | None = None
    """In code points, like `len` of a Python string."""
    max_length: int | None = None
    pattern: str | None = None
    """Searched for, not matched whole; the dialect is that of Rust's regex crate, as in Pydantic."""
    required: bool = True
    default: str | float | bool | datetime | date | None = None
    """Value of a field that is left out; means nothing where `required`."""
    fast: bool = True
    why_slow: str = ""


def int_range(spec: FieldSpec) -> tuple[int, int]:
    """The lowest and the highest value of an `int` field, both included, within 64 bits.

    >>> int_range(FieldSpec("n_seats", "int", gt=0, le=900))
    (1, 900)
    """
    low = max(INT64_MIN if spec.ge is None else spec.ge, INT64_MIN if spec.gt is None else spec.gt + 1)
    high = min(INT64_MAX if spec.le is None else spec.le, INT64_MAX if spec.lt is None else spec.lt - 1)
    return max(low, INT64_MIN), min(high, INT64_MAX)


def contract_fields(contract: type[Contract]) -> tuple[FieldSpec, ...]:
    """The fields of a contract in the order declared.

    Raises:
        BadContract: a type that a column cannot hold, an alias, a default that breaks its own field,
            a changed `model_config`. The message says what to write instead.
    """
    _check_config(contract)
    described = model_fields(contract)
    return tuple(_Reader(contract, name, field).spec() for name, field in described.items())


def custom_validators(contract: type[Contract]) -> list[str]:
    """Names of the contract's own validators, sorted.

    Where there is one, rows are checked one by one by Pydantic (a few µs each) instead of by column.
    """
    return sorted({validator.name for validator in validators_of(contract)})


def unchecked_fields(contract: type[Contract]) -> set[str]:
    """Fields whose value a custom validator may have set: what it returns has not been checked."""
    after = [own for own in validators_of(contract) if own.mode != "before"]
    return {own.field for own in after} if all(own.field for own in after) else set(contract.model_fields)


def slow_reasons(contract: type[Contract]) -> list[str]:
    """Why rows of this contract are checked one by one, a sentence each; empty if they are not."""
    validators = custom_validators(contract)
    reasons = [f"{contract.__name__} has custom validators: {', '.join(validators)}."] if validators else []
    return reasons + [f"Field {spec.name!r}: {spec.why_slow}." for spec in contract_fields(contract) if not spec.fast]


def contract_definition(contract: type[Contract]) -> dict[str, Any]:
    """The contract as JSON-compatible data: name, fields, and a digest of each validator's source."""
    described = []
    for spec in contract_fields(contract):
        every = {field.name: getattr(spec, field.name) for field in fields(spec)}
        described.append({key: _plain_value(value) for key, value in every.items() if value not in (None, (), "")})
    validators = [
        {"field": own.field, "mode": own.mode, "name": own.name, "digest": code_digest(own.function)}
        for own in validators_of(contract)
    ]
    return {"name": contract.__name__, "fields": described, "validators": validators}


def contract_hash(contract: type[Contract]) -> Digest:
    """SHA-256 of the contract's definition; equal declarations have equal hashes in every process."""
    return content_hash(contract_definition(contract))


def _plain_value(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _check_config(contract: type[Contract]) -> None:
    changed = {
        key
        for key in {*contract.model_config, *CONTRACT_CONFIG} - _HARMLESS_CONFIG
        if contract.model_config.get(key) != CONTRACT_CONFIG.get(key)
    }
    if changed:
        raise BadContract(
            f"{where(contract)}{contract.__name__} changes model_config: {', '.join(sorted(changed))}.",
            hint="Every contract has the same strictness; say it a field at a time with Field or a validator.",
        )


class _Reader:
    """Reads one field's core schema: wrappers first (default, null, validators), then the type."""

    def __init__(self, contract: type[Contract], name: str, field: Mapping[str, Any]) -> None:
        self._contract = contract
        self._name = name
        self._field = field
        self._validators: list[str] = []
        self._nullable = False
        self._default: Mapping[str, Any] | None = None

    def spec(self) -> FieldSpec:
        alias = self._field.get("validation_alias")
        if alias is not None:
            raise self._bad(f"has the alias {alias!r}", f"Name the field {alias!r}, or rename= in its source.")
        outer, schema = self._unwrapped()
        spec = self._typed(schema)
        if self._validators:
            spec = replace(spec, fast=False, why_slow=f"validated by {', '.join(self._validators)}")
        return replace(spec, nullable=self._nullable, **self._defaulted(outer, spec))

    def _bad(self, what: str, hint: str) -> BadContract:
        return BadContract(f"{where(self._contract)}{self._contract.__name__}.{self._name} {what}.", hint=hint)

    def _unwrapped(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The schema a default must satisfy (with its conversion to UTC), and the bare type's."""
        outer = schema = self._field["schema"]
        while "schema" in schema:
            if schema["type"] == "nullable":
                self._nullable = True
            elif schema["type"] == "default":
                self._default = schema
            elif own := own_validator(schema, self._name):
                self._validators.append(own[0].name)
            elif schema["type"].startswith("function-"):
                return schema, schema["schema"]
            else:
                break
            outer = schema = schema["schema"]
        return outer, schema

    def _unsupported(self, schema: Mapping[str, Any]) -> BadContract:
        annotation = self._contract.model_fields[self._name].annotation
        said = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
        return self._bad(
            f"has the type {said or str(annotation)}, which a column cannot hold",
            _INSTEAD.get(schema["type"], _SUPPORTED),
        )

    def _typed(self, schema: Mapping[str, Any]) -> FieldSpec:
        kind = schema["type"]
        if kind not in _KNOWN_KEYS:
            raise self._unsupported(schema)
        if "now_op" in schema:
            raise self._bad("compares with the machine's clock", "A replay must judge alike: use fixed bounds.")
        spec = FieldSpec(self._name, kind, **self._constraints(kind, schema))
        unknown = sorted(set(schema) - _KNOWN_KEYS[kind] - _SILENT_KEYS)
        if not isinstance(schema.get("pattern", ""), str):
            unknown.append("pattern")
        why_slow = ", ".join(f"{key}={schema[key]!r}" for key in unknown)
        return replace(spec, fast=False, why_slow=f"{why_slow} on {kind}") if unknown else spec

    def _constraints(self, kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "literal":
            return {"choices": self._texts(schema["expected"], schema)}
        if kind == "enum":
            return {"choices": self._texts([member.value for member in schema["members"]], schema)}
        if kind == "datetime" and schema.get("tz_constraint") != "aware":
            raise self._bad("holds instants without a zone", "Write datetime: it is always aware, in UTC.")
        pattern = schema.get("pattern")
        found = {key: schema[key] for key in ("min_length", "max_length") if schema.get(key) is not None}
        if pattern is not None:
            found["pattern"] = pattern if isinstance(pattern, str) else pattern.pattern
        if kind in ("int", "float"):
            found |= self._numbers(int if kind == "int" else float, schema)
        elif kind in ("datetime", "date"):
            found |= {key: self._instant(schema[key]) for key in _BOUNDS if schema.get(key) is not None}
        return found

    def _texts(self, values: list[Any], schema: Mapping[str, Any]) -> tuple[str, ...]:
        enum = schema.get("cls")
        if not all(isinstance(value, str) for value in values) or (enum is not None and not issubclass(enum, str)):
            raise self._unsupported(schema)
        return tuple(str.__str__(value) for value in values)

    def _numbers(self, convert: type[int | float], schema: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: schema[key] for key in (*_BOUNDS, "multiple_of") if schema.get(key) is not None}
        if not all(math.isfinite(value) for value in given.values()):
            raise self._bad("has a bound that is not finite", "Leave the bound out.")
        numbers = {key: convert(value) for key, value in given.items()}
        # The sealed limits of 64 bits are no constraint of the user's.
        said: dict[str, Any] = {
            k: v for k, v in numbers.items() if (k, v) not in (("ge", INT64_MIN), ("le", INT64_MAX))
        }
        if convert is int:
            low, high = int_range(FieldSpec(self._name, "int", **said))
            if low > high or said.get("multiple_of", 1) > INT64_MAX:
                raise self._bad("admits no integer of 64 bits", "Widen its bounds.")
        return said

    def _instant(self, bound: date) -> date:
        if not isinstance(bound, datetime):
            return bound
        if bound.tzinfo is None:
            raise self._bad(f"has the bound {bound}, which has no zone", "Write datetime(..., tzinfo=UTC).")
        return as_utc(bound)

    def _defaulted(self, outer: Mapping[str, Any], spec: FieldSpec) -> dict[str, Any]:
        if self._default is None:
            return {}
        if "default" not in self._default:
            raise self._bad("has a default_factory", "Write a constant default: a version must not change with time.")
        default = self._default["default"]
        if default is None and self._nullable:
            return {"required": False}
        try:
            judged = SchemaValidator(outer, {"strict": True, "allow_inf_nan": False})
            value = judged.validate_python(default)
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise self._bad(f"has the default {default!r}, which breaks the field itself: {why}", "Mend it.") from error
        return {"required": False, "default": str.__str__(value) if spec.type in ("literal", "enum") else value}
