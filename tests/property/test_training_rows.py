"""Whatever comes: rows and labels are joined as a slow reading of the rules would, and nothing is lost uncounted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engines.training.dataset import join_labels, prepare_rows, split_by_time

T0 = datetime(2013, 1, 1, tzinfo=UTC)
UNTIL = 5
instants = st.integers(0, 8)
keys = st.sampled_from(["a", "b", "c"])
ids = st.sampled_from(["p0", "p1", "p2", "p9", None])
numbers = st.sampled_from([1.0, 2.0, None])
label_rows = st.lists(
    st.tuples(ids, st.one_of(keys, st.just("z"), st.none()), numbers, st.none() | instants), max_size=12
)
row_lists = st.lists(st.tuples(keys, st.none() | instants), min_size=1, max_size=3)


def at(n):
    return None if n is None else T0 + timedelta(hours=n)


def label_frame(values):
    schema = {"prediction_id": pl.String, "id": pl.String, "truth": pl.Float64, "known": pl.Datetime("us", "UTC")}
    return pl.DataFrame([(p, k, v, at(t)) for p, k, v, t in values], schema=schema, orient="row")


def row_frame(values):
    return pl.DataFrame(
        {"id": [key for key, _ in values], "prediction_id": [f"p{n}" for n in range(len(values))]},
        schema={"id": pl.String, "prediction_id": pl.String},
    )


def slow_join(values, found):
    """The rules, a row and a label at a time: what each row is labelled, and the fate of each label."""
    served = {f"p{n}" for n in range(len(values))}
    labelled, fates = [None] * len(values), {"unusable": 0, "future": 0, "orphaned": 0, "matched": 0}
    best = [None] * len(values)
    for prediction, key, value, known in found:
        if value is None or known is None or (prediction is None and key is None):
            fates["unusable"] += 1
            continue
        if known > UNTIL:
            fates["future"] += 1
            continue
        by_id = prediction in served
        rows = [n for n, (k, _) in enumerate(values) if (f"p{n}" == prediction if by_id else k == key)]
        fates["matched" if rows else "orphaned"] += 1
        for n in rows:
            if best[n] is None or (known, by_id, value) > best[n]:
                best[n], labelled[n] = (known, by_id, value), value
    return labelled, fates


@settings(max_examples=50)
@given(row_lists, label_rows)
def test_labels_join_as_the_rules_say(values, found):
    """The latest known no later than `until` wins; every label has one fate."""
    joined = join_labels(
        row_frame(values), label_frame(found), key="id", value="truth", known_at="known", until=at(UNTIL)
    )
    labelled, fates = slow_join(values, found)
    assert joined.frame["_label"].to_list() == labelled
    assert joined.frame["prediction_id"].to_list() == [f"p{n}" for n in range(len(values))]
    assert (joined.n_unusable, joined.n_future, joined.n_orphaned, joined.n_matched) == tuple(fates.values())
    assert joined.n_labelled + joined.n_unlabelled == len(values)
    assert sum(fates.values()) == joined.n_labels


@settings(max_examples=50)
@given(row_lists, label_rows, st.randoms(use_true_random=False))
def test_the_order_of_labels_never_matters(values, found, shuffle):
    """Two stores may return the same labels in different orders."""
    shuffled = list(found)
    shuffle.shuffle(shuffled)
    first, second = (
        join_labels(row_frame(values), label_frame(each), key="id", value="truth", known_at="known", until=at(UNTIL))
        for each in (found, shuffled)
    )
    assert first.frame.equals(second.frame)
    assert (first.n_duplicates, first.n_corrected) == (second.n_duplicates, second.n_corrected)


@settings(max_examples=50)
@given(row_lists, label_rows, st.integers(0, 8))
def test_labels_of_the_future_change_nothing(values, found, until):
    """As if they had never been there: planted labels leave no trace."""
    past = [each for each in found if each[3] is None or each[3] <= until]
    full, clean = (
        join_labels(row_frame(values), label_frame(each), key="id", value="truth", known_at="known", until=at(until))
        for each in (found, past)
    )
    assert full.frame.equals(clean.frame)


prepared_rows = st.lists(st.tuples(keys, st.none() | instants, instants, st.integers(0, 99)), max_size=8)


@settings(max_examples=50)
@given(prepared_rows, prepared_rows)
def test_prepared_rows_are_the_newest_of_each_key(history, captures):
    """By a slow reading: available last, a capture before history, the later before the earlier."""
    schema = {"id": pl.String, "at": pl.Datetime("us", "UTC"), "_available_at": pl.Datetime("us", "UTC"), "v": pl.Int64}
    frames = [
        pl.DataFrame([(k, at(t), at(a), v) for k, t, a, v in part], schema=schema, orient="row")
        for part in (history, captures)
    ]
    best = {}
    for origin, part in enumerate((history, captures)):
        for position, (key, instant, available, value) in enumerate(part):
            if instant is not None:
                rank = (available, origin, position)
                if key not in best or rank > best[key][0]:
                    best[key] = (rank, instant, value)
    prepared = prepare_rows(*frames, key=["id"], as_of_column="at")
    expected = sorted((instant, key, value) for key, (_, instant, value) in best.items())
    assert prepared.frame.select("at", "id", "v").rows() == [(at(t), key, value) for t, key, value in expected]
    n = prepared.frame.height + prepared.n_duplicates + prepared.n_incomplete
    assert n == prepared.n_history + prepared.n_captures == len(history) + len(captures)


@settings(max_examples=50)
@given(st.lists(instants, min_size=2, max_size=30).filter(lambda each: len(set(each)) > 1), st.floats(0.05, 0.95))
def test_a_split_loses_no_row_and_no_instant_is_on_both_sides(values, ratio):
    """Both sides have rows; no other border is nearer to the ratio."""
    train, valid = split_by_time(pl.DataFrame({"at": [at(n) for n in values]}), "at", ratio)
    assert train["at"].max() < valid["at"].min()
    assert sorted(train["at"].to_list() + valid["at"].to_list()) == sorted(at(n) for n in values)
    ordered = sorted(values)
    borders = [n for n in range(1, len(ordered)) if ordered[n] != ordered[n - 1]]
    wanted = len(values) * (1 - ratio)
    assert abs(train.height - wanted) == min(abs(border - wanted) for border in borders)
