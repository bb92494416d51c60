"""Training rows: history and captures become one set of rows, each with its label, split by time.

`loop.work` calls `prepare_rows`, `join_labels` and `split_by_time` in this order, with frames from the
lake. Nothing is dropped unseen: every row or label that is not used is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from perdure.core.errors import BadModel, BadSource, nearest

AVAILABLE_AT = "_available_at"
ORIGIN = "_origin"
LABEL = "_label"
LABEL_KNOWN_AT = "_label_known_at"
PREDICTION_ID = "prediction_id"


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRows:
    """Rows of history and captures, one a key, in order of their as-of instant.

    `frame` has the columns of both, `_available_at` and `_origin` (`history` or `capture`).
    `n_history + n_captures == n_incomplete + n_duplicates + frame.height`.
    """

    frame: pl.DataFrame
    n_history: int
    n_captures: int
    n_incomplete: int
    """Rows without a key or an as-of instant: they can be neither told apart nor placed in time."""
    n_duplicates: int
    """Rows that gave way to one of the same key that became available later."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelJoin:
    """Rows with `_label` (float64, null where unknown) and `_label_known_at`; and what became of the labels.

    `n_labels == n_unusable + n_future + n_orphaned + n_matched`.
    """

    frame: pl.DataFrame
    n_labelled: int
    n_unlabelled: int
    n_labels: int
    n_unusable: int
    """Labels without a number, an instant, or anything to join by."""
    n_future: int
    """Labels that were not known yet at `until`: never used."""
    n_orphaned: int
    """Labels of no row."""
    n_matched: int
    n_duplicates: int
    """Labels that repeat the value known before."""
    n_corrected: int
    """Labels that replace another value known before."""
    n_early: int
    """Rows whose label was known before the row itself was available: worth a look, the label may leak."""


def prepare_rows(
    history: pl.DataFrame, captures: pl.DataFrame | None, *, key: Sequence[str], as_of_column: str
) -> PreparedRows:
    """The union of history and captures, one row a key: the one that became available last.

    Where two became available at the same instant the capture wins over history, and a later row of
    a frame over an earlier one. A column that only one of the frames has keeps its value when a row
    of the other wins, so a prediction id is not lost to a later batch.

    Args:
        history: rows of the model's source; without `_available_at` the as-of instant stands in.
        captures: rows that were served, in the same columns and possibly more; None: there are none.
        key: columns that identify a row.
        as_of_column: the instant at which a row is predicted; the result is sorted by it.

    Raises:
        BadSource: a column is missing, or the frames disagree on a type.
    Cost: O(n log n); about 0.2 s for 300,000 rows of ten columns.
    """
    keys = list(key)
    parts = [_part(history, "history", keys, as_of_column)]
    if captures is not None:
        parts.append(_part(captures, "capture", keys, as_of_column))
    try:
        union = pl.concat(parts, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise BadSource(
            f"History and captures cannot be put together: {error}.", hint="Let both follow the model's contract."
        ) from error
    complete = union.drop_nulls([*keys, as_of_column])
    ordered = complete.sort([*keys, AVAILABLE_AT], maintain_order=True)
    kept = (
        ordered.with_columns(_carried(parts, keys))
        .unique(subset=keys, keep="last", maintain_order=True)
        .sort([as_of_column, *keys], maintain_order=True)
    )
    return PreparedRows(
        kept,
        n_history=history.height,
        n_captures=0 if captures is None else captures.height,
        n_incomplete=union.height - complete.height,
        n_duplicates=complete.height - kept.height,
    )


def _part(frame: pl.DataFrame, origin: str, keys: list[str], as_of_column: str) -> pl.DataFrame:
    _check_columns(frame, [*keys, as_of_column], origin)
    available = pl.col(AVAILABLE_AT) if AVAILABLE_AT in frame.columns else pl.lit(None)
    return frame.with_columns(
        pl.coalesce(available, pl.col(as_of_column)).alias(AVAILABLE_AT), pl.lit(origin).alias(ORIGIN)
    )


def _carried(parts: list[pl.DataFrame], keys: list[str]) -> list[pl.Expr]:
    """For each column that one frame lacks: in rows of that frame, the newest value known for the key."""
    carried = []
    for part, other in zip(parts, reversed(parts), strict=True):
        if part.is_empty():
            continue  # no row is of that frame
        origin = part[ORIGIN].first()
        for column in other.columns:
            if column not in part.columns:
                known = pl.col(column).forward_fill().over(keys)
                carried.append(pl.when(pl.col(ORIGIN) == origin).then(known).otherwise(pl.col(column)).alias(column))
    return carried


def _check_columns(frame: pl.DataFrame, needed: Iterable[str], what: str) -> None:
    for column in needed:
        if column not in frame.columns:
            near = nearest(column, frame.columns)
            raise BadSource(
                f"The {what} rows have no column {column!r}.",
                hint=f"Did you mean {near!r}?" if near else f"They have {', '.join(frame.columns)}.",
            )


def join_labels(
    rows: pl.DataFrame, labels: pl.DataFrame, *, key: str, value: str, known_at: str, until: datetime
) -> LabelJoin:
    """Each row with the label that was known last, no later than `until`.

    A label joins by `prediction_id` where both frames have that column and a row has that id, else by
    `key`. Of labels known at the same instant the one by prediction id wins, then the greater value,
    so the order of the labels never matters. The rows keep their order.

    Args:
        rows: has `key`, possibly `prediction_id` and `_available_at`.
        labels: has `key` or `prediction_id` or both, `value` and `known_at`.
        key: column of both frames; compared as text where its types differ.
        value: column of the label's number; true counts as 1.
        known_at: column with the instant from which a label could be known.
        until: labels known later are not there yet.

    Raises:
        BadSource: a column is missing, or `value` is no number.
    """
    _check_columns(rows, [key], "training")
    _check_columns(labels, [value, known_at], "label")
    if PREDICTION_ID not in labels.columns:
        _check_columns(labels, [key], "label")
    numbered = rows.drop(LABEL, LABEL_KNOWN_AT, strict=False).with_row_index("_row")
    clean = _clean_labels(labels, key, value, known_at, numbered.schema[key])
    usable = clean.filter(pl.col("known") <= until)
    matches = _matches(numbered, usable, key)
    winners = (
        matches.sort(["_row", "known", "by_id", "value"])
        .unique(subset="_row", keep="last", maintain_order=True)
        .select("_row", pl.col("value").alias(LABEL), pl.col("known").alias(LABEL_KNOWN_AT))
    )
    frame = numbered.join(winners, on="_row", how="left", maintain_order="left").drop("_row")
    n_labelled = winners.height
    n_matched = matches["label"].n_unique()
    n_duplicates, n_corrected = _repeats(usable, matches)
    return LabelJoin(
        frame,
        n_labelled=n_labelled,
        n_unlabelled=rows.height - n_labelled,
        n_labels=labels.height,
        n_unusable=labels.height - clean.height,
        n_future=clean.height - usable.height,
        n_orphaned=usable.height - n_matched,
        n_matched=n_matched,
        n_duplicates=n_duplicates,
        n_corrected=n_corrected,
        n_early=_count_early(frame),
    )


def _clean_labels(labels: pl.DataFrame, key: str, value: str, known_at: str, key_type: pl.DataType) -> pl.DataFrame:
    """Labels that can be used, as columns label (their number), id, key, value, known."""
    nothing = pl.lit(None, dtype=pl.String)
    by_id = pl.col(PREDICTION_ID).cast(pl.String) if PREDICTION_ID in labels.columns else nothing
    by_key = pl.col(key).cast(pl.String) if key in labels.columns else pl.lit(None, dtype=pl.String)
    if key in labels.columns and labels.schema[key] == key_type:
        by_key = pl.col(key)
    try:
        plain = labels.with_row_index("label").select(
            "label", id=by_id, key=by_key, value=pl.col(value).cast(pl.Float64), known=pl.col(known_at)
        )
    except pl.exceptions.PolarsError as error:
        raise BadSource(f"The label column {value!r} is no number: {error}.", hint="Name a numeric field.") from error
    return plain.filter(
        pl.col("value").is_finite()
        & pl.col("known").is_not_null()
        & (pl.col("id").is_not_null() | pl.col("key").is_not_null())
    )


def _matches(rows: pl.DataFrame, labels: pl.DataFrame, key: str) -> pl.DataFrame:
    """Every pair of a row and a label of it: _row, label, known, by_id, value."""
    columns = ["_row", "label", "known", "by_id", "value"]
    found = labels.clear().with_columns(pl.lit(None, dtype=pl.UInt32).alias("_row"))
    if PREDICTION_ID in rows.columns:
        ids = rows.select("_row", id=pl.col(PREDICTION_ID).cast(pl.String))
        found = labels.join(ids, on="id", how="inner")
    rest = labels.join(found.select("label"), on="label", how="anti")
    row_key = pl.col(key) if rows.schema[key] == labels.schema["key"] else pl.col(key).cast(pl.String)
    by_key = rest.join(rows.select("_row", key=row_key), on="key", how="inner")
    return pl.concat(
        [
            found.with_columns(by_id=pl.lit(1, dtype=pl.Int8)).select(columns),
            by_key.with_columns(by_id=pl.lit(0, dtype=pl.Int8)).select(columns),
        ],
        how="vertical_relaxed",
    )


def _repeats(labels: pl.DataFrame, matches: pl.DataFrame) -> tuple[int, int]:
    """How many labels repeat, and how many change, the value known before for the same target."""
    with_id = matches.filter(pl.col("by_id") == 1).select("label").unique()
    by_id = labels.join(with_id, on="label", how="semi").select("label", "known", "value", target=pl.col("id"))
    by_key = labels.join(with_id, on="label", how="anti").select(
        "label",
        "known",
        "value",
        target=pl.coalesce(pl.col("key").cast(pl.String), pl.col("id")),
    )
    n_duplicates = n_corrected = 0
    for part in (by_id, by_key):
        ordered = part.sort(["target", "known", "value"])
        again = pl.col("target") == pl.col("target").shift(1)
        equal = pl.col("value") == pl.col("value").shift(1)
        counts = ordered.select(same=(again & equal).sum(), other=(again & ~equal).sum())
        n_duplicates += int(counts["same"][0])
        n_corrected += int(counts["other"][0])
    return n_duplicates, n_corrected


def _count_early(frame: pl.DataFrame) -> int:
    if AVAILABLE_AT not in frame.columns:
        return 0
    return int(frame.select((pl.col(LABEL_KNOWN_AT) < pl.col(AVAILABLE_AT)).sum()).item())


def split_by_time(
    frame: pl.DataFrame, as_of_column: str, valid_ratio: float = 0.15
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Older rows to train on, newer ones to validate on; no instant is on both sides.

    The border is the one between two instants that comes nearest to `valid_ratio`.

    >>> days = pl.DataFrame({"day": [1, 1, 2, 3, 3]})
    >>> [part["day"].to_list() for part in split_by_time(days, "day", 0.3)]
    [[1, 1, 2], [3, 3]]

    Raises:
        BadModel: fewer than two instants, or a ratio that is not between 0 and 1.
    """
    if not 0.0 < valid_ratio < 1.0:
        raise BadModel(f"A validation share of {valid_ratio!r} means nothing.", hint="Use 0 to 1, such as 0.15.")
    _check_columns(frame, [as_of_column], "training")
    ordered = frame.sort(as_of_column, maintain_order=True)
    instants = ordered[as_of_column]
    borders = (instants != instants.shift(1)).fill_null(value=False).arg_true()
    if borders.is_empty():
        raise BadModel(
            f"The {frame.height} rows lie at one instant of {as_of_column!r}, so there is no newer part to validate on.",
            hint="Give rows of at least two instants.",
        )
    wanted = frame.height * (1.0 - valid_ratio)
    border = int(borders[int((borders.cast(pl.Float64) - wanted).abs().arg_min() or 0)])
    return ordered[:border], ordered[border:]
