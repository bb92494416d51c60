"""Bodies of requests: what is accepted, what is refused and how it is said."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import Field, create_model, field_validator, model_validator

from perdure.assets.contract import Contract
from perdure.core.errors import BadContract, BadRequest, BadRow, TooLarge
from perdure.engines.contracts.compiled import compile_contract
from perdure.engines.contracts.verdict import RejectedRows


class Cabin(StrEnum):
    FIRST = "first"


class Flight(Contract):
    flight_id: str
    origin: Literal["EWR", "JFK", "LGA"]
    distance_mi: Annotated[float, Field(gt=0)]
    hour: Annotated[int, Field(ge=0, le=23)]
    scheduled_at: datetime
    cancelled: bool = False
    cabin: Cabin | None = None


GOOD = {
    "flight_id": "UA1545",
    "origin": "EWR",
    "distance_mi": 1400,
    "hour": 5,
    "scheduled_at": "2013-01-01T05:15:00-05:00",
}
flight = compile_contract(Flight)


def body(*rows, **changes) -> bytes:
    return json.dumps({"rows": list(rows)} if rows else {"row": GOOD | changes}).encode()


def errors_of(data: bytes) -> list[tuple[int, str, str]]:
    with pytest.raises(BadRow) as caught:
        flight.decode_request(data)
    return [(error["row"], error["field"], error["type"]) for error in caught.value.errors]


def decoded(annotation, value: str):
    one = compile_contract(create_model("One", __base__=Contract, x=(annotation, ...)))
    try:
        return one.decode_request(f'{{"row": {{"x": {value}}}}}'.encode()).rows[0].x
    except BadRow:
        return "refused"


def test_a_row_comes_out_typed_in_utc_and_with_its_defaults():
    row = flight.decode_request(body()).rows[0]
    assert (row.distance_mi, type(row.distance_mi)) == (1400.0, float)
    assert row.scheduled_at.isoformat() == "2013-01-01T10:15:00+00:00"
    assert (row.cancelled, row.cabin) == (False, None)


def test_one_row_and_a_list_of_one_are_told_apart():
    assert flight.decode_request(body()).single
    assert not flight.decode_request(body(GOOD)).single


def test_rows_keep_their_order():
    rows = flight.decode_request(body(*(GOOD | {"hour": hour} for hour in (3, 1, 2)))).rows
    assert [row.hour for row in rows] == [3, 1, 2]


def test_every_error_of_every_row_is_told_at_once():
    wrong = GOOD | {"origin": "BOS", "hour": 25.5, "gate": 7}
    del wrong["flight_id"]
    assert sorted(errors_of(body(GOOD, wrong, GOOD, GOOD | {"distance_mi": -1}))) == [
        (1, "flight_id", "missing"),
        (1, "gate", "extra_forbidden"),
        (1, "hour", "int_type"),
        (1, "origin", "literal_error"),
        (3, "distance_mi", "greater_than"),
    ]


def test_a_refusal_holds_the_bad_rows_as_they_came():
    raw = b'{"rows": [' + json.dumps(GOOD).encode() + b', {"hour":  1} ]}'
    with pytest.raises(RejectedRows, match="1 of 2 rows break") as caught:
        flight.decode_request(raw)
    assert caught.value.rejected == [b'{"hour":  1}']
    assert (caught.value.status, caught.value.code) == (422, "contract.row")
    json.dumps(caught.value.as_dict())


def test_a_quoted_input_is_short():
    with pytest.raises(BadRow) as caught:
        flight.decode_request(body(origin="J" * 10_000))
    assert len(caught.value.errors[0]["input"]) <= 80


def test_a_row_that_is_no_object_is_a_bad_row():
    assert errors_of(b'{"rows": [1, null]}') == [(0, "", "model_type"), (1, "", "model_type")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "wrong shape"),
        (b"7", "wrong shape"),
        (b"{}", "exactly one"),
        (b'{"rows": [], "row": {}}', "exactly one"),
        (b'{"rows": []}', "empty"),
        (b'{"rows": {}}', "wrong shape"),
        (b'{"instances": []}', "instances"),
        (body().replace(b"1400", b"NaN"), "not JSON"),
        (body().replace(b"1400", b"-Infinity"), "not JSON"),
        (body() + b"x", "not JSON"),
        (body().replace(b"UA1545", b"\xff"), "not UTF-8 at byte"),
        (body().decode().encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf" + body(), "not JSON"),
        (body().replace(b"UA1545", b"\\ud800"), "not JSON"),
        (b'{"row": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"row": ' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}", "cannot be read"),
        (body().replace(b"1400", b"9" * 5_000), "cannot be read"),
    ],
    ids=range(19),
)  # fmt: skip
def test_what_cannot_be_read_is_a_bad_request_that_says_why(data, says):
    with pytest.raises(BadRequest, match=says) as caught:
        flight.decode_request(data)
    assert caught.value.status == 400
    assert len(caught.value.message) < 300


def test_too_many_rows_are_refused_before_any_is_judged():
    with pytest.raises(TooLarge, match="3 rows; at most 2"):
        flight.decode_request(b'{"rows": [1, 1, 1]}', max_rows=2)
    with pytest.raises(TooLarge):
        flight.decode_request(body(GOOD, GOOD, GOOD), max_rows=2)
    assert len(flight.decode_request(body(GOOD, GOOD), max_rows=2).rows) == 2


@pytest.mark.parametrize("hour", ["1.0", "true", '"1"', "null", "1e0", "9223372036854775808"])
def test_an_integer_is_nothing_else(hour):
    assert errors_of(body().replace(b'"hour": 5', f'"hour": {hour}'.encode()))[0][1] == "hour"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        # Rust's `$` is the end; Python's is also before a last line break.
        (Annotated[str, Field(pattern="^[A-Z]{2}$")], '"AB\\n"', "refused"),
        (Annotated[str, Field(pattern="^[A-Z]{2}$")], '"AB"', "AB"),
        (Annotated[str, Field(max_length=2)], '"😀😀"', "😀😀"),
        (Annotated[str, Field(max_length=2)], '"\\ud83d\\ude00\\u0061b"', "refused"),
        (Annotated[float, Field(ge=0.1, gt=0.1)], "0.1", "refused"),
        (Annotated[float, Field(le=5, lt=7)], "6", "refused"),
        (Annotated[int, Field(multiple_of=3)], "4", "refused"),
        (Annotated[date, Field(gt=date(2013, 1, 1))], '"2013-01-01"', "refused"),
        (Annotated[datetime, Field(lt=datetime(2013, 1, 1, tzinfo=UTC))], '"2013-01-01T00:30:00+01:00"', "2012-12-31T23:30:00+00:00"),
        (Annotated[datetime, Field(lt=datetime(2013, 1, 1, tzinfo=UTC))], '"2013-01-01T00:30:00Z"', "refused"),
        # Digits below a microsecond are cut, as Pydantic does, not rounded.
        (datetime, '"2013-01-01T00:00:00.9999999Z"', "2013-01-01T00:00:00.999999+00:00"),
        # What only Pydantic reads is good all the same.
        (datetime, '"2013-01-01T00:00Z"', "2013-01-01T00:00:00+00:00"),
        (datetime, '"0001-01-01T00:00:00+10:00"', "refused"),
        (datetime, '"2013-01-01T00:00:00"', "refused"),
    ],
)  # fmt: skip
def test_where_decoders_differ_the_value_is_that_of_pydantic(annotation, value, expected):
    got = decoded(annotation, value)
    assert (got.isoformat() if isinstance(got, datetime) else got) == expected


def test_a_choice_of_an_enum_is_plain_text_on_both_paths():
    fast = flight.decode_request(body(cabin="first")).rows[0].cabin
    slow = flight.decode_request(body(cabin="first", scheduled_at="2013-01-01T05:15Z")).rows[0].cabin
    assert (type(fast), type(slow), slow) == (str, str, "first")


def test_an_encoded_row_decodes_to_an_equal_row():
    row = flight.decode_request(body(cabin="first")).rows[0]
    assert flight.decode_request(b'{"row": ' + flight.encode_row(row) + b"}").rows == [row]


class Judged(Contract):
    origin: str
    dest: str
    seats: int = 1

    @field_validator("origin")
    @classmethod
    def upper(cls, value: str) -> str:
        return value.upper()

    @field_validator("seats")
    @classmethod
    def strange(cls, value: int) -> object:
        return {2: "two", 3: 3.0, 4: True}.get(value, value)

    @model_validator(mode="after")
    def goes_somewhere(self) -> Judged:
        if self.dest == "crash":
            return {}["no such place"]
        if self.dest == self.origin:
            raise ValueError("origin and dest are the same")
        return self


judged = compile_contract(Judged)


def test_custom_validators_run_and_their_values_count():
    assert judged.decode_request(b'{"row": {"origin": "jfk", "dest": "LAX"}}').rows[0].origin == "JFK"


def test_an_error_of_the_whole_row_has_no_field():
    with pytest.raises(BadRow) as caught:
        judged.decode_request(b'{"row": {"origin": "jfk", "dest": "JFK"}}')
    assert [(e["field"], e["message"]) for e in caught.value.errors] == [
        ("", "Value error, origin and dest are the same")
    ]


def test_a_validator_that_crashes_rejects_the_row_it_crashed_on():
    with pytest.raises(BadRow, match="1 of 2") as caught:
        judged.decode_request(b'{"rows": [{"origin": "a", "dest": "crash"}, {"origin": "a", "dest": "b"}]}')
    assert caught.value.errors[0]["type"] == "validator_crashed"
    assert "KeyError" in caught.value.errors[0]["message"]


@pytest.mark.parametrize("seats", [2, 3, 4])
def test_a_validator_may_not_change_the_type_of_its_column(seats):
    with pytest.raises(BadContract, match=r"Judged\.seats .* not a int"):
        judged.decode_request(f'{{"row": {{"origin": "a", "dest": "b", "seats": {seats}}}}}'.encode())


def test_a_validator_of_rows_must_return_the_row():
    class Gone(Contract):
        origin: str

        @model_validator(mode="wrap")
        @classmethod
        def lost(cls, row, handler):
            return None

    with pytest.raises(BadContract, match="Return self"):
        compile_contract(Gone).decode_request(b'{"row": {"origin": "JFK"}}')


def test_a_contract_is_compiled_once_and_needs_a_field():
    assert compile_contract(Flight) is compile_contract(Flight)
    with pytest.raises(BadContract, match="declares no fields"):
        compile_contract(Contract)
