"""The core schema that Pydantic runs for a contract: what perdure adds to it, and how it is read.

Read instead of annotations, because it says what will really be checked, however it was written
(`Field`, `conint`, `annotated_types`). `contract` seals it when a class is made; `fields` describes
it. Nobody else needs it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from perdure.core.canonical import bytes_hash
from perdure.core.errors import BadContract
from perdure.core.ids import Digest

if TYPE_CHECKING:
    from perdure.assets.contract import Contract

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def as_utc(at: datetime) -> datetime:
    """The same instant in UTC; every instant of a contract passes here.

    Raises:
        ValueError: in UTC it lies outside of the years 1 to 9999.
    """
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant must lie in the years 1 to 9999 in UTC") from error


def sealed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with aware instants, which come out in UTC, and integers within 64 bits."""
    closed = {key: _sealed_part(key, value) for key, value in schema.items()}
    if schema["type"] == "int":
        closed["ge"] = max(schema.get("ge", INT64_MIN), INT64_MIN)
        closed["le"] = min(schema.get("le", INT64_MAX), INT64_MAX)
    elif schema["type"] == "datetime":
        closed.setdefault("tz_constraint", "aware")
        return dict(core_schema.no_info_after_validator_function(as_utc, closed))
    return closed


def _sealed_part(key: str, value: Any) -> Any:
    if key == "schema":
        return sealed(value)
    if key == "fields" and isinstance(value, Mapping):
        return {name: {**field, "schema": sealed(field["schema"])} for name, field in value.items()}
    if key == "definitions":
        return [sealed(definition) for definition in value]
    return value


def where(contract: type[Contract]) -> str:
    """`file:line: ` of the class statement, or nothing where there is no file."""
    try:
        return f"{inspect.getsourcefile(contract)}:{inspect.getsourcelines(contract)[1]}: "
    except (OSError, TypeError):
        return ""


def _model_schemas(contract: type[Contract]) -> list[Mapping[str, Any]]:
    """The wrappers from the outside in; the last one lists the fields."""
    if not contract.__pydantic_complete__ and not contract.model_rebuild(raise_errors=False):
        raise BadContract(
            f"{where(contract)}{contract.__name__} uses a name in its annotations that is not defined.",
            hint="Define or import it at the top of the module, above the contract.",
        )
    schema: Mapping[str, Any] = contract.__pydantic_core_schema__
    if schema["type"] == "definitions":
        # What several fields share (an enum), or what refers to itself, is listed once, apart.
        apart = {item["ref"]: item for item in schema["definitions"]}
        schema = _inlined(_inlined(schema["schema"], apart), apart)
    found = [schema]
    while schema["type"] != "model-fields":
        schema = schema["schema"]
        found.append(schema)
    return found


def _inlined(schema: Mapping[str, Any], apart: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if schema["type"] == "definition-ref":
        return apart.get(schema["schema_ref"], schema)
    if schema["type"] == "model-fields":
        fields = {
            name: {**field, "schema": _inlined(field["schema"], apart)} for name, field in schema["fields"].items()
        }
        return {**schema, "fields": fields}
    return {**schema, "schema": _inlined(schema["schema"], apart)} if "schema" in schema else schema


def model_fields(contract: type[Contract]) -> Mapping[str, Mapping[str, Any]]:
    """Each field's core schema, in the order declared.

    Raises:
        BadContract: an annotation names something that is not defined.
    """
    fields: Mapping[str, Mapping[str, Any]] = _model_schemas(contract)[-1]["fields"]
    return fields


@dataclass(frozen=True, slots=True)
class Validator:
    """A function of the user's that judges a row or a field of it."""

    name: str
    field: str
    """Empty: it judges the whole row."""
    mode: str
    function: Callable[..., Any]


def validators_of(contract: type[Contract]) -> list[Validator]:
    """All of a contract's own validators: of whole rows first, then field by field."""
    found: list[Validator] = []
    for schema in _model_schemas(contract):
        found += own_validator(schema, "")
        if schema.get("post_init"):
            found.append(Validator("model_post_init", "", "after", contract.model_post_init))
        if schema.get("custom_init"):
            found.append(Validator("__init__", "", "wrap", contract.__init__))
    for name, field in model_fields(contract).items():
        schema = field["schema"]
        while "schema" in schema:
            found += own_validator(schema, name)
            schema = schema["schema"]
    return found


def own_validator(schema: Mapping[str, Any], field: str) -> list[Validator]:
    """The validator that this level of a schema calls, or none; conversion to UTC is not the user's."""
    kind = schema["type"]
    if not kind.startswith("function-") or schema["function"]["function"] is as_utc:
        return []
    function = schema["function"]["function"]
    name = getattr(function, "__name__", type(function).__name__)
    return [Validator(name, field, kind.removeprefix("function-"), function)]


def code_digest(function: Callable[..., Any]) -> Digest:
    """SHA-256 of a function's source, or of its byte code where there is no source.

    What the function calls is not part of it.
    """
    plain = inspect.unwrap(getattr(function, "__func__", function))
    return _known_digest(plain) if isinstance(plain, FunctionType) else _digest_of(plain)


def _digest_of(plain: Callable[..., Any]) -> Digest:
    try:
        return bytes_hash(textwrap.dedent(inspect.getsource(plain)).encode())
    except (OSError, TypeError):
        code = getattr(plain, "__code__", None)
        name = f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', type(plain).__qualname__)}"
        return bytes_hash(_code_bytes(code) if code is not None else name.encode())


_known_digest = lru_cache(1024)(_digest_of)
"""What a function is does not change while it is there; to find its source takes half a millisecond."""


def _code_bytes(code: CodeType) -> bytes:
    constants = [_code_bytes(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"\0".join([code.co_code, repr(code.co_names).encode(), *constants])
