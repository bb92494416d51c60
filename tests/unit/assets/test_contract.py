"""The base class of contracts: what it refuses beyond Pydantic's strictness."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    PastDatetime,
    PlainValidator,
    ValidationError,
    create_model,
)

from perdure.assets.contract import Contract
from perdure.core.errors import BadContract


class Landing(Contract):
    flight_id: str
    landed_at: datetime
    n_seats: int
    air_time_min: float | None = None


def types_of(row: str) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        Landing.model_validate_json(row)
    return {error["type"] for error in caught.value.errors()}


def test_an_instant_comes_out_in_utc_whatever_its_offset():
    row = '{"flight_id": "a", "landed_at": "2013-01-01T10:00:00-05:00", "n_seats": 1}'
    landed_at = Landing.model_validate_json(row).landed_at
    assert (landed_at.isoformat(), landed_at.tzinfo) == ("2013-01-01T15:00:00+00:00", UTC)


@pytest.mark.parametrize(
    ("row", "types"),
    [
        ('{"flight_id": "a", "landed_at": "2013-01-01T10:00:00", "n_seats": 1}', {"timezone_aware"}),
        ('{"flight_id": "a", "landed_at": "0001-01-01T00:00:00+01:00", "n_seats": 1}', {"value_error"}),
        ('{"flight_id": "a", "landed_at": 1357034400, "n_seats": 1}', {"datetime_type"}),
        ('{"flight_id": "a", "landed_at": "2013-01-01T10:00:00Z", "n_seats": 9223372036854775808}', {"less_than_equal"}),
        ('{"flight_id": 1, "landed_at": "2013-01-01T10:00:00Z", "n_seats": true, "gate": 1}', {"string_type", "int_type", "extra_forbidden"}),
        ('{"flight_id": "a", "landed_at": "2013-01-01T10:00:00Z", "n_seats": 1, "air_time_min": NaN}', {"finite_number"}),
        ('{"landed_at": null, "n_seats": 1.0}', {"missing", "datetime_type", "int_type"}),
    ],
)  # fmt: skip
def test_a_row_that_a_column_cannot_hold_is_refused_with_all_its_errors(row, types):
    assert types_of(row) == types


def test_a_naive_instant_is_refused_in_python_too():
    with pytest.raises(ValidationError, match="timezone"):
        Landing(flight_id="a", landed_at=datetime(2013, 1, 1), n_seats=1)


def test_a_contract_that_extends_another_is_as_strict():
    class Delayed(Landing):
        due_at: datetime | None

    with pytest.raises(ValidationError, match="timezone"):
        Delayed.model_validate_json(
            '{"flight_id": "a", "landed_at": "2013-01-01T10:00:00Z", "n_seats": 1, "due_at": "2013-01-01T10:00:00"}'
        )


class Inner(BaseModel):
    x: int


class Plain(Enum):
    A = "a"


class Numbered(StrEnum):
    A = "a"


@pytest.mark.parametrize(
    ("annotation", "instead"),
    [
        (list[int], "one field a value"),
        (tuple[int, int], "one field a value"),
        (dict[str, int], "a field of its own"),
        (Inner, "a field of its own"),
        (int | str, "Write one type"),
        (Plain, "StrEnum"),
        (Literal[1, 2], "Literal of strings"),
        (Literal["a", None], "| None"),  # noqa: PYI061 - as users write it
        (bytes, "Write str"),
        (Any, "Use str, int, float"),
        (Annotated[int, PlainValidator(int)], "AfterValidator"),
        (NaiveDatetime, "always aware"),
        (PastDatetime, "fixed bounds"),
        (Annotated[float, Field(le=float("inf"))], "Leave the bound out"),
        (Annotated[int, Field(gt=5, lt=6)], "Widen"),
        (Annotated[datetime, Field(gt=datetime(2013, 1, 1))], "tzinfo=UTC"),
        (Annotated[int, Field(alias="nSeats")], "rename="),
        (Annotated[int, Field(default_factory=int)], "constant default"),
    ],
)
def test_what_a_column_cannot_hold_fails_at_the_class_statement_and_says_what_to_write(annotation, instead):
    with pytest.raises(BadContract, match=r"Odd\.seats") as caught:
        create_model("Odd", __base__=Contract, seats=annotation)
    assert instead in caught.value.hint


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (Annotated[int, Field(gt=0)], 0),
        (int, None),
        (int, True),
        (datetime, datetime(2013, 1, 1)),
        (Literal["a", "b"], "c"),
        (Numbered, "a"),
    ],
)
def test_a_default_that_breaks_its_own_field_fails_at_the_class_statement(annotation, default):
    with pytest.raises(BadContract, match="default"):
        create_model("Odd", __base__=Contract, seats=(annotation, default))


def test_a_mistake_is_told_with_file_and_line():
    with pytest.raises(BadContract, match=r"test_contract\.py:\d+: Odd\.seats"):

        class Odd(Contract):
            seats: list[int]


def test_a_contract_cannot_be_made_less_strict():
    with pytest.raises(BadContract, match="extra"):

        class Loose(Contract):
            model_config = ConfigDict(extra="ignore")


def test_a_contract_that_holds_itself_is_refused():
    with pytest.raises(BadContract, match="column cannot hold"):

        class Node(Contract):
            child: Node | None


def test_a_validator_keeps_its_field_supported():
    class Upper(Contract):
        origin: Annotated[str, AfterValidator(str.upper)]

    assert Upper.model_validate_json('{"origin": "jfk"}').origin == "JFK"
