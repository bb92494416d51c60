"""A parameter against a metric, a point a run: the runs compared, and others of their assets behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.surface.console.records import Scatter
from perdure.surface.console.training.columns import METRICS, OWN, PARAMS, column_of, is_numeric, shown
from perdure.surface.words import number

if TYPE_CHECKING:
    import polars as pl

    from perdure.stores.ledger.protocols import Run

_MOST = 300
"""Points: the newest runs."""


@dataclass(frozen=True, slots=True)
class Against:
    """One column against another."""

    x: str
    y: str
    xs: tuple[str, ...]
    """Columns to choose from."""
    ys: tuple[str, ...]
    scatter: Scatter
    span: str
    """From where to where both axes go, in words: the drawing has none."""


def against(runs: pl.DataFrame, compared: Sequence[Run], x: str, y: str) -> Against | None:
    """The points of what is asked for; by default the first parameter that differs and the first metric of validation.

    None where no parameter is a number that differs, or nothing was measured.
    """
    import polars as pl

    near = runs.filter(pl.col("asset").is_in(sorted({run.asset for run in compared})))
    numbers = [name for name in near.columns if name not in OWN and is_numeric(near.schema[name])]
    told = near.select(pl.col(name).drop_nulls().n_unique() for name in numbers)
    kinds = {name: told[name][0] for name in numbers}
    xs = sorted(name for name in numbers if name.startswith(PARAMS) and kinds[name] > 1)
    ys = sorted((name for name in numbers if name.startswith(METRICS) and kinds[name]), key=_of_validation)
    if not xs or not ys:
        return None
    chosen_x = _chosen(x, xs) or next((name for name in xs if _differs(compared, name)), xs[0])
    chosen_y = _chosen(y, ys) or ys[0]
    return _drawn(near, compared, (chosen_x, chosen_y), (xs, ys))


def _of_validation(name: str) -> tuple[bool, bool, str]:
    return (not name.startswith(f"{METRICS}valid"), "bias" in name, name)


def _chosen(said: str, known: Sequence[str]) -> str:
    return (column_of(known, said) or "") if said else ""


def _differs(compared: Sequence[Run], name: str) -> bool:
    said = name.removeprefix(PARAMS)
    return len({str(run.params.get(said)) for run in compared}) > 1


def _drawn(
    near: pl.DataFrame, compared: Sequence[Run], axes: tuple[str, str], known: tuple[list[str], list[str]]
) -> Against | None:
    import polars as pl

    x, y = axes
    points = near.select("id", pl.col(x).cast(pl.Float64).alias("x"), pl.col(y).cast(pl.Float64).alias("y"))
    points = points.filter(pl.col("x").is_finite() & pl.col("y").is_finite())
    mine = [run.id for run in compared]
    ours = points.filter(pl.col("id").is_in(mine))
    # The compared ones are drawn last, over the others, whose colour is the quietest there is.
    others = points.filter(~pl.col("id").is_in(mine)).head(_MOST)
    shown_rows = pl.concat([others, ours])
    if not shown_rows.height:
        return None
    words = f"{shown(x)} across, {shown(y)} up"
    scatter = Scatter(
        "against",
        words,
        tuple(zip(shown_rows["x"].to_list(), shown_rows["y"].to_list(), strict=True)),
        (*[0] * others.height, *[1] * ours.height),
        tuple(shown_rows["id"].to_list()),
        ("other runs", "compared"),
    )
    span = "; ".join(
        f"{shown(name)} from {number(shown_rows[axis].min())} to {number(shown_rows[axis].max())}"  # type: ignore[arg-type]
        for axis, name in (("x", x), ("y", y))
    )
    return Against(x, y, tuple(known[0]), tuple(known[1]), scatter, span)
