"""Makes a new project from a CSV file: what a person would have written by hand, to be changed by hand.

Without a file, a small one is made up, so that every later step works at once.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import numpy as np
import polars as pl

from perdure.core.errors import BadProject, DeclarationError, NotFound, nearest


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the file plays which part; None: perdure guesses, and says so when it cannot."""

    label: str | None = None
    time: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the contract that is written: its name, its column and its type as source text."""

    name: str
    column: str
    annotation: str
    kind: str
    """`number`, `text` or `time`."""


@dataclass(frozen=True, slots=True)
class MadeProject:
    """What was made."""

    folder: Path
    model: str
    """Name of its model."""
    files: list[Path]
    """Relative to the folder."""


def make_project(folder: Path, csv: Path | None, columns: Columns) -> MadeProject:
    """Write perdure.toml and a package with a contract, two sources, a feature view and a model.

    Raises:
        BadProject: the folder holds something already.
        NotFound: no such file or column; the message names the nearest column.
        DeclarationError: a part cannot be guessed from the file.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadProject(f"{folder} is not empty.", hint="Choose a new folder; nothing was written.")
    name = _identifier(folder.resolve().name)
    if csv is None:
        frame, columns, source = _made_up(), Columns("minutes", "ordered_at", "order_id"), "data.csv"
    else:
        frame, source = _read(csv), str(csv.resolve())
    columns = _guess(frame, columns)
    files = _render(name, frame, columns, source)
    if csv is None:
        files[Path("data.csv")] = frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ")
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return MadeProject(folder, name, sorted(files))


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text.lower()).strip("_") or "project"
    name = f"p_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) else name


def _read(csv: Path) -> pl.DataFrame:
    if not csv.is_file():
        raise NotFound(f"There is no file {csv}.", hint="Give --csv an existing CSV file with a header.")
    try:
        return pl.read_csv(csv, null_values=["", "NA"], try_parse_dates=True, infer_schema_length=10_000)
    except pl.exceptions.PolarsError as error:
        raise DeclarationError(f"{csv} cannot be read as CSV: {error}.") from error


def _made_up() -> pl.DataFrame:
    """Two months of deliveries: minutes from order to door, longer with distance, rain and rush hours."""
    rng, n = np.random.default_rng(7), 4000
    distance = rng.gamma(3.0, 1.2, n).round(2)
    rain = np.where(rng.random(n) < 0.2, rng.gamma(2.0, 1.0, n), 0.0).round(1)
    start = pl.datetime(2025, 1, 1, time_zone="UTC")
    minute = np.sort(rng.integers(0, 59 * 24 * 60, n))
    rush = np.isin(minute // 60 % 24, [11, 12, 17, 18, 19])
    minutes = (8 + 4.2 * distance + 2.5 * rain + 6.0 * rush + rng.normal(0, 2.0, n)).clip(3).round(1)
    return pl.DataFrame(
        {
            "order_id": [f"o{number:05d}" for number in range(n)],
            "minute": minute,
            "shop": rng.choice(["north", "south", "harbour"], n),
            "distance_km": distance,
            "rain_mm": pl.Series(rain).set(pl.Series(rng.random(n) < 0.03), None),
            "minutes": minutes,
        }
    ).select(
        "order_id",
        (start + pl.duration(minutes=pl.col("minute"))).alias("ordered_at"),
        pl.exclude("order_id", "minute"),
    )


def _guess(frame: pl.DataFrame, columns: Columns) -> Columns:
    for column in (columns.label, columns.time, columns.key):
        if column is not None and column not in frame.columns:
            near = nearest(column, frame.columns)
            hint = f"Did you mean {near!r}?" if near else f"It has {', '.join(frame.columns)}."
            raise NotFound(f"The file has no column {column!r}.", hint=hint)
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime | pl.Date)]
    unique = [name for name in frame.columns if frame[name].n_unique() == frame.height and name not in times]
    guessed = replace(
        columns,
        time=columns.time or (times[0] if len(times) == 1 else None),
        key=columns.key or next((name for name in unique if name != columns.label), None),
    )
    options = {"label": guessed.label, "time": guessed.time, "key": guessed.key}
    missing = [f"--{option} COLUMN" for option, value in options.items() if value is None]
    if missing:
        raise DeclarationError(
            f"The file does not say by itself which column is which; it has {', '.join(frame.columns)}.",
            hint=f"Give {' and '.join(missing)}.",
        )
    _check_kinds(frame, guessed)
    return guessed


def _check_kinds(frame: pl.DataFrame, columns: Columns) -> None:
    assert columns.label is not None
    assert columns.time is not None
    if not frame.schema[columns.label].is_numeric():
        raise DeclarationError(
            f"The label {columns.label!r} is {frame.schema[columns.label]}, not a number.",
            hint="Code classes as 0 and 1, and set task = 'classification' in the model.",
        )
    if not isinstance(frame.schema[columns.time], pl.Datetime | pl.Date):
        raise DeclarationError(
            f"The time column {columns.time!r} is {frame.schema[columns.time]}, not an instant.",
            hint="Write instants as ISO 8601, such as 2025-01-31T08:00:00Z.",
        )


def _field(name: str, column: pl.Series) -> Field:
    kind, optional = column.dtype, " | None" if column.null_count() else ""
    if isinstance(kind, pl.Datetime | pl.Date):
        return Field(_identifier(name), name, f"datetime{optional}", "time")
    if kind == pl.Boolean:
        return Field(_identifier(name), name, f"bool{optional}", "number")
    if kind.is_integer():
        return Field(_identifier(name), name, f"int{optional}", "number")
    if kind.is_numeric():
        return Field(_identifier(name), name, f"float{optional}", "number")
    return Field(_identifier(name), name, f"str{optional}", "text")


def _render(name: str, frame: pl.DataFrame, columns: Columns, source: str) -> dict[Path, str]:
    assert columns.label is not None
    fields = [_field(column, frame[column]) for column in frame.columns if column != columns.label]
    parts = {
        "name": name,
        "source": source,
        "fields": fields,
        "label": _field(columns.label, frame[columns.label]),
        "time": next(field for field in fields if field.column == columns.time),
        "key": next(field for field in fields if field.column == columns.key),
        "inputs": [field for field in fields if field.column not in (columns.time, columns.key)],
        "model": "".join(part.title() for part in name.split("_")) or "Project",
        "scale": round(float(np.nanstd(frame[columns.label].cast(pl.Float64).to_numpy())), 3),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Python source, not HTML
    )
    targets = {
        "perdure.toml": Path("perdure.toml"),
        "init.py": Path(name, "__init__.py"),
        "contracts.py": Path(name, "contracts.py"),
        "sources.py": Path(name, "sources.py"),
        "features.py": Path(name, "features.py"),
        "model.py": Path(name, "model.py"),
    }
    return {path: environment.get_template(f"{template}.j2").render(parts) for template, path in targets.items()}
