"""Every operation over a grid of awkward values: frames and rows agree, and mean what is documented."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest

from perdure.assets.expressions import Expr, when
from perdure.core.errors import BadView
from perdure.engines.features import compile_frame, compile_row

A, B = (Expr("field", "number", param=name) for name in "ab")
P, Q = (Expr("field", "bool", param=name) for name in "pq")
S = Expr("field", "text", param="s")
MOMENT = Expr("field", "instant", param="at")
GRID = [None, 0.0, -0.0, 1.0, -1.0, 0.1, 2.5, -2.5, 3.0, -7.0, 30.0, 1e-320, 1e16, -1e200, 3.4e38, 1.7e308]
ONE_MICROSECOND = timedelta(microseconds=1)


def _both(expr: Expr, rows: list[dict], schema: dict) -> list:
    """What both paths give; fails where they differ in a bit of float32."""
    framed = compile_frame({"f": expr})(pl.DataFrame(rows, schema=schema))["f"].to_list()
    single = [compile_row({"f": expr}, mappings=True)(row)[0] for row in rows]
    assert [_bits(value) for value in framed] == [_bits(value) for value in single]
    return framed


def _bits(value):
    return value if value is None or isinstance(value, str) else int(np.float32(value).view(np.uint32))


def _numbers(expr: Expr, rows: list[dict] | None = None) -> list:
    if rows is None:
        rows = [{"a": a, "b": b} for a, b in itertools.product(GRID, GRID)]
    return _both(expr, rows, {"a": pl.Float64, "b": pl.Float64})


@pytest.mark.parametrize(
    "expr",
    [
        *[A + B, A - B, A * B, A / B, A // B, A % B, A**B, A / 30.0, 30.0 / A, A // 0.1, A % -7.0, A % 3.0, A**2, 2**A],
        *[-A, abs(A), A.sqrt(), A.sin(), A.cos(), A.log1p(), A.floor(), A.clip(-2.0, 3.0), A + B * B - A],
        *[A == B, A != B, A < B, A <= B, A > B, A >= B, A.between(B, 3.0), A.is_in([0.0, 2.5]), A.is_in([])],
        *[A.is_null(), A.fill_null(B), A.fill_null(7.0), when(A > B, A, B), when(A > 0.0, 1.0), when(A > 0, None, B)],
        *[A.round(digits) for digits in (0, 1, 2, 15)],
    ],
    ids=repr,
)
def test_an_operation_gives_the_same_bits_on_both_paths(expr):
    """Nulls, both zeros, subnormals, numbers too great for 32 bits, in all pairs."""
    values = _numbers(expr)
    assert any(value is not None for value in values)
    assert all(value is None or math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    ("expr", "a", "b", "expected"),
    [
        (A / B, 1.0, 0.0, None),
        (A // B, 1.0, 0.0, None),
        (A % B, 1.0, 0.0, None),
        (A // B, -7.0, 2.0, -4.0),
        (A % B, -7.0, 3.0, 2.0),
        (A % B, 7.0, -3.0, -2.0),
        (A / 30.0, 49.0, None, 49.0 / 30.0),
        (A * B, 1e200, 1e200, None),
        (A * B, 1e200, 1.0, None),
        (A**B, -1.0, 0.5, None),
        (A**B, 10.0, 400.0, None),
        (A.sqrt(), -1.0, None, None),
        (A.log1p(), -1.0, None, None),
        (A.round(0), 2.5, None, 2.0),
        (A.round(1), 0.25, None, 0.2),
        (A.clip(0.0, 1.0), -3.0, None, 0.0),
        (A.fill_null(B), None, 4.0, 4.0),
        ((1.0 / A).fill_null(9.0), 0.0, None, 9.0),
    ],
)
def test_an_operation_means_what_is_documented(expr, a, b, expected):
    """Division by zero, overflow and what is not real are null; // and % follow Python."""
    assert _numbers(expr, [{"a": a, "b": b}]) == [expected]


def test_and_or_not_follow_kleene():
    """An unknown truth value decides nothing, and nothing that is already decided."""
    values = [True, False, None]
    rows = [{"p": p, "q": q} for p, q in itertools.product(values, values)]
    schema = {"p": pl.Boolean, "q": pl.Boolean}
    assert _both(P & Q, rows, schema) == [True, False, None, False, False, False, None, False, None]
    assert _both(P | Q, rows, schema) == [True, True, True, True, False, None, True, None, None]
    assert _both(~P, rows[::3], schema) == [False, True, None]
    assert _both(P + Q, rows, schema) == [2.0, 1.0, None, 1.0, 0.0, None, None, None, None]
    assert _both(when(P, 1.0, 2.0), rows[::3], schema) == [1.0, 2.0, 2.0]


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1, 16777217, 0, -1])
def test_an_int_is_computed_as_a_64_bit_float(value):
    """So there is no overflow that wraps, and no difference beyond 2**53 between the paths."""
    exprs = [A, A + 1, A * A, A // 7, A % 7, A / 3]
    for expr in exprs:
        _both(expr, [{"a": value}], {"a": pl.Int64})
    assert _both(A * A, [{"a": 2**62}], {"a": pl.Int64}) == [float(2**62) * float(2**62)]


INSTANTS = [
    datetime(2012, 2, 29, tzinfo=UTC),
    datetime(2013, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2000, 12, 31, tzinfo=UTC),
    datetime(1900, 3, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    None,
]


@pytest.mark.parametrize("part", ["hour", "weekday", "month", "day_of_year", "timestamp_s"])
def test_parts_of_an_instant_agree_at_the_ends_of_days_months_and_years(part):
    """Leap days, the last microsecond of a year, before 1970, the first and last instants there are."""
    values = _both(getattr(MOMENT, part)(), [{"at": at} for at in INSTANTS], {"at": pl.Datetime("us", "UTC")})
    assert values[-1] is None
    assert None not in values[:-1]


def test_an_instant_is_taken_apart_in_utc():
    """Monday is 1 and Sunday 7; a row that comes in another zone is the same instant."""
    at = datetime(2013, 3, 4, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    run = compile_row({"hour": MOMENT.hour(), "day": MOMENT.weekday(), "of_year": MOMENT.day_of_year()}, mappings=True)
    assert run({"at": at}) == (22.0, 7.0, 62.0)


def test_instants_compare_with_constants_exactly():
    """A microsecond counts, also far from 1970."""
    limit = datetime(2300, 1, 1, tzinfo=UTC)
    rows = [{"at": limit - ONE_MICROSECOND}, {"at": limit}, {"at": None}]
    assert _both(limit <= MOMENT, rows, {"at": pl.Datetime("us", "UTC")}) == [False, True, None]
    assert _both(limit > MOMENT, rows, {"at": pl.Datetime("us", "UTC")}) == [True, False, None]


TEXTS = ["JFK", "jfk", "", "İSTANBUL", "ΟΔΟΣ", "straße", "日本", None]


@pytest.mark.parametrize(
    "expr",
    [
        *[S.lower(), S.length(), S + "-x", "x-" + S, S.concat("a", S), S == "JFK", S < "a"],
        *[S.is_in(["JFK", ""]), S.is_in([]), S.is_null(), S.fill_null("?")],
        *[when(S.length() > 3, S.lower(), "short"), when(S == "", None, S)],
    ],
    ids=repr,
)
def test_a_text_operation_agrees_on_both_paths(expr):
    """Lower case beyond ASCII, empty texts, nulls."""
    _both(expr, [{"s": text} for text in TEXTS], {"s": pl.String})


def test_a_frame_without_rows_gives_features_without_rows():
    """With the types that other frames have."""
    run = compile_frame({"n": A + 1, "t": S + "x", "c": when(A > 1, "a", "b"), "b": P})
    empty = run(pl.DataFrame(schema={"a": pl.Float64, "s": pl.String, "p": pl.Boolean}))
    assert empty.schema == {"n": pl.Float64, "t": pl.String, "c": pl.String, "b": pl.Boolean}
    assert empty.height == 0


def test_rows_may_be_objects():
    """Attributes of the row are its fields."""

    class Observation:
        a = 2.0

    assert compile_row({"doubled": A * 2})(Observation()) == (4.0,)


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    """A frame that lacks what a feature needs is told apart from one with nulls."""
    with pytest.raises(BadView, match=r"no column 'a'.*'aa'"):
        compile_frame({"f": A + 1})(pl.DataFrame({"aa": [1.0]}))


@pytest.mark.parametrize("compiler", [compile_frame, compile_row])
def test_an_operation_of_another_version_is_refused(compiler):
    """When it is compiled, not when the first row comes."""
    with pytest.raises(BadView, match="'teleport'"):
        compiler({"f": Expr("teleport", "number", (A,))})


@pytest.mark.parametrize("name", ["a; import os", "class", "__import__('os')", ""])
def test_a_stored_field_name_can_never_become_code(name):
    """Names are identifiers or refused; constants are bound, not written."""
    with pytest.raises(BadView, match="field"):
        compile_row({"f": Expr("field", "number", param=name)})


def test_a_constant_text_is_data():
    """Quotes and newlines in it change nothing."""
    text = '"); raise SystemExit("'
    assert compile_row({"f": S + text}, mappings=True)({"s": ""}) == (text,)


def test_shared_parts_are_computed_once():
    """Forty doublings of one expression are forty operations, not a million million."""
    doubled = A
    for _ in range(40):
        doubled = doubled + doubled
    assert compile_row({"f": doubled}, mappings=True)({"a": 1.0}) == (2.0**40,)
