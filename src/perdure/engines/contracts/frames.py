"""A frame → its good rows in the contract's types, and its bad rows with their reasons.

Columns are typed (`columns`), masks find suspicious rows (`masks`), and only those go to Pydantic
one by one (`verdict`), written as the JSON that a request would have carried. A flagged row that
Pydantic accepts is good. With custom validators every row goes to Pydantic.

Called where sources are ingested. No value of a row ever raises: a batch is split, never lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import polars as pl
from pydantic_core import to_json

from perdure.assets.fields import FieldSpec
from perdure.engines.contracts.columns import dtype_of, json_values, typed
from perdure.engines.contracts.masks import suspicious
from perdure.engines.contracts.verdict import Judge, RowError

_CHUNK = 50_000
"""Rows that are Python objects at one time, when many must be judged one by one."""
_AT = "row at"  # no field can be called so


class FrameError(TypedDict):
    """One error of one row of a frame; the value itself is in the rejected row."""

    field: str
    message: str
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class CheckedFrame:
    """The outcome of a check: every row of the frame is in `good` or in `bad`, in its old order."""

    good: pl.DataFrame
    """Exactly the contract's columns and types."""
    bad: pl.DataFrame
    """The rejected rows as they came, with all their columns."""
    bad_at: list[int]
    """Positions of the rejected rows in the frame."""
    errors: list[list[FrameError]]
    """Every error of each rejected row, aligned with `bad`."""
    dropped: tuple[str, ...]
    """Columns that the contract does not know; a request with such a field is refused."""
    missing: tuple[str, ...]
    """Required columns that did not come: every row is rejected for it."""
    defaulted: tuple[str, ...]
    """Columns that did not come and were filled with their default."""
    n_coerced: int
    """Values that came in another type and were converted without loss."""
    n_judged: int
    """Rows that Pydantic judged one by one."""


@dataclass(slots=True)
class _Judged:
    good_at: list[int] = field(default_factory=list)
    good: list[pl.DataFrame] = field(default_factory=list)
    bad_at: list[int] = field(default_factory=list)
    errors: list[list[FrameError]] = field(default_factory=list)


class FrameChecker:
    """Checks frames of one contract."""

    __slots__ = ("_fast", "_judge", "_schema", "_specs")

    def __init__(self, specs: Sequence[FieldSpec], judge: Judge, *, fast: bool) -> None:
        self._specs = tuple(specs)
        self._schema = pl.Schema({spec.name: dtype_of(spec) for spec in specs})
        self._judge = judge
        self._fast = fast

    def check(self, frame: pl.DataFrame) -> CheckedFrame:
        """Split a frame into good and bad rows. See `CompiledContract.check_frame`."""
        came = frame.schema
        present = [spec for spec in self._specs if spec.name in came]
        absent = [spec for spec in self._specs if spec.name not in came]
        table = frame.select(
            *(typed(spec, came[spec.name]).alias(spec.name) for spec in present),
            *(pl.repeat(spec.default, pl.len(), dtype=dtype_of(spec)).alias(spec.name) for spec in absent),
        ).select(self._schema.names())
        lost = {spec.name: _lost(frame[spec.name], table[spec.name]) for spec in present}
        missing = tuple(spec.name for spec in absent if spec.required)
        flagged = self._flagged(table, present, lost) if self._fast and not missing else None
        judged = self._judge_rows(frame, table, present, lost, flagged)
        return CheckedFrame(
            good=self._assembled(table, flagged, judged),
            bad=frame[judged.bad_at],
            bad_at=judged.bad_at,
            errors=judged.errors,
            dropped=tuple(name for name in came if name not in self._schema),
            missing=missing,
            defaulted=tuple(spec.name for spec in absent if not spec.required),
            n_coerced=sum(table[s.name].count() for s in present if came[s.name] != self._schema[s.name]),
            n_judged=len(judged.good_at) + len(judged.bad_at),
        )

    def _flagged(self, table: pl.DataFrame, present: Sequence[FieldSpec], lost: Mapping[str, pl.Series]) -> pl.Series:
        """One boolean a row: a mask flagged it, or a value was lost in typing."""
        masks = [mask for spec in present for mask in suspicious(spec)]
        nothing = pl.repeat(False, pl.len(), dtype=pl.Boolean)
        flags = table.select(pl.any_horizontal(nothing, *masks).fill_null(False).alias(_AT)).to_series()
        for series in lost.values():
            flags = flags | series
        return flags

    def _judge_rows(
        self,
        frame: pl.DataFrame,
        table: pl.DataFrame,
        present: Sequence[FieldSpec],
        lost: Mapping[str, pl.Series],
        flagged: pl.Series | None,
    ) -> _Judged:
        judged = _Judged()
        rows_at = pl.Series(range(frame.height), dtype=pl.UInt32) if flagged is None else flagged.arg_true()
        seen: dict[tuple[str, str, str], FrameError] = {}
        for start in range(0, len(rows_at), _CHUNK):
            at = rows_at[start : start + _CHUNK]
            accepted: list[dict[str, Any]] = []
            documents = _documents(frame[at], table[at], [spec.name for spec in present], lost, at)
            for position, document in zip(at.to_list(), documents, strict=True):
                verdict = self._judge(document)
                if verdict.values is not None:
                    accepted.append(verdict.values)
                    judged.good_at.append(position)
                else:
                    judged.bad_at.append(position)
                    judged.errors.append([_shared(error, seen) for error in verdict.errors])
            judged.good.append(self._table_of(accepted))
        return judged

    def _table_of(self, rows: list[dict[str, Any]]) -> pl.DataFrame:
        columns = {name: [row[name] for row in rows] for name in self._schema}
        return pl.DataFrame({name: pl.Series(columns[name], dtype=dtype) for name, dtype in self._schema.items()})

    def _assembled(self, table: pl.DataFrame, flagged: pl.Series | None, judged: _Judged) -> pl.DataFrame:
        if flagged is None:
            return pl.concat(judged.good) if judged.good else table.clear()
        if not judged.good_at:
            return table.filter(~flagged) if judged.bad_at else table
        unflagged = table.filter(~flagged).with_columns((~flagged).arg_true().alias(_AT))
        accepted = pl.concat(judged.good).with_columns(pl.Series(_AT, judged.good_at, dtype=pl.UInt32))
        return pl.concat([unflagged, accepted]).sort(_AT).drop(_AT)


def _lost(came: pl.Series, made: pl.Series) -> pl.Series:
    if made.null_count() == came.null_count():
        return pl.repeat(False, len(came), dtype=pl.Boolean, eager=True)
    return came.is_not_null() & made.is_null()


def _documents(
    frame: pl.DataFrame, table: pl.DataFrame, names: list[str], lost: Mapping[str, pl.Series], at: pl.Series
) -> Iterator[bytes]:
    """Each row as the JSON of a request: values that typing lost as they came, the others typed."""
    columns = []
    for name in names:
        values = json_values(table[name])
        lost_here = lost[name][at]
        if lost_here.any():
            raw = json_values(frame[name])
            values = [old if gone else new for old, new, gone in zip(raw, values, lost_here, strict=True)]
        columns.append(values)
    rows = zip(*columns, strict=True) if columns else (() for _ in range(len(at)))
    for row in rows:
        yield to_json(dict(zip(names, row, strict=True)), inf_nan_mode="constants")


def _shared(error: RowError, seen: dict[tuple[str, str, str], FrameError]) -> FrameError:
    """One object for equal errors: a million rows often break in one way."""
    key = (error["field"], error["message"], error["type"])
    if key not in seen:
        seen[key] = {"field": key[0], "message": key[1], "type": key[2]}
    return seen[key]
