"""The as-of join agrees with a brute-force reading of its definition, and never sees the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engines.features.point_in_time import as_of_join

START = datetime(2013, 1, 1, tzinfo=UTC)
TIMES = ("event", "known")
INSTANT = pl.Datetime("us", "UTC")
ROWS = {"k": pl.String, "i": pl.Int64, "t": INSTANT, "label": pl.Int64}
HISTORY = {"k": pl.String, "i": pl.Int64, "event": INSTANT, "known": INSTANT, "v": pl.Int64, "w": pl.String}

hours = st.integers(0, 8).map(lambda n: START + timedelta(hours=n))
keys = st.none() | st.sampled_from(["a", "b"])
numbers = st.none() | st.integers(0, 1)
history_rows = st.lists(
    st.fixed_dictionaries(
        {
            "k": keys,
            "i": numbers,
            "event": st.none() | hours,
            "known": st.none() | hours,
            "v": st.none() | st.integers(0, 2),
            "w": st.none() | st.sampled_from(["x", "y"]),
        }
    ),
    max_size=25,
)
asking_rows = st.lists(
    st.fixed_dictionaries({"k": keys, "i": numbers, "t": st.none() | hours, "label": st.integers(0, 9)}), max_size=8
)
ttls = st.none() | st.integers(1, 5).map(lambda n: timedelta(hours=n))


def _rank(row: dict) -> tuple:
    def nulls_first(value):
        return (value is not None, value)

    return row["event"], row["known"], nulls_first(row["v"]), nulls_first(row["w"])


def _oracle(row: dict, history: list[dict], on: list[str], ttl: timedelta | None) -> tuple:
    none = (None, None, None, None)
    if row["t"] is None or any(row[name] is None for name in on):
        return (*none, 1)
    mine = [
        past
        for past in history
        if all(past[name] == row[name] for name in on) and past["event"] is not None and past["known"] is not None
    ]
    seen = [past for past in mine if past["known"] <= row["t"]]
    if not seen:
        return (*none, 3 if mine else 1)
    best = max(seen, key=_rank)
    if ttl is not None and row["t"] - best["event"] > ttl:
        return (*none, 2)
    return best["event"], best["known"], best["v"], best["w"], 0


@settings(max_examples=150, deadline=None)
@given(rows=asking_rows, history=history_rows, ttl=ttls, on=st.sampled_from([["k"], ["k", "i"]]))
def test_each_row_gets_what_the_definition_says(rows, history, ttl, on):
    """Against a search of all pairs: nulls, duplicates, ties, corrections and late older events included."""
    frame, past = pl.DataFrame(rows, schema=ROWS), pl.DataFrame(history, schema=HISTORY)
    joined = as_of_join(frame, "t", past, on, TIMES, ttl)
    got = joined.select("event", "known", "v", "w", "_status").rows()
    assert got == [_oracle(row, history, on, ttl) for row in rows]


@settings(max_examples=50, deadline=None)
@given(rows=asking_rows, history=history_rows, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_history_means_nothing(rows, history, seed):
    """A compacted or rewritten table gives the same features."""
    frame, past = pl.DataFrame(rows, schema=ROWS), pl.DataFrame(history, schema=HISTORY)
    shuffled = list(history)
    seed.shuffle(shuffled)
    again = as_of_join(frame, "t", pl.DataFrame(shuffled, schema=HISTORY), "k", TIMES)
    columns = ["event", "known", "v", "w", "_status"]
    assert as_of_join(frame, "t", past, "k", TIMES).select(columns).equals(again.select(columns))


@settings(max_examples=50, deadline=None)
@given(rows=asking_rows, history=history_rows, planted=history_rows)
def test_planted_future_rows_change_nothing_that_was_fresh(rows, history, planted):
    """Rows that become known an hour after the last question are as good as absent."""
    future = [past | {"known": START + timedelta(hours=9)} for past in planted]
    frame = pl.DataFrame(rows, schema=ROWS)
    before = as_of_join(frame, "t", pl.DataFrame(history, schema=HISTORY), "k", TIMES)
    after = as_of_join(frame, "t", pl.DataFrame(history + future, schema=HISTORY), "k", TIMES)
    assert after.select("event", "known", "v", "w").equals(before.select("event", "known", "v", "w"))
