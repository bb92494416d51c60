"""Reads a CSV file for `perdure init` and says what each column is, as strictly as it will be taken in.

Columns are read as text and typed by the conversions that a contract uses itself, so what is declared
takes every row of the file. What is doubtful becomes a note for the person: a column that is text only
because of a few values, one that is empty, one that differs in every row.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel

from perdure.assets.fields import FieldSpec, FieldType
from perdure.core.errors import DeclarationError, NotFound, nearest
from perdure.engines.contracts.columns import typed

NULL_VALUES = ("", "NA")
"""What `perdure.csv` takes for missing by default."""
Task = Literal["regression", "classification"]

_INSTANTS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_MOSTLY = 0.9
_MANY_VALUES = 0.5
_TAKEN = frozenset(dir(BaseModel)) | {"bool", "date", "datetime", "float", "int", "str"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the file plays which part; None: perdure guesses, and says so when it cannot."""

    label: str | None = None
    time: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the file as a field of a contract."""

    name: str
    column: str
    type: FieldType
    nullable: bool
    n_values: int
    """Different values, null not counted."""

    @property
    def annotation(self) -> str:
        """As it stands in the contract."""
        return f"{self.type} | None" if self.nullable else self.type


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose columns have their parts."""

    fields: tuple[Field, ...]
    """All but the label, in the order of the file."""
    label: Field
    time: Field
    key: Field
    inputs: tuple[Field, ...]
    """The fields that are features."""
    task: Task
    bound: float
    """What a model must reach to be better than one constant answer, in the unit of its objective."""
    notes: tuple[str, ...]


def read_text(csv: Path) -> pl.DataFrame:
    """Every column of the file as text.

    Raises:
        NotFound: no such file.
        DeclarationError: it is no CSV file in UTF-8 with a header and rows.
    """
    if not csv.is_file():
        raise NotFound(f"There is no file {csv}.", hint="Give --csv an existing CSV file with a header.")
    try:
        frame = pl.read_csv(csv, infer_schema=False, null_values=list(NULL_VALUES))
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DeclarationError(
            f"{csv} cannot be read as CSV: {str(error).partition(chr(10))[0]}.",
            hint="Write it in UTF-8, separated by commas, a header first.",
        ) from error
    if not frame.height:
        raise DeclarationError(f"{csv} has no rows below its header.", hint="A model needs rows to learn from.")
    if frame.width < 3:
        raise DeclarationError(
            f"{csv} has {frame.width} column(s): {', '.join(map(repr, frame.columns))}.",
            hint="It needs a label, an instant and a key, separated by commas.",
        )
    return frame


def describe(frame: pl.DataFrame, wanted: Columns) -> Table:
    """What each column of the file is; a part that nobody named is guessed where the file leaves no doubt.

    Raises:
        NotFound: a named column does not exist; the message names the nearest.
        DeclarationError: a part cannot be guessed, or the column named for it cannot play it.
    """
    for column in (wanted.label, wanted.time, wanted.key):
        if column is not None and column not in frame.columns:
            near = nearest(column, frame.columns)
            hint = f"Did you mean {near!r}?" if near else f"It has {', '.join(frame.columns)}."
            raise NotFound(f"The file has no column {column!r}.", hint=hint)
    named = _names(frame.columns)
    fields = {column: _field(frame[column], named[column]) for column in frame.columns}
    label, time, key = _parts(frame, fields, wanted)
    task, bound = _task(frame[label.column], label)
    others = [field for field in fields.values() if field.column != label.column]
    rows = [replace(each, nullable=False) if each.column in (time.column, key.column) else each for each in others]
    inputs, notes = _inputs(frame, [each for each in rows if each.column not in (time.column, key.column)])
    return Table(
        fields=tuple(rows),
        label=label,
        time=replace(time, nullable=False),
        key=replace(key, nullable=False),
        inputs=inputs,
        task=task,
        bound=bound,
        notes=(*_gaps(frame, label, time, key), *notes),
    )


def identifier(text: str, default: str) -> str:
    """`text` as a Python name of a-z, 0-9 and underscores.

    >>> identifier("Größe (m²)", "x"), identifier("2nd", "x"), identifier("class", "x"), identifier("%", "x")
    ('groe_m2', 'x_2nd', 'class_', 'x')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    if not name or name[0].isdigit():
        name = f"{default}_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) else name


def _names(columns: Iterable[str]) -> dict[str, str]:
    """A field's name for each column, none twice and none that Pydantic has taken."""
    names: dict[str, str] = {}
    for column in columns:
        name = identifier(column, "column")
        name = f"{name}_" if name in _TAKEN or name.startswith("model_") else name
        number, free = 2, name
        while free in names.values():
            number, free = number + 1, f"{name}_{number}"
        names[column] = free
    return names


def _field(text: pl.Series, name: str) -> Field:
    return Field(name, text.name, _type(text), bool(text.null_count()), text.drop_nulls().n_unique())


def _type(text: pl.Series) -> FieldType:
    """The narrowest type that takes every value of the column."""
    values = text.drop_nulls()
    if not values.len() or _has_leading_zeros(values):
        return "str"
    written_as_float = bool(values.str.contains(r"[.eE]").any())
    candidates: tuple[FieldType, ...] = ("bool", "float") if written_as_float else ("bool", "int", "float")
    found = next((each for each in candidates if not _lost(values, each).len()), None)
    return found or ("datetime" if _are_instants(values) else "str")


def _lost(values: pl.Series, kind: FieldType) -> pl.Series:
    """The values that the contract's own conversion to `kind` refuses."""
    made = values.to_frame().select(typed(FieldSpec(values.name, kind), pl.String())).to_series()
    return values.filter(made.is_null() | made.is_infinite() | made.is_nan() if kind == "float" else made.is_null())


def _has_leading_zeros(values: pl.Series) -> bool:
    """Postal codes and the like: digits that are no number."""
    return bool(values.str.contains(r"^0[0-9]").any())


def _are_instants(values: pl.Series) -> bool:
    """With a zone as a contract reads them, or without one in a form to which a source adds its zone."""
    naive = _lost(values, "datetime")
    read = [naive.str.strptime(pl.Datetime("us"), form, strict=False).is_not_null() for form in _INSTANTS]
    return bool(pl.select(pl.any_horizontal(read).all()).item())


def _parts(frame: pl.DataFrame, fields: dict[str, Field], wanted: Columns) -> tuple[Field, Field, Field]:
    instants = [field.column for field in fields.values() if field.type == "datetime"]
    unique = [
        field.column
        for field in fields.values()
        if field.n_values == frame.height and field.type in ("str", "int") and field.column != wanted.label
    ]
    label, key = wanted.label, wanted.key or next(iter(unique), None)
    time = wanted.time or (instants[0] if len(instants) == 1 else None)
    options = {"label": label, "time": time, "key": key}
    missing = [f"--{option} COLUMN" for option, column in options.items() if column is None]
    if label is None or time is None or key is None:
        raise DeclarationError(
            f"The file does not say by itself which column is which; it has {', '.join(frame.columns)}.",
            hint=f"Give {' and '.join(missing)}.",
        )
    if len({label, time, key}) < 3:
        raise DeclarationError(
            "One column cannot play two parts.", hint="Give --label, --time and --key three columns."
        )
    _check_time(frame[time], fields[time])
    _check_key(frame[key], fields[key])
    return fields[label], fields[time], fields[key]


def _check_time(text: pl.Series, field: Field) -> None:
    if field.type != "datetime":
        example = next(iter(text.drop_nulls()), "nothing")
        raise DeclarationError(
            f"The time column {field.column!r} holds {example!r}, which is no instant.",
            hint="Write instants as ISO 8601, such as 2025-01-31T08:00:00Z or 2025-01-31 08:00.",
        )


def _check_key(text: pl.Series, field: Field) -> None:
    if field.type not in ("str", "int"):
        raise DeclarationError(
            f"The key column {field.column!r} is {field.type}.", hint="Key by text or whole numbers."
        )
    repeated = text.drop_nulls().len() - field.n_values
    if repeated:
        raise DeclarationError(
            f"The key column {field.column!r} repeats: {repeated:,} of {text.len():,} rows have the key of another row.",
            hint="Choose a column, or make one, that differs in every row.",
        )


def _task(text: pl.Series, label: Field) -> tuple[Task, float]:
    """What the label asks for, and how well one constant answer does."""
    if label.type not in ("bool", "int", "float"):
        examples = ", ".join(map(repr, text.drop_nulls().unique(maintain_order=True).head(4)))
        said = f"holds {examples}, which is no number" if examples else "is empty"
        raise DeclarationError(
            f"The label {label.column!r} {said}.",
            hint="A label is a number, or 0 and 1 (or true and false) for two classes: code it so.",
        )
    if label.n_values < 2:
        raise DeclarationError(f"The label {label.column!r} has one value only.", hint="There is nothing to learn.")
    values = _numbers(text, label)
    if label.n_values == 2 and bool(values.is_in([0.0, 1.0]).all()):
        share = float(str(values.mean()))
        return "classification", _significant(max(share, 1 - share))
    median = float(str(values.median()))
    return "regression", _significant(float(str((values - median).abs().mean())))


def _numbers(text: pl.Series, field: Field) -> pl.Series:
    made = text.drop_nulls().to_frame().select(typed(FieldSpec(text.name, field.type), pl.String())).to_series()
    return made.cast(pl.Float64)


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def _inputs(frame: pl.DataFrame, fields: Iterable[Field]) -> tuple[tuple[Field, ...], list[str]]:
    inputs, notes = [], []
    for field in fields:
        nearly = _nearly_numbers(frame[field.column], field)
        if nearly:
            notes.append(nearly)
        if not field.n_values:
            notes.append(f"{field.column!r} is empty: it is in the contract, and no feature.")
        elif field.type == "datetime":
            notes.append(f"{field.column!r} is an instant: take numbers of it in features.py, such as .weekday().")
        elif field.type != "str" or field.n_values <= max(20, _MANY_VALUES * frame.height):
            inputs.append(field)
        elif not nearly:
            notes.append(f"{field.column!r} differs in nearly every row: it is in the contract, and no feature.")
    return tuple(inputs), notes


def _nearly_numbers(text: pl.Series, field: Field) -> str:
    values = text.drop_nulls()
    odd = _lost(values, "float") if field.type == "str" else values.clear()
    if not odd.len() or odd.len() > (1 - _MOSTLY) * values.len():
        return ""
    told = f"{field.column!r} is text: {odd.len():,} of its {values.len():,} values are no number, such as {odd[0]!r}."
    return f"{told} If they mean missing, name them in null_values of csv(), and declare it float | None."


def _gaps(frame: pl.DataFrame, label: Field, time: Field, key: Field) -> list[str]:
    notes = []
    for field in (time, key):
        n = frame[field.column].null_count()
        if n:
            notes.append(f"{field.column!r} is missing {n:,} times: those rows will go to quarantine.")
    n = frame[label.column].null_count()
    if n:
        notes.append(f"{label.column!r} is missing {n:,} times: a model cannot learn from those rows.")
    return notes
