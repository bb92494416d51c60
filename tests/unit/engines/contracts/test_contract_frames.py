"""Batches: good rows typed, bad rows with their reasons, nothing lost."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import AfterValidator, Field, create_model, field_validator

from perdure.assets.contract import Contract
from perdure.engines.contracts.columns import INSTANT
from perdure.engines.contracts.compiled import compile_contract

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


class Flight(Contract):
    flight_id: str
    origin: Literal["EWR", "JFK", "LGA"]
    distance_mi: Annotated[float, Field(gt=0)]
    scheduled_at: datetime
    hour: Annotated[int, Field(ge=0, le=23)] | None = None


flight = compile_contract(Flight)


def flights(**columns: Any) -> pl.DataFrame:
    base = {
        "flight_id": ["a", "b", "c"],
        "origin": ["EWR", "JFK", "LGA"],
        "distance_mi": [1.0, 2.0, 3.0],
        "scheduled_at": pl.Series([NOON] * 3, dtype=INSTANT),
        "hour": [0, None, 23],
    }
    return pl.DataFrame(base | columns)


def checked(annotation: Any, series: pl.Series | list[Any]) -> tuple[list[Any], list[str]]:
    """Good values of one column, and the first error's type of each bad one."""
    compiled = compile_contract(create_model("One", __base__=Contract, x=(annotation, ...)))
    out = compiled.check_frame(pl.DataFrame({"x": series}))
    assert out.good.schema == compiled.schema
    assert out.good.height + out.bad.height == len(series)
    return out.good["x"].to_list(), [errors[0]["type"] for errors in out.errors]


def test_a_clean_frame_is_good_as_it_is_and_costs_no_single_judgement():
    out = flight.check_frame(flights())
    assert_frame_equal(out.good, flights())
    assert (out.bad.height, out.errors, out.n_judged, out.n_coerced) == (0, [], 0, 0)


def test_bad_rows_keep_their_columns_their_place_and_every_reason():
    frame = flights(origin=["EWR", "BOS", "LGA"], distance_mi=[1.0, -1.0, None]).with_columns(note=pl.lit("n"))
    out = flight.check_frame(frame)
    assert_frame_equal(out.bad, frame[[1, 2]])
    assert out.bad_at == [1, 2]
    assert [[(e["field"], e["type"]) for e in errors] for errors in out.errors] == [
        [("origin", "literal_error"), ("distance_mi", "greater_than")],
        [("distance_mi", "float_type")],
    ]
    assert out.good["flight_id"].to_list() == ["a"]


def test_columns_come_in_the_contracts_order_and_unknown_ones_are_dropped_and_named():
    frame = flights().with_columns(gate=pl.lit(1)).select(pl.all().reverse())
    out = flight.check_frame(frame.select(reversed(frame.columns)))
    assert out.good.columns == list(Flight.model_fields)
    assert out.dropped == ("gate",)


def test_an_absent_column_with_a_default_is_filled_and_named():
    out = flight.check_frame(flights().drop("hour"))
    assert out.good["hour"].to_list() == [None, None, None]
    assert out.defaulted == ("hour",)


def test_an_absent_required_column_rejects_every_row_beside_its_other_errors():
    out = flight.check_frame(flights(distance_mi=[1.0, -1.0, 1.0]).drop("origin"))
    assert (out.missing, out.good.height, out.good.schema) == (("origin",), 0, flight.schema)
    assert [[error["type"] for error in errors] for errors in out.errors] == [
        ["missing"],
        ["missing", "greater_than"],
        ["missing"],
    ]
    assert out.errors[0][0] is out.errors[2][0]  # a million equal errors are one object


def test_no_rows_are_no_error():
    for frame in (flights()[:0], pl.DataFrame()):
        out = flight.check_frame(frame)
        assert (out.good.height, out.bad.height, out.good.schema) == (0, 0, flight.schema)


def test_columns_of_other_types_are_counted_and_converted_where_nothing_is_lost():
    out = flight.check_frame(flights(distance_mi=[1, 2, 3], hour=[1.0, 2.5, None]))
    assert out.good["distance_mi"].to_list() == [1.0, 3.0]
    assert out.n_coerced == 3 + 1
    assert out.errors == [[{"field": "hour", "message": out.errors[0][0]["message"], "type": "int_type"}]]


@pytest.mark.parametrize(
    ("annotation", "series", "good", "bad"),
    [
        (int, [1.0, -0.0, 1.5, 2.0**63, float("nan")], [1, 0], ["int_type"] * 3),
        (int, pl.Series([1, 2**63], dtype=pl.UInt64), [1], ["less_than_equal"]),
        (int, pl.Series([1, None], dtype=pl.Decimal(10, 0)), [1], ["int_type"]),
        (int, [True], [], ["int_type"]),
        (int, ["1", "-7", "12.0", "1e3", "x", "", "9223372036854775807", "9223372036854775808", "1.5"], [1, -7, 12, 1000, 2**63 - 1], ["int_type"] * 4),
        (int, ["9007199254740993", "9007199254740993.0"], [2**53 + 1], ["int_type"]),
        (Annotated[int, Field(ge=0, lt=24)], [0, 24, -1], [0], ["less_than", "greater_than_equal"]),
        (Literal["EWR", "JFK"], ["EWR", "BOS"], ["EWR"], ["literal_error"]),
        (float, [1.5, float("nan"), float("-inf"), None], [1.5], ["finite_number", "finite_number", "float_type"]),
        (float, ["1.5", "1", "nan", "1e400", " 1", "1,5"], [1.5, 1.0], ["finite_number", "finite_number", "float_type", "float_type"]),
        (float, pl.Series(["1.50"]).cast(pl.Decimal(10, 2)), [1.5], []),
        (float, [True], [], ["float_type"]),
        (bool, ["true", "False", "TRUE", "1", "yes"], [True, False, True], ["bool_type", "bool_type"]),
        (bool, [1, 0], [], ["bool_type", "bool_type"]),
        (str, [1], [], ["string_type"]),
        (str, pl.Series(["a", None], dtype=pl.Categorical), ["a"], ["string_type"]),
        (str | None, pl.Series([None, None]), [None, None], []),
        (str, pl.Series([[1]]), [], ["string_type"]),
        (str, pl.Series([b"a"]), [], ["string_type"]),
        (str, pl.Series([object(), None], dtype=pl.Object), [], ["string_type", "string_type"]),
        (Annotated[str, Field(max_length=2)], ["😀😀", "abc"], ["😀😀"], ["string_too_long"]),
        (Annotated[str, Field(pattern="^[A-Z]{2}$")], ["AB", "AB\n", "é"], ["AB"], ["string_pattern_mismatch"] * 2),
        (Annotated[str, Field(pattern=r"^\w+$")], ["é", "-"], ["é"], ["string_pattern_mismatch"]),
        (Annotated[int, Field(multiple_of=3)], [3, 4, -6], [3, -6], ["multiple_of"]),
        (Annotated[float, Field(ge=0, lt=1)], [0.0, 1.0, -0.1], [0.0], ["less_than", "greater_than_equal"]),
        (Annotated[float, Field(multiple_of=0.1)], [0.3, 0.35], [0.3], ["multiple_of"]),
        (Annotated[date, Field(le=date(2013, 1, 1))], [date(2013, 1, 1), date(2013, 1, 2)], [date(2013, 1, 1)], ["less_than_equal"]),
        (Annotated[datetime, Field(gt=NOON)], pl.Series([NOON], dtype=INSTANT), [], ["greater_than"]),
        (datetime, [datetime(2013, 1, 1, 12)], [], ["timezone_aware"]),
        (datetime, pl.Series([NOON], dtype=INSTANT).dt.convert_time_zone("Asia/Tokyo"), [NOON], []),
        (datetime, pl.Series([NOON], dtype=INSTANT).cast(pl.Datetime("ms", "UTC")), [NOON], []),
        (datetime, pl.Series([1_999, -1], dtype=pl.Int64).cast(pl.Datetime("ns", "UTC")), [datetime(1970, 1, 1, 0, 0, 0, 1, UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)], []),
        (datetime, pl.Series([2**62, -(2**62)], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")), [], ["datetime_type"] * 2),
        (datetime, pl.Series([2**62], dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")), [], ["datetime_type"]),
        (datetime, ["2013-01-01T12:00:00Z", "2013-01-01T13:00:00+01:00", "2013-01-01 12:00Z", "2013-01-01T12:00:00", "noon"], [NOON] * 3, ["timezone_aware", "datetime_parsing"]),
        (datetime, ["2013-01-01T11:59:60Z", "0000-01-01T00:00:00Z", "2013-02-30T00:00:00Z", "٢013-01-01T12:00:00Z"], [], ["datetime_parsing"] * 4),
        (datetime, ["9999-12-31T23:59:59-10:00"], [], ["value_error"]),
        (datetime, [1356998400], [], ["datetime_type"]),
        (date, [datetime(2013, 1, 1), datetime(2013, 1, 1, 1)], [date(2013, 1, 1)], ["date_parsing"]),
        (date, ["2013-01-01", "2013-1-1", "2013-02-30"], [date(2013, 1, 1)], ["date_parsing", "date_parsing"]),
        (date, pl.Series([10**8, -(10**8)], dtype=pl.Int32).cast(pl.Date), [], ["date_type", "date_type"]),
        (date, pl.Series([NOON], dtype=INSTANT), [], ["date_parsing"]),
        (Annotated[datetime, Field(gt=NOON)] | None, [None, None], [None, None], []),
    ],
    ids=range(43),
)  # fmt: skip
def test_each_value_is_judged_as_the_json_it_would_have_been(annotation, series, good, bad):
    assert checked(annotation, series) == (good, bad)


class Cabin(StrEnum):
    FIRST = "first"


class Judged(Contract):
    origin: str
    dest: Annotated[str, AfterValidator(str.upper)]
    cabin: Cabin = Cabin.FIRST
    at: datetime | None = None

    @field_validator("origin")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "crash":
            return {}[value]
        if value not in ("EWR", "JFK"):
            raise ValueError(f"{value} is not ours")
        return value


def test_with_custom_validators_every_row_is_judged_and_their_values_count():
    out = compile_contract(Judged).check_frame(
        pl.DataFrame({"origin": ["JFK", "BOS", "crash", "EWR"], "dest": ["lax", "lax", "lax", "mia"]})
    )
    assert out.good.rows() == [("JFK", "LAX", "first", None), ("EWR", "MIA", "first", None)]
    assert [errors[0]["type"] for errors in out.errors] == ["value_error", "validator_crashed"]
    assert (out.n_judged, out.bad_at) == (4, [1, 2])


def test_flagged_rows_that_pydantic_accepts_return_to_their_place():
    text = ["2013-01-01T12:00:00Z", "2013-01-01T13:00Z", "2013-01-01T14:00:00Z", "never", "2013-01-01T15:00Z"]
    frame = pl.DataFrame(
        {"flight_id": list("abcde"), "origin": ["JFK"] * 5, "distance_mi": [1.0] * 5, "scheduled_at": text}
    )
    out = flight.check_frame(frame)
    assert out.good.select("flight_id", pl.col("scheduled_at").dt.hour()).rows() == [
        ("a", 12),
        ("b", 13),
        ("c", 14),
        ("e", 15),
    ]
    assert (out.n_judged, out.bad_at) == (3, [3])


def test_more_rows_than_one_chunk_keep_their_order(monkeypatch):
    monkeypatch.setattr("perdure.engines.contracts.frames._CHUNK", 3)
    rows = 10
    frame = pl.DataFrame({"origin": ["JFK", "BOS"] * 5, "dest": [str(n) for n in range(rows)]})
    out = compile_contract(Judged).check_frame(frame)
    assert out.good["dest"].to_list() == ["0", "2", "4", "6", "8"]
    assert out.bad["dest"].to_list() == ["1", "3", "5", "7", "9"]


def test_a_pattern_that_polars_cannot_run_makes_the_contract_slow(monkeypatch):
    monkeypatch.setattr("perdure.engines.contracts.compiled.fits_polars", lambda pattern: False)
    contract = create_model("Huge", __base__=Contract, x=(Annotated[str, Field(pattern="^a")], ...))
    compiled = compile_contract(contract)
    assert compiled.slow == ("Field 'x': polars cannot run its pattern.",)
    assert compiled.check_frame(pl.DataFrame({"x": ["a", "b"]})).bad_at == [1]
