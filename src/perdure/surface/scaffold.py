"""Makes a new project from a CSV file: what a person would have written by hand, to be changed by hand.

Without a file, a small one is made up, so that every later step works at once.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import polars as pl

from perdure.core.errors import BadProject
from perdure.surface.csv_columns import Columns, Field, Table, describe, identifier, read_text

__all__ = ["Columns", "MadeProject", "make_project"]

_DATA = Path("data.csv")
_MADE_UP = Columns(label="minutes", time="ordered_at", key="order_id")


@dataclass(frozen=True, slots=True)
class MadeProject:
    """What was made."""

    folder: str
    model: str
    """Name of its model."""
    files: tuple[str, ...]
    """Relative to the folder."""
    notes: tuple[str, ...]
    """What is doubtful about the file's columns."""


def make_project(folder: Path, csv: Path | None, columns: Columns) -> MadeProject:
    """Write perdure.toml and a package with a contract, two sources, a feature view and a model.

    Every row of the file fits what is declared, but for rows without an instant or a key.

    Raises:
        BadProject: the folder holds something already, or is a file.
        NotFound: no such file or column; the message names the nearest column.
        DeclarationError: the file is no CSV file, or a part cannot be guessed from it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise BadProject(f"{folder} is not empty.", hint="Choose a new folder; nothing was written.")
    name = _package_name(folder.resolve().name)
    frame = read_text(csv) if csv is not None else _made_up()
    table = describe(frame, columns if csv is not None else _MADE_UP)
    files = dict(_rendered(name, table, csv))
    if csv is None:
        files[_DATA] = frame.write_csv()
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return MadeProject(str(folder), name, tuple(map(str, sorted(files))), table.notes)


def _package_name(folder: str) -> str:
    """A name for the package that hides no library."""
    name = identifier(folder, "project")
    if name in sys.stdlib_module_names or name == "perdure" or _is_installed(name):
        return f"{name}_project"
    return name


def _is_installed(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and "site-packages" in Path(spec.origin or "").parts


def _made_up() -> pl.DataFrame:
    """Two months of deliveries: minutes from order to door, longer with distance, rain and rush hours."""
    rng, n = np.random.default_rng(7), 4000
    distance = rng.gamma(3.0, 1.2, n).round(2)
    rain = np.where(rng.random(n) < 0.2, rng.gamma(2.0, 1.0, n), 0.0).round(1)
    start = pl.datetime(2025, 1, 1, time_zone="UTC")
    minute = np.sort(rng.integers(0, 59 * 24 * 60, n))
    rush = np.isin(minute // 60 % 24, [11, 12, 17, 18, 19])
    minutes = (8 + 4.2 * distance + 2.5 * rain + 6.0 * rush + rng.normal(0, 2.0, n)).clip(3).round(1)
    ordered_at = (start + pl.duration(minutes=pl.col("minute"))).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return pl.DataFrame(
        {
            "order_id": [f"o{number:05d}" for number in range(n)],
            "minute": minute,
            "shop": rng.choice(["north", "south", "harbour"], n),
            "distance_km": distance,
            "rain_mm": pl.Series(rain).set(pl.Series(rng.random(n) < 0.03), None),
            "minutes": minutes,
        }
    ).select("order_id", ordered_at.alias("ordered_at"), pl.exclude("order_id", "minute").cast(pl.String))


def _rendered(name: str, table: Table, csv: Path | None) -> Iterator[tuple[Path, str]]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Python source, not HTML
    )
    environment.filters["py"] = _literal
    parts = {**_parts(name, table), "csv": csv.resolve() if csv is not None else None}
    yield Path("perdure.toml"), environment.get_template("perdure.toml.j2").render(parts)
    for module in ("__init__", "contracts", "sources", "features", "model"):
        text = environment.get_template(f"{module.strip('_')}.py.j2").render(parts)
        yield Path(name, f"{module}.py"), text


def _parts(name: str, table: Table) -> dict[str, Any]:
    features = [field.name for field in table.inputs]
    renamed: list[Field] = [field for field in (*table.fields, table.label) if field.name != field.column]
    return {
        "name": name,
        "table": table,
        "label": table.label,
        "time": table.time,
        "key": table.key,
        "renamed": renamed,
        "hour": _free("hour", features),
        "weekday": _free("weekday", features),
        "model": "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Model",
    }


def _free(name: str, taken: list[str]) -> str:
    return name if name not in taken else _free(f"event_{name}", taken)


def _literal(text: object) -> str:
    """Source text of a string, in double quotes where that needs no escape."""
    literal = repr(str(text))
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal and "\\" not in literal else literal
