"""Reads what was served and what came true: captures of a window, labels, and both joined.

Labels come from two places, requests (`labels/<model>`) and the label's own source, and count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.model import Label
from perdure.core.units import days
from perdure.engines.training.dataset import LabelJoin, join_labels
from perdure.loop.intake import table_of
from perdure.loop.work.feed import INSTANT
from perdure.stores.lake.protocols import Lake, Span

EARLY = days(30)
"""A label that was known so long before a prediction is taken for one of an earlier use of the key."""
LABEL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "prediction_id": pl.String,
    "key": pl.String,
    "value": pl.Float64,
    "known_at": INSTANT,
}

_SERVED_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "prediction_id": pl.String,
    "key": pl.String,
    "served_at": INSTANT,
    "prediction": pl.Float64,
}


def captures_table(model: str) -> str:
    """The lake table of a model's answered rows."""
    return f"captures/{model}"


def labels_table(model: str) -> str:
    """The lake table of the labels that came by requests."""
    return f"labels/{model}"


def read_captures(
    lake: Lake, model: str, start: datetime | None, end: datetime | None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows served in `[start, end)`, shadows left out, by time and prediction id; no rows when nothing was captured."""
    if lake.version(captures_table(model)) is None:
        return pl.DataFrame()
    wanted = None if columns is None else sorted({*columns, "arm", "served_at", "prediction_id"})
    rows = lake.read(captures_table(model), columns=wanted, span=Span("served_at", start, end))
    return rows.filter(pl.col("arm") != "shadow").sort("served_at", "prediction_id")


def read_labels(lake: Lake, model: str, label: Label, start: datetime | None, end: datetime) -> pl.DataFrame:
    """Labels that became known in `[start, end]`: prediction_id, key, value, known_at."""
    until = end + timedelta(microseconds=1)
    parts = [read_posted_labels(lake, model, start, end)]
    if lake.version(table_of(label.source.name)) is not None:
        on_file = lake.read(table_of(label.source.name), span=Span("_available_at", start, until))
        parts.append(
            on_file.select(
                prediction_id=pl.lit(None, pl.String),
                key=pl.col(label.key).cast(pl.String),
                value=pl.col(label.column).cast(pl.Float64),
                known_at=pl.col(label.known_at).cast(INSTANT),
            )
        )
    return pl.concat(parts).filter(pl.col("known_at") <= end)


def read_posted_labels(lake: Lake, model: str, start: datetime | None, end: datetime) -> pl.DataFrame:
    """The labels among them that came by requests."""
    if lake.version(labels_table(model)) is None:
        return pl.DataFrame(schema=LABEL_SCHEMA)
    span = Span("known_at", start, end + timedelta(microseconds=1))
    return lake.read(labels_table(model), columns=list(LABEL_SCHEMA), span=span).select(list(LABEL_SCHEMA))


def read_outcomes(
    lake: Lake, model: str, label: Label, window: tuple[datetime | None, datetime], known_until: datetime
) -> LabelJoin:
    """Predictions served in the window joined with the newest label known by `known_until`.

    A label may be known before its prediction: by up to `EARLY`, which costs no more to read than the window.
    """
    start, end = window
    served = read_captures(lake, model, start, end, ["key", "version", "prediction", "row"])
    labels = read_labels(lake, model, label, None if start is None else start - EARLY, known_until)
    if served.is_empty():
        served = pl.DataFrame(schema=_SERVED_SCHEMA)
    return join_labels(served, labels, key="key", value="value", known_at="known_at", until=known_until)


def field_of_row(field: str) -> pl.Expr:
    """A field of the captured request row, as text; null where it is missing."""
    return pl.col("row").str.json_path_match(f"$.{field}")


def feature_matrix(features: pl.Series) -> NDArray[np.float32]:
    """Captured vectors as one array, shape (n, d), float32."""
    n_rows = len(features)
    if n_rows == 0:
        return np.empty((0, 0), dtype=np.float32)
    flat = features.explode().cast(pl.Float32).fill_null(float("nan")).to_numpy()
    return np.ascontiguousarray(flat, dtype=np.float32).reshape(n_rows, -1)
