"""What a training set is, in a few numbers, and a digest that says whether two are the same.

The digest is over names, types, nulls and values, not over a file format: Arrow and Parquet bytes
change with the version of their writer, and leave whatever was in memory under a null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from perdure.core.canonical import canonical_json, plain
from perdure.core.errors import BadSource
from perdure.core.ids import Digest


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """A prepared dataset as its lineage keeps it."""

    digest: Digest
    n_rows: int
    start_at: datetime | None
    end_at: datetime | None
    """First and last as-of instant; None when there is no row."""
    null_ratios: Mapping[str, float]
    """Column → share of rows without a value, NaN included, 0 to 1."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What became of the rows and labels it was made from."""

    def as_dict(self) -> dict[str, Any]:
        """The card as JSON-compatible data."""
        data: dict[str, Any] = plain(self)
        return data


def describe(frame: pl.DataFrame, as_of_column: str, counts: Mapping[str, int] | None = None) -> DatasetCard:
    """The card of a dataset. Cost: one pass, about 0.1 s for 300,000 rows of ten columns."""
    instants = frame[as_of_column]
    n = max(frame.height, 1)
    return DatasetCard(
        digest=frame_digest(frame),
        n_rows=frame.height,
        start_at=instants.min(),  # type: ignore[arg-type]  # a column of instants: its extremes are instants
        end_at=instants.max(),  # type: ignore[arg-type]
        null_ratios={column.name: _n_missing(column) / n for column in frame},
        counts=dict(counts or {}),
    )


def _n_missing(column: pl.Series) -> int:
    n_nan = int(column.is_nan().sum() or 0) if column.dtype.is_float() else 0
    return column.null_count() + n_nan


def frame_digest(frame: pl.DataFrame) -> Digest:
    """SHA-256 over the frame's content: columns by name, each with its type, nulls and values in row order.

    The order of columns does not matter, the order of rows does. Every NaN counts as the same NaN.

    >>> a = pl.DataFrame({"x": [1, None], "y": ["a", "b"]})
    >>> frame_digest(a) == frame_digest(a.select("y", "x")), frame_digest(a) == frame_digest(a.reverse())
    (True, False)

    Raises:
        BadSource: a column is of a type without a canonical form.
    """
    digest = hashlib.sha256(f"{frame.height}\n".encode())
    for name in sorted(frame.columns):
        column = frame[name]
        digest.update(canonical_json([name, str(column.dtype)]))
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        digest.update(_values(column))
    return Digest(digest.hexdigest())


def _values(column: pl.Series) -> bytes:
    kind = column.dtype
    if kind.is_float():
        numbers = column.cast(pl.Float64).fill_null(0.0).to_numpy()
        return np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes()
    if kind == pl.Boolean:
        return np.packbits(column.fill_null(value=False).to_numpy()).tobytes()
    if kind.is_integer() or kind.is_temporal():
        return column.to_physical().fill_null(0).to_numpy().tobytes()
    if kind in (pl.String, pl.Categorical, pl.Enum):
        texts = column.cast(pl.String).fill_null("")
        return _lengths(texts.str.len_bytes()) + (texts.str.join("").item() or "").encode()
    if kind == pl.Binary:
        filled = column.fill_null(b"")
        return _lengths(filled.bin.size()) + b"".join(filled.to_list())
    if kind == pl.Null:
        return b""
    if kind.is_nested():
        return canonical_json(column.to_list())
    raise BadSource(f"Column {column.name!r} is of type {kind}, which has no digest.", hint="Cast it first.")


def _lengths(n_bytes: pl.Series) -> bytes:
    return n_bytes.to_numpy().astype("<i8").tobytes()
