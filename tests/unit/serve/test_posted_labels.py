"""One posted label: what is taken, and everything that is said of what is not."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
import pytest
from pydantic import Field, ValidationInfo, field_validator

from perdure import Contract, Label, Model, Source, feature_view, hours
from perdure.serve.scoring.posted import LabelReader
from perdure.stores.capture.events import LabelRow

NOW_US = 1_000


class Parcel(Contract):
    parcel_id: str
    sent_at: datetime


class Arrival(Contract):
    parcel_id: str
    arrived_at: datetime
    minutes: Annotated[float, Field(ge=0.0, le=1_440.0)]
    stops: Annotated[int, Field(ge=0)] | None = None
    late: bool
    words: Literal["0", "1"] = "0"
    even: int
    after: float

    @field_validator("even")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value

    @field_validator("after")
    @classmethod
    def is_after(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data["minutes"]:
            raise ValueError("must not be before")
        return value


parcels = Source("parcels", Parcel, pl.DataFrame, event_at="sent_at", key=("parcel_id",))
arrivals = Source("arrivals", Arrival, pl.DataFrame, event_at="arrived_at", key=("parcel_id",))


@feature_view(on=Parcel)
def calendar(p):
    return {"hour": p.sent_at.hour()}


def reader(column: str, task: str = "regression") -> LabelReader:
    label = Label(arrivals, column, key="parcel_id", known_at="arrived_at", delay=hours(1))
    fit = lambda self, data, warm_start=None: None  # noqa: E731
    body = {"contract": Parcel, "features": [calendar], "rows": parcels, "label": label, "task": task, "fit": fit}
    return LabelReader(type("Minutes", (Model,), {**body, "__module__": __name__}))


def read(label: Any, column: str = "minutes", task: str = "regression") -> Any:
    return reader(column, task).read(msgspec.Raw(json.dumps(label).encode()), NOW_US)


@pytest.mark.parametrize(
    ("column", "task", "value", "recorded"),
    [
        ("minutes", "regression", 31.5, 31.5),
        ("minutes", "regression", 31, 31.0),
        ("minutes", "classification", True, 1.0),
        ("stops", "regression", 3.0, 3.0),
        ("stops", "classification", False, 0.0),
        ("late", "classification", True, 1.0),
        ("late", "classification", 1, 1.0),
        ("words", "classification", 1, 1.0),
        ("even", "regression", 4, 4.0),
    ],
)
def test_a_value_that_the_label_field_allows_is_taken_whatever_json_calls_its_type(column, task, value, recorded):
    assert read({"key": "p1", "value": value}, column, task) == LabelRow("", "p1", recorded, NOW_US)


@pytest.mark.parametrize(
    ("column", "value", "said", "kind"),
    [
        (
            "minutes",
            1e308,
            "1e+308, but Arrival.minutes says: Input should be less than or equal to 1440",
            "less_than_equal",
        ),
        (
            "minutes",
            -1,
            "-1.0, but Arrival.minutes says: Input should be greater than or equal to 0",
            "greater_than_equal",
        ),
        ("minutes", True, "True, but Arrival.minutes says: Input should be a valid number", "float_type"),
        ("stops", 1.5, "1.5, but Arrival.stops says: Input should be a valid integer", "int_type"),
        ("stops", -2, "-2.0, but Arrival.stops says: Input should be greater than or equal to 0", "greater_than_equal"),
        ("late", 0.5, "0.5, but Arrival.late says: Input should be a valid boolean", "bool_type"),
        ("even", 3, "3.0, but Arrival.even says: Value error, must be even", "value_error"),
    ],
)
def test_a_value_that_breaks_the_label_field_is_told_with_its_constraint(column, value, said, kind):
    (fault,) = read({"key": "p1", "value": value}, column)
    assert (fault["field"], fault["type"]) == ("value", f"label.{kind}")
    assert said in fault["message"]


def test_a_validator_that_needs_the_rest_of_the_row_does_not_judge_a_label():
    assert isinstance(read({"key": "p1", "value": -5.0}, "after"), LabelRow)


@pytest.mark.parametrize(
    ("label", "fields"),
    [
        ({"key": "", "value": 1.0}, ["key"]),
        ({"prediction_id": "", "value": 1.0}, ["prediction_id"]),
        ({"prediction_id": "", "key": "p1", "value": 1.0}, ["prediction_id"]),
        ({"value": 1.0}, ["prediction_id"]),
        ({"key": "p1", "value": 1.0, "known_at": "2013-03-01T06:00:00"}, ["known_at"]),
        ({"key": "p1", "value": 1.0, "known_at": "2013-03-01"}, ["known_at"]),
        ({"key": "p1", "value": 1.0, "known_at": ""}, ["known_at"]),
        ({"key": "p1", "value": 1.0, "known_at": "0001-01-01T00:00:00+14:00"}, ["known_at"]),
        ({"key": "", "value": -1.0, "known_at": "noon"}, ["key", "value", "known_at"]),
        ({"key": 1.5, "value": "long", "known_at": 7, "hue": 1}, ["key", "value", "known_at", "hue"]),
        ({"hue": 1, "key": "", "known_at": "noon"}, ["value", "hue", "key", "known_at"]),
        (7, [""]),
    ],
)
def test_every_fault_of_a_label_is_told_at_once(label, fields):
    faults = read(label)
    assert [fault["field"] for fault in faults] == fields
    assert all(fault["message"] and fault["type"].startswith("label") for fault in faults)


def test_a_number_as_key_and_an_instant_of_any_zone_are_taken():
    found = read({"prediction_id": None, "key": 17, "value": 2, "known_at": "1970-01-01T01:00:01+01:00"})
    assert found == LabelRow("", "17", 2.0, 1_000_000)


def test_a_key_of_too_many_digits_is_a_fault_of_that_label():
    raw = msgspec.Raw(b'{"value": 1.0, "key": ' + b"9" * 5_000 + b"}")
    assert [fault["field"] for fault in reader("minutes").read(raw, NOW_US)] == ["key"]
