"""One definition of features gives the same float32 and the same category on a frame and on a row."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.assets.expressions import Expr, from_json, when
from perdure.core.canonical import canonical_json
from perdure.engines.features.frames import compile_frame
from perdure.engines.features.rows import compile_row

SCHEMA = {
    "a": pl.Float64,
    "b": pl.Float64,
    "n": pl.Int64,
    "p": pl.Boolean,
    "q": pl.Boolean,
    "s": pl.String,
    "u": pl.String,
    "at": pl.Datetime("us", "UTC"),
    "to": pl.Datetime("us", "UTC"),
}
TYPES = {"a": "number", "b": "number", "n": "number", "p": "bool", "q": "bool", "s": "text", "u": "text"}
TYPES |= {"at": "instant", "to": "instant"}
FIELDS = {name: Expr("field", type_, param=name) for name, type_ in TYPES.items()}

EXTREMES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -2.5,
    30.0,
    1e-320,
    3.4e38,
    -3.4028236e38,
    1.7e308,
    1e16 + 2.0,
    2.0**52,
]
floats = st.one_of(st.sampled_from(EXTREMES), st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e3, 1e3))
ints = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-40, 40))
texts = st.one_of(st.sampled_from(["", "JFK", "jfk", "İ", "ΑΣ", "ß", "a\x1fb"]), st.text(max_size=4))
instants = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(datetime(2012, 1, 1), datetime(2014, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([datetime(2012, 2, 29, tzinfo=UTC), datetime(2013, 12, 31, 23, 59, 59, 999999, UTC)]),
)
rows = st.fixed_dictionaries(
    {
        "a": st.none() | floats,
        "b": st.none() | floats,
        "n": st.none() | ints,
        "p": st.none() | st.booleans(),
        "q": st.none() | st.booleans(),
        "s": st.none() | texts,
        "u": st.none() | texts,
        "at": st.none() | instants,
        "to": st.none() | instants,
    }
)


def _numbers(inner):
    number, truth, text, instant = inner["number"], inner["bool"], inner["text"], inner["instant"]
    return st.one_of(
        st.builds(lambda x, y, f: f(x, y), number, number | floats, st.sampled_from(_ARITHMETIC)),
        st.builds(lambda x, y: y / x, number, floats),
        st.builds(lambda x, f: f(x), number, st.sampled_from(_FUNCTIONS)),
        st.builds(lambda x, digits: x.round(digits), number, st.integers(0, 15)),
        st.builds(lambda x, low, up: x.clip(min(low, up), max(low, up)), number, floats, floats),
        st.builds(lambda x, y: x.fill_null(y), number, number | floats),
        st.builds(when, truth, number, number | floats | st.none()),
        st.builds(lambda x, y: x + y, truth, truth),
        st.builds(lambda at, f: f(at), instant, st.sampled_from(_PARTS)),
        st.builds(lambda x: x.length(), text),
    )


def _truths(inner):
    number, truth, text, instant = inner["number"], inner["bool"], inner["text"], inner["instant"]
    same = st.one_of(
        st.tuples(number, number | floats),
        st.tuples(text, text | texts),
        st.tuples(instant, instant | instants),
        st.tuples(truth, truth),
    )
    return st.one_of(
        st.builds(lambda pair, f: f(*pair), same, st.sampled_from(_COMPARISONS)),
        st.builds(lambda x, y, f: f(x, y), truth, truth, st.sampled_from([Expr.__and__, Expr.__or__])),
        st.builds(lambda x: ~x, truth),
        st.builds(lambda x: x.is_null(), number | truth | text | instant),
        st.builds(lambda x, low, up: x.between(low, up), number, floats, floats),
        st.builds(lambda x, among: x.is_in(among), number, st.lists(floats, max_size=3)),
        st.builds(lambda x, among: x.is_in(among), text, st.lists(texts, max_size=3)),
        st.builds(lambda x, y: x.fill_null(y), truth, st.booleans()),
    )


def _texts(inner):
    return st.one_of(
        st.builds(lambda x, y: x + y, inner["text"], inner["text"] | texts),
        st.builds(lambda x: x.lower(), inner["text"]),
        st.builds(when, inner["bool"], inner["text"], inner["text"] | texts | st.none()),
        st.builds(lambda x, y: x.fill_null(y), inner["text"], inner["text"] | texts),
    )


_ARITHMETIC = [
    Expr.__add__,
    Expr.__sub__,
    Expr.__mul__,
    Expr.__truediv__,
    Expr.__floordiv__,
    Expr.__mod__,
    Expr.__pow__,
]
_COMPARISONS = [Expr.__eq__, Expr.__ne__, Expr.__lt__, Expr.__le__, Expr.__gt__, Expr.__ge__]
_FUNCTIONS = [Expr.__neg__, Expr.__abs__, Expr.log1p, Expr.sqrt, Expr.sin, Expr.cos, Expr.floor]
_PARTS = [Expr.hour, Expr.weekday, Expr.month, Expr.day_of_year, Expr.timestamp_s]


def _layered(depth: int):
    layer = {
        kind: st.sampled_from([field for field in FIELDS.values() if field.type == kind])
        for kind in ("number", "bool", "text", "instant")
    }
    for _ in range(depth):
        layer = {
            "number": layer["number"] | _numbers(layer),
            "bool": layer["bool"] | _truths(layer),
            "text": layer["text"] | _texts(layer),
            "instant": layer["instant"],
        }
    return layer["number"] | layer["bool"] | layer["text"]


expressions = st.lists(_layered(3), min_size=1, max_size=4)


def _bits(column: pl.Series) -> list[object]:
    if column.dtype == pl.String:
        return column.to_list()
    return column.cast(pl.Float64).to_numpy().astype(np.float32).view(np.uint32).tolist()


@settings(max_examples=150, deadline=None)
@given(exprs=expressions, data=st.lists(rows, max_size=5))
def test_a_frame_and_single_rows_give_the_same_bits(exprs, data):
    """Random expressions over random rows, with nulls and extremes."""
    named = {f"f{at}": expr for at, expr in enumerate(exprs)}
    framed = compile_frame(named)(pl.DataFrame(data, schema=SCHEMA))
    single = compile_row(named, mappings=True)
    by_row = pl.DataFrame([single(row) for row in data], schema=framed.schema, orient="row")
    for name, expr in named.items():
        assert _bits(framed[name]) == _bits(by_row[name]), expr


@settings(max_examples=30, deadline=None)
@given(exprs=expressions, data=st.lists(rows, min_size=1, max_size=3))
def test_json_keeps_what_an_expression_computes(exprs, data):
    """What a version pins as canonical JSON computes the same as what was declared."""
    named = {f"f{at}": expr for at, expr in enumerate(exprs)}
    stored = {name: from_json(json.loads(canonical_json(expr.as_json()))) for name, expr in named.items()}
    before, after = compile_row(named, mappings=True), compile_row(stored, mappings=True)
    assert [repr(before(row)) for row in data] == [repr(after(row)) for row in data]


@settings(max_examples=30, deadline=None)
@given(exprs=expressions, data=st.lists(rows, min_size=2, max_size=6))
def test_a_row_is_computed_alike_alone_and_among_others(exprs, data):
    """No operation may depend on how many rows a frame has."""
    run = compile_frame({f"f{at}": expr for at, expr in enumerate(exprs)})
    frame = pl.DataFrame(data, schema=SCHEMA)
    alone = pl.concat([run(frame.slice(at, 1)) for at in range(len(data))])
    assert alone.equals(run(frame), null_equal=True)
