"""Columns as they come → the types of a contract, without loss; and values back to JSON.

A column's type is only the container its values came in: whole numbers in a float column (pandas
does so where one is missing) or numbers as text (CSV) become the integers that a request would
carry. What would lose something on the way becomes null here and is judged by Pydantic as it came.

Used by `frames`. What surprised us: polars holds dates outside of Python's years 1 to 9999 and
panics or raises when it writes them, so every conversion is guarded by the physical integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from perdure.assets.fields import FieldSpec

INSTANT = pl.Datetime("us", "UTC")
_DTYPES: Mapping[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "datetime": INSTANT,
    "date": pl.Date(),
    "literal": pl.String(),
    "enum": pl.String(),
}
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31 in days since 1970
_PER_DAY: Mapping[str, int] = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_EXACT_FLOAT = 2.0**53
# Digits are spelled out: \d also means those of other scripts, which the parsers below refuse.
_ISO_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][01][0-9]:[0-5][0-9])$"
_ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def dtype_of(spec: FieldSpec) -> pl.DataType:
    """The type of a field's column, the same everywhere: lake, joins, features."""
    return _DTYPES[spec.type]


def typed(spec: FieldSpec, came: pl.DataType) -> pl.Expr:
    """The column of that name, which came as `came`, in its field's type; null where that would lose."""
    column = pl.col(spec.name)
    nothing = pl.lit(None, dtype=dtype_of(spec))
    if isinstance(came, pl.Null):
        return column.cast(dtype_of(spec))
    if spec.type == "int":
        made = _to_int(column, came)
    elif spec.type == "float":
        made = _to_float(column, came)
    elif spec.type == "bool":
        made = _to_bool(column, came)
    elif spec.type == "datetime":
        made = _to_instant(column, came)
    elif spec.type == "date":
        made = _to_date(column, came)
    else:
        made = column.cast(pl.String) if isinstance(came, pl.String | pl.Categorical | pl.Enum) else None
    # `repeat`, because a literal alone has length one.
    return pl.repeat(None, pl.len(), dtype=dtype_of(spec)) if made is None else pl.coalesce(made, nothing)


def _to_int(column: pl.Expr, came: pl.DataType) -> pl.Expr | None:
    if came.is_integer():
        return column.cast(pl.Int64, strict=False)
    if isinstance(came, pl.Decimal) and came.scale == 0:
        return column.cast(pl.Int128).cast(pl.Int64, strict=False)
    if came.is_float():
        return _whole(column.cast(pl.Float64), below=2.0**63)
    if isinstance(came, pl.String):
        # Text like "12.0" goes through a float, so only as far as floats tell all integers apart.
        return pl.coalesce(
            column.cast(pl.Int64, strict=False), _whole(column.cast(pl.Float64, strict=False), below=_EXACT_FLOAT)
        )
    return None


def _whole(column: pl.Expr, *, below: float) -> pl.Expr:
    whole = (column.floor() == column) & (column >= -below) & (column < below)
    return pl.when(whole).then(column).cast(pl.Int64, strict=False)


def _to_float(column: pl.Expr, came: pl.DataType) -> pl.Expr | None:
    return column.cast(pl.Float64, strict=False) if came.is_numeric() or isinstance(came, pl.String) else None


def _to_bool(column: pl.Expr, came: pl.DataType) -> pl.Expr | None:
    if isinstance(came, pl.Boolean):
        return column
    if isinstance(came, pl.String):
        lower = column.str.to_lowercase()
        return pl.when(lower.is_in(["true", "false"])).then(lower == "true")
    return None


def _to_instant(column: pl.Expr, came: pl.DataType) -> pl.Expr | None:
    if isinstance(came, pl.Datetime) and came.time_zone is not None:
        # From nanoseconds the cast cuts towards the past, as Pydantic cuts digits below a microsecond.
        return pl.when(inside_years(column, came)).then(column.dt.convert_time_zone("UTC").cast(INSTANT))
    if isinstance(came, pl.String):
        read = column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
        return pl.when(column.str.contains(_ISO_INSTANT) & inside_years(read, INSTANT)).then(read)
    return None


def _to_date(column: pl.Expr, came: pl.DataType) -> pl.Expr | None:
    if isinstance(came, pl.Date):
        return pl.when(inside_years(column, came)).then(column)
    if isinstance(came, pl.Datetime) and came.time_zone is None:
        midnight = column.to_physical() % _PER_DAY[came.time_unit] == 0
        return pl.when(midnight & inside_years(column, came)).then(column.cast(pl.Date))
    if isinstance(came, pl.String):
        read = column.str.to_date("%Y-%m-%d", strict=False)
        return pl.when(column.str.contains(_ISO_DATE) & inside_years(read, pl.Date())).then(read)
    return None


def inside_years(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Whether dates or instants lie in the years 1 to 9999, which Python and JSON can hold."""
    if isinstance(dtype, pl.Datetime):
        if dtype.time_unit == "ns":
            return column.is_not_null()
        per_day = _PER_DAY[dtype.time_unit]
        return column.to_physical().is_between(_FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day - 1)
    return column.to_physical().is_between(_FIRST_DAY, _LAST_DAY)


def json_values(column: pl.Series) -> list[Any]:
    """The values as JSON would carry them: text for dates and instants, null for null.

    What JSON cannot carry (lists, durations, years beyond 9999) becomes an object, which no field takes.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Decimal):
        return column.cast(pl.Float64).to_list()
    if dtype.is_numeric() or isinstance(dtype, pl.String | pl.Boolean | pl.Null):
        return column.to_list()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String).to_list()
    texts = _texts(column, dtype) if isinstance(dtype, pl.Date | pl.Datetime) else [None] * len(column)
    strange = {"column_type": str(dtype)}
    return [strange if text is None and came else text for text, came in zip(texts, column.is_not_null(), strict=True)]


def _texts(column: pl.Series, dtype: pl.Date | pl.Datetime) -> list[str | None]:
    """ISO 8601; None for null and for years that Python cannot hold."""
    value = pl.col(column.name)
    inside = pl.when(inside_years(value, dtype)).then(value)
    if isinstance(dtype, pl.Date):
        text = inside.dt.strftime("%Y-%m-%d")
    else:
        digits = {"ms": 3, "us": 6, "ns": 9}[dtype.time_unit]
        zone = "" if dtype.time_zone is None else "Z"
        utc = inside if dtype.time_zone is None else inside.dt.convert_time_zone("UTC")
        text = utc.dt.strftime(f"%Y-%m-%dT%H:%M:%S%.{digits}f{zone}")
    return column.to_frame().select(text).to_series().to_list()
