"""Rows → profile. Training profiles its rows once; observing counts each window against that.

Numeric and boolean columns become float32, as models see them. Text and categories are counted by
value. Instants, lists and structs are left out: a clock always moves, and nesting has no order;
profile what is derived from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import DeclarationError, nearest
from perdure.core.stats.columns import Column, NumericColumn, Profile, merge_columns, numeric_column
from perdure.engines.profile.categories import category_column, code_counts, on_labels, text_counts

if TYPE_CHECKING:
    import polars as pl

_LIKE_NUMBERS = ("Boolean", "Null")
_LIKE_TEXT = ("String",)
_ROWS_AT_ONCE = 1 << 16
"""Rows transposed at once: 256 kB a column stay in the processor's cache while they are sorted."""


def build_profile(
    data: pl.DataFrame | NDArray[np.float32],
    names: Sequence[str] | None = None,
    *,
    reference: Profile | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
) -> Profile:
    """The profile of a window of rows.

    Without a reference each column chooses its own grid, and the profile can be a reference for
    others. With one, columns are counted on its grids, and what it does not have is left out.

    Args:
        data: a frame, or an array of shape (n, d), float32, NaN for missing.
        names: of an array's columns; a frame has its own.
        reference: the profile to be compared with or merged with.
        categories: labels by code of columns that hold codes 0, 1, …; a reference remembers them.

    Raises:
        DeclarationError: names and columns do not match, or a column of the reference is missing.

    Cost: 1e6 rows x 50 float columns against a reference 0.3 CPU seconds, to make one 0.8.

    >>> reference = build_profile(np.arange(600, dtype=np.float32).reshape(300, 2), ["a", "b"])
    >>> window = build_profile(np.full((3, 2), 7, dtype=np.float32), ["a", "b"], reference=reference)
    >>> window.n_rows, window.columns["a"].mean
    (3, 7.0)
    """
    codes = {name: tuple(labels) for name, labels in (categories or {}).items()}
    if isinstance(data, np.ndarray):
        return _of_array(data, names, reference, codes)
    if names is not None:
        data = data.select(names)
    return _of_frame(data, reference, codes)


def _of_array(
    data: NDArray[np.float32], names: Sequence[str] | None, reference: Profile | None, codes: dict[str, tuple[str, ...]]
) -> Profile:
    if names is None or data.ndim != 2 or data.shape[1] != len(names):
        raise DeclarationError(
            f"An array of shape {data.shape} needs a name for each column, not {names!r}.",
            hint="Pass names=[...] in the order of the columns.",
        )
    at = {name: position for position, name in enumerate(names)}
    if reference is None:
        columns = {name: _float_column(np.ascontiguousarray(data[:, i]), codes.get(name, ())) for name, i in at.items()}
        return Profile(len(data), columns)
    wanted = [_position(name, at) for name in reference.columns]
    parts = [_block(data[start : start + _ROWS_AT_ONCE], wanted, reference) for start in _starts(len(data))]
    return Profile(len(data), {name: _merged(name, [part[name] for part in parts]) for name in reference.columns})


def _starts(n: int) -> range:
    return range(0, max(n, 1), _ROWS_AT_ONCE)


def _block(rows: NDArray[np.float32], wanted: list[int], reference: Profile) -> dict[str, Column]:
    by_column = np.ascontiguousarray(rows.T, dtype=np.float32)
    return {
        name: _against(known, by_column[position])
        for position, (name, known) in zip(wanted, reference.columns.items(), strict=True)
    }


def _merged(name: str, parts: list[Column]) -> Column:
    merged = parts[0]
    for part in parts[1:]:
        merged = merge_columns(name, merged, part)
    return merged


def _of_frame(data: pl.DataFrame, reference: Profile | None, codes: dict[str, tuple[str, ...]]) -> Profile:
    if reference is None:
        own = {series.name: _own_column(series, codes.get(series.name, ())) for series in data.iter_columns()}
        return Profile(data.height, {name: column for name, column in own.items() if column is not None})
    at = {name: position for position, name in enumerate(data.columns)}
    columns = {
        name: _series_against(known, data.to_series(_position(name, at))) for name, known in reference.columns.items()
    }
    return Profile(data.height, columns)


def _position(name: str, at: Mapping[str, int]) -> int:
    if name not in at:
        near = nearest(name, at)
        raise DeclarationError(
            f"The reference profile has a column {name!r}, which the rows lack.",
            hint=f"Did you mean {near!r}?" if near else f"They have {', '.join(at)}.",
        )
    return at[name]


def _own_column(series: pl.Series, codes: tuple[str, ...]) -> Column | None:
    kind = str(series.dtype)
    if series.dtype.is_numeric() or kind in _LIKE_NUMBERS:
        return _float_column(_floats(series), codes)
    if kind in _LIKE_TEXT or kind.startswith(("Enum", "Categorical")):
        return category_column(text_counts(series), series.null_count())
    return None


def _float_column(values: NDArray[np.float32], codes: tuple[str, ...]) -> Column:
    if not codes:
        return numeric_column(values)
    counts, n_null = code_counts(values, codes)
    return category_column(counts, n_null, codes)


def _series_against(known: Column, series: pl.Series) -> Column:
    if isinstance(known, NumericColumn) or known.codes:
        return _against(known, _floats(series))
    return on_labels(known, text_counts(series), series.null_count())


def _against(known: Column, values: NDArray[np.float32]) -> Column:
    if isinstance(known, NumericColumn):
        return numeric_column(values, known.grid)
    return on_labels(known, *code_counts(values, known.codes))


def _floats(series: pl.Series) -> NDArray[np.float32]:
    """The series as float32; what is no number is missing, so that a feed that turned to text shows."""
    import polars as pl

    floats: NDArray[np.float32] = series.cast(pl.Float32, strict=False).to_numpy()
    return floats
