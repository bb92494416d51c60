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

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from perdure.assets.core_schema import sealed
from perdure.assets.fields import CONTRACT_CONFIG, contract_fields


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
        return sealed(handler(source))

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check the declaration as soon as all its names are known."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__pydantic_complete__:
            contract_fields(cls)
