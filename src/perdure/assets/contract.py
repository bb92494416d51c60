"""Contracts: strict Pydantic models that check one row and a million.

    class Flight(Contract):
        flight_id: str
        origin: Literal["EWR", "JFK", "LGA"]
        distance_mi: Annotated[float, Field(gt=0)]
        scheduled_at: datetime

A documented set of types and constraints (`assets.fields`) compiles to polars checks for batches
and to a fast decoder for requests (`engines.contracts`); everything else runs by Pydantic a row at
a time. Whatever a fast path rejects is judged again by Pydantic, whose verdict is final.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """The shape of a row: strict types, no unknown fields, no NaN, aware instants.

    Subclass it with annotated fields; add Pydantic validators where the types do not say enough
    (they run a row at a time, and `perdure check` says so).
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="null"
    )
