"""Contracts: strict Pydantic models that check one row and a million.

    class Flight(Contract):
        flight_id: str
        origin: Literal["EWR", "JFK", "LGA"]
        distance_mi: Annotated[float, Field(gt=0)]
        scheduled_at: datetime

A documented set of types and constraints (`assets.fields`) compiles to polars checks for batches
and to a fast decoder for requests (`engines.contracts`); everything else runs by Pydantic a row at
a time. Whatever a fast path rejects is judged again by Pydantic, whose verdict is final.

Two rules cannot be said in `model_config`, so the core schema is sealed once when a class is made:
an instant must have a zone (and comes out in UTC), and an integer must fit 64 bits, because columns
cannot hold more. What is declared is checked in the class statement, not at first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from perdure.assets.fields import CONTRACT_CONFIG, INT64_MAX, INT64_MIN, as_utc, contract_fields


def _sealed(schema: Mapping[str, Any]) -> dict[str, Any]:
    sealed = {key: _sealed_part(key, value) for key, value in schema.items()}
    if schema["type"] == "int":
        sealed["ge"] = max(schema.get("ge", INT64_MIN), INT64_MIN)
        sealed["le"] = min(schema.get("le", INT64_MAX), INT64_MAX)
    elif schema["type"] == "datetime":
        sealed.setdefault("tz_constraint", "aware")
        return dict(core_schema.no_info_after_validator_function(as_utc, sealed))
    return sealed


def _sealed_part(key: str, value: Any) -> Any:
    if key == "schema":
        return _sealed(value)
    if key == "fields" and isinstance(value, Mapping):
        return {name: {**field, "schema": _sealed(field["schema"])} for name, field in value.items()}
    if key == "definitions":
        return [_sealed(definition) for definition in value]
    return value


class Contract(BaseModel):
    """The shape of a row: strict types, no unknown fields, no NaN, aware instants, 64-bit integers.

    Subclass it with annotated fields; add Pydantic validators where the types do not say enough
    (they run a row at a time, and `perdure check` says so).

    Raises:
        BadContract: at the class statement, when a field has a type that a column cannot hold.

    >>> class Weather(Contract):
    ...     station: str
    ...     wind_mph: float | None = None
    >>> Weather.model_validate_json('{"station": "JFK"}')
    Weather(station='JFK', wind_mph=None)
    """

    model_config: ClassVar[ConfigDict] = CONTRACT_CONFIG

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema Pydantic would build, sealed: see the module."""
        return _sealed(handler(source))

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check the declaration as soon as all its names are known."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__pydantic_complete__:
            contract_fields(cls)
