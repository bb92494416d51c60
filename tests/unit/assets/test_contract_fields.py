"""What a contract says, as data."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    conint,
    create_model,
    field_validator,
    model_validator,
)

from perdure.assets.contract import Contract
from perdure.assets.fields import (
    FieldSpec,
    contract_definition,
    contract_fields,
    contract_hash,
    custom_validators,
    slow_reasons,
    unchecked_fields,
)
from perdure.core.canonical import canonical_json
from perdure.core.errors import BadContract


class Cabin(StrEnum):
    FIRST = "first"
    COACH = "coach"


class Everything(Contract):
    flight_id: Annotated[str, Field(min_length=1, max_length=12, pattern="^[A-Z]")]
    n_seats: conint(gt=0, le=900)
    distance_mi: Annotated[float | None, Field(ge=0)] = 1
    cancelled: bool = False
    scheduled_at: Annotated[datetime, Field(ge=datetime(2013, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))]
    day: Annotated[date, Field(lt=date(2014, 1, 1))]
    origin: Literal["EWR", "JFK"] | None
    cabin: Cabin
    upgrade: Cabin | None = Cabin.FIRST


def spec_of(annotation, default=...) -> FieldSpec:
    return contract_fields(create_model("One", __base__=Contract, x=(annotation, default)))[0]


def test_every_type_and_constraint_is_read_in_order():
    assert contract_fields(Everything) == (
        FieldSpec("flight_id", "str", min_length=1, max_length=12, pattern="^[A-Z]"),
        FieldSpec("n_seats", "int", gt=0, le=900),
        FieldSpec("distance_mi", "float", nullable=True, ge=0.0, required=False, default=1.0),
        FieldSpec("cancelled", "bool", required=False, default=False),
        FieldSpec("scheduled_at", "datetime", ge=datetime(2013, 1, 1, tzinfo=UTC)),
        FieldSpec("day", "date", lt=date(2014, 1, 1)),
        FieldSpec("origin", "literal", nullable=True, choices=("EWR", "JFK")),
        FieldSpec("cabin", "enum", choices=("first", "coach")),
        FieldSpec("upgrade", "enum", nullable=True, choices=("first", "coach"), required=False, default="first"),
    )


def test_defaults_are_of_the_columns_type():
    by_name = {spec.name: spec.default for spec in contract_fields(Everything)}
    assert (type(by_name["distance_mi"]), type(by_name["upgrade"])) == (float, str)


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Annotated[str, StringConstraints(strip_whitespace=True)], "strip_whitespace=True on str"),
        (Annotated[str, Field(pattern=re.compile("a"))], "pattern=re.compile('a') on str"),
        (Annotated[float, Field(multiple_of=0.5)], "multiple_of=0.5 on float"),
        (Annotated[int, Field(strict=False)], "strict=False on int"),
        (Annotated[str, AfterValidator(str.upper)], "validated by upper"),
    ],
)
def test_what_a_fast_path_cannot_do_exactly_is_slow_and_says_why(annotation, why):
    spec = spec_of(annotation)
    assert (spec.fast, spec.why_slow) == (False, why)


def test_a_plain_contract_has_no_reason_to_be_slow():
    assert (slow_reasons(Everything), custom_validators(Everything)) == ([], [])


class Judged(Contract):
    origin: str
    dest: Annotated[str, AfterValidator(str.upper)]

    @field_validator("origin")
    @classmethod
    def known_origin(cls, value: str) -> str:
        return value

    @model_validator(mode="before")
    @classmethod
    def not_a_loop(cls, row):
        return row


def test_validators_of_rows_fields_and_annotations_are_named():
    assert custom_validators(Judged) == ["known_origin", "not_a_loop", "upper"]
    assert slow_reasons(Judged)[0] == "Judged has custom validators: known_origin, not_a_loop, upper."


def test_a_validator_before_the_check_leaves_nothing_unchecked():
    assert unchecked_fields(Judged) == {"origin", "dest"}


def test_a_validator_of_whole_rows_leaves_every_field_unchecked():
    class Whole(Contract):
        origin: str
        dest: str

        @model_validator(mode="after")
        def checked(self):
            return self

    assert unchecked_fields(Whole) == {"origin", "dest"}


def test_what_pydantic_runs_after_the_fields_counts_as_a_validator():
    class Hooked(Contract):
        origin: str

        def model_post_init(self, context):
            """Nothing."""

    assert custom_validators(Hooked) == ["model_post_init"]


def test_a_definition_is_canonical_data():
    assert b'"name":"Everything"' in canonical_json(contract_definition(Everything))


def variant(**changes):
    fields = {"origin": (str, ...), "n_seats": (Annotated[int, Field(gt=0)], ...)} | changes
    return contract_hash(create_model("Variant", __base__=Contract, **fields))


def test_equal_declarations_have_equal_hashes():
    assert variant() == variant()


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": (str | None, ...)},
        {"origin": (str, "JFK")},
        {"n_seats": (Annotated[int, Field(gt=1)], ...)},
        {"origin": (Annotated[str, StringConstraints(to_upper=True)], ...)},
        {"origin": (Annotated[str, AfterValidator(str.upper)], ...)},
        {"dest": (str, ...)},
    ],
)
def test_another_declaration_has_another_hash(changes):
    assert variant(**changes) != variant()


def test_another_body_or_place_of_a_validator_is_another_contract():
    def short(value: str) -> str:
        return value[:3]

    def shorter(value: str) -> str:
        return value[:2]

    hashes = {
        variant(origin=(Annotated[str, place(function)], ...))
        for function in (short, shorter)
        for place in (AfterValidator, BeforeValidator)
    }
    assert len(hashes) == 4


def test_validators_without_source_are_told_apart_by_their_code():
    def compiled(text: str):
        return eval(text)

    texts = ["lambda value: value[:3]", "lambda value: value[:2]", "lambda value: value[:2]"]
    hashes = [variant(origin=(Annotated[str, AfterValidator(compiled(text))], ...)) for text in texts]
    assert hashes[0] != hashes[1] == hashes[2]


def test_an_annotation_of_an_unknown_name_is_a_bad_contract():
    class Later(Contract):
        at: Nowhere  # noqa: F821

    with pytest.raises(BadContract, match="not defined"):
        contract_fields(Later)
