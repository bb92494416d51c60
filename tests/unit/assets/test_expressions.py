"""A view's function is traced into typed expressions, and mistakes are told by line."""

from __future__ import annotations

import inspect
import math
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

import polars as pl
import pytest
from pydantic import Field

from perdure import Contract, Source, feature_view, hours, when
from perdure.assets.expressions import Expr, from_json
from perdure.core.errors import BadView


class Sky(StrEnum):
    CLEAR = "clear"
    FOG = "fog"


class Flight(Contract):
    flight_id: str
    origin: Literal["EWR", "JFK"]
    sky: Sky | None
    distance: Annotated[float, Field(gt=0)] | None
    seats: int
    on_time: bool
    scheduled_at: datetime
    booked_on: date


flights = Source("flights", Flight, pl.DataFrame, event_at="scheduled_at")


def traced(function):
    return feature_view(on=Flight, name="trip")(function).features


def test_fields_have_the_types_that_the_contract_says():
    """Literal and StrEnum are texts, int and float are numbers, null may be in any."""
    found = traced(
        lambda f: {
            "id": f.flight_id,
            "origin": f.origin,
            "sky": f.sky,
            "distance": f.distance,
            "seats": f.seats,
            "on_time": f.on_time,
        }
    )
    assert [expr.type for expr in found.values()] == ["text", "text", "text", "number", "number", "bool"]
    assert [expr.kind for expr in found.values()] == ["category"] * 3 + ["number"] * 3


def test_operators_and_methods_build_expressions():
    """Constants may stand on either side; round and floor of Python work too."""
    found = traced(
        lambda f: {
            "sum": 1 + f.distance - 2 * f.seats,
            "late": (f.scheduled_at.hour() >= 18) & ~f.on_time,
            "long": when(f.distance > 1000, "long", "short"),
            "rounded": round(f.distance, 1),
            "whole": math.floor(f.distance),
            "joined": "to " + f.origin,
            "both": True & f.on_time,
        }
    )
    assert repr(found["sum"]) == "sub(add(1.0, row.distance), mul(2.0, row.seats))"
    assert repr(found["late"]) == "and(ge(hour(row.scheduled_at), 18.0), not(row.on_time))"
    assert repr(found["rounded"]) == "round(row.distance, 1)"
    assert {name: expr.type for name, expr in found.items()} == {
        "sum": "number",
        "late": "bool",
        "long": "text",
        "rounded": "number",
        "whole": "number",
        "joined": "text",
        "both": "bool",
    }


def test_json_gives_the_same_expression_back():
    """Parameters, constants of every type, nulls."""
    at = datetime(2013, 1, 1, tzinfo=UTC)
    found = traced(
        lambda f: {
            "a": when(f.scheduled_at > at, f.distance.clip(0, 5).round(2), None),
            "b": f.origin.is_in(["EWR"]) | f.on_time,
            "c": when(f.on_time, None, f.origin).fill_null("none"),
        }
    )
    for expr in found.values():
        again = from_json(expr.as_json())
        assert again.as_json() == expr.as_json()
        assert repr(again) == repr(expr)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda f: {"a": f.distnace}, r"field 'distnace', which Flight does not have\. Did you mean 'distance'\?"),
        (lambda f: {"a": f.booked_on}, r"'booked_on' of Flight is a date"),
        (lambda f: {"a": 1 if f.distance > 1 else 2}, r"write when\(condition, then, otherwise\)"),
        (lambda f: {"a": f.on_time and f.on_time}, r"write & \|"),
        (lambda f: {"a": not f.on_time}, r"write & \|"),
        (lambda f: {"a": 1 < f.distance < 2}, r"x\.between\(a, b\)"),
        (lambda f: {"a": f.origin in ("EWR", "JFK")}, r"\.is_in\(\[\.\.\.\]\)"),
        (lambda f: {"a": math.sin(f.distance)}, r"x\.sin\(\) for math\.sin"),
        (lambda f: {"a": int(f.distance)}, r"no value while the view is traced"),
        (lambda f: {"a": f.distance.flor()}, r"Did you mean \.floor\(\)\?"),
        (lambda f: {"a": f.scheduled_at + 1}, r"x\.timestamp_s\(\)"),
        (lambda f: {"a": f.scheduled_at.is_in([1])}, r"does not work on the instant"),
        (lambda f: {"a": f.distance.hour()}, r"needs an instant, but row\.distance is a number"),
        (lambda f: {"a": f.origin * 2}, r"mul does not work on a text"),
        (lambda f: {"a": f.origin + f.seats}, r"cannot be joined"),
        (lambda f: {"a": f.origin > 3}, r"is a text, but 3\.0 is a number"),
        (lambda f: {"a": f.distance == None}, r"\.is_null\(\)"),  # noqa: E711
        (lambda f: {"a": f.distance > 1 & f.on_time}, r"Put comparisons in parentheses|cannot|needs truth values"),
        (lambda f: {"a": f.distance & f.on_time}, r"needs truth values, but row\.distance is a number"),
        (lambda f: {"a": f.distance + math.nan}, r"finite numbers"),
        (lambda f: {"a": f.distance + f}, r"cannot stand in an expression"),
        (lambda f: {"a": f.distance.is_in(["x"])}, r"constants that are a number each"),
        (lambda f: {"a": f.distance.clip(3, 1)}, r"the lower first"),
        (lambda f: {"a": f.distance.round(99)}, r"0 to 15 digits"),
        (lambda f: {"a": f.origin[0]}, r"has no parts"),
        (lambda f: {"a": "J" in f.origin}, r"has no parts"),
        (lambda f: {"a": len(f.origin)}, r"has no parts"),
        (lambda f: {"a": max(f.origin)}, r"has no parts"),
        (lambda f: {"a": when(f.distance, 1, 2)}, r"needs truth values"),
        (lambda f: {"a": when(f.on_time, 1, "x")}, r"must be of one type"),
        (lambda f: {"a": when(f.on_time, None)}, r"null either way"),
        (lambda f: {"a": f.scheduled_at > datetime(2013, 1, 1)}, r"aware datetimes"),
        (lambda f: {"a": f.scheduled_at}, r"instant row\.scheduled_at as 'a'.*\.hour\(\)"),
        (lambda f: {"a": 1.0}, r"'a' as 1\.0, which uses no field"),
        (lambda f: {"not a name": f.distance}, r"feature named 'not a name'"),
        (lambda f: {}, r"Return the features by name"),
        (lambda f: f.distance, r"Return the features by name"),
        (lambda f: {"a": f.distance.round(2, 3)}, r"cannot be traced"),
    ],
)
def test_a_mistake_is_told_with_file_and_line_and_what_to_write(function, message):
    """The line is that of the user's function, not ours."""
    with pytest.raises(BadView, match=message) as caught:
        traced(function)
    line = inspect.getsourcelines(function)[1]
    assert caught.value.message.startswith(f"{__file__}:{line}: ")


def test_the_line_is_the_one_that_made_the_mistake():
    """In a function of several lines, not its first."""

    def trip(f):
        far = f.distance > 100
        return {"far": far, "wrong": f.distnce}

    with pytest.raises(BadView) as caught:
        traced(trip)
    assert caught.value.message.startswith(f"{__file__}:{inspect.getsourcelines(trip)[1] + 2}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of source= and on="),
        ({"source": flights, "on": Flight, "key": "flight_id"}, "exactly one of source= and on="),
        ({"on": Flight, "key": "flight_id"}, "on demand, so key= and ttl= mean nothing"),
        ({"on": Flight, "ttl": hours(1)}, "on demand, so key= and ttl= mean nothing"),
        ({"source": flights}, "has a source and no key"),
        ({"source": flights, "key": "orign"}, "Did you mean 'origin'"),
        ({"source": flights, "key": "distance"}, "Key by text or int fields"),
        ({"source": flights, "key": "scheduled_at"}, "Key by text or int fields"),
        ({"source": flights, "key": "origin", "ttl": timedelta(0)}, "Leave it out"),
    ],
)
def test_a_view_is_declared_whole_or_not_at_all(arguments, message):
    """Shape, key and ttl are checked before the function is traced."""
    with pytest.raises(BadView, match=message):
        feature_view(**arguments)(test_a_view_is_declared_whole_or_not_at_all)


def test_a_version_names_what_is_computed():
    """Another expression, another order of the stored values, another delay: another version."""

    def of(function, **changes):
        source = Source("flights", Flight, pl.DataFrame, event_at="scheduled_at", **changes)
        return feature_view(key="origin", source=source, ttl=hours(1), name="v")(function).version

    base = of(lambda f: {"a": f.distance, "b": f.seats})
    assert base == of(lambda row: {"a": row.distance, "b": row.seats})
    assert base.startswith("v@")
    assert base != of(lambda f: {"a": f.distance + 0, "b": f.seats})
    assert base != of(lambda f: {"b": f.seats, "a": f.distance})
    assert base != of(lambda f: {"a": f.distance, "b": f.seats}, available_at=hours(1))


def test_an_expression_is_neither_a_number_nor_a_sequence():
    """What would silently go wrong with numpy or the standard library raises."""
    import numpy as np

    expr = Expr("field", "number", param="a")
    with pytest.raises(TypeError):
        np.sin(expr)
    with pytest.raises(BadView):
        list(expr)
    assert repr(np.float64(2) * expr) == "mul(2.0, row.a)"
    assert repr(expr + np.int64(2)) == "add(row.a, 2.0)"
