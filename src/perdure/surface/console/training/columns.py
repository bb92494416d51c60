"""Columns of the board's frame of runs: how they are called, which are shown when nobody chose.

A run's parameters and metrics are columns `params.NAME` and `metrics.NAME`; any of them is missing in most runs of a
project with many models. What surprised us: parameters that are equal in all runs say nothing, and there are many of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

OWN = ("id", "kind", "asset", "status", "version", "started_at", "seconds")
"""Columns that every run has."""
PARAMS, METRICS = "params.", "metrics."
_N_METRICS, _N_PARAMS = 4, 3
_LOOKED_AT = 2_000
"""Rows by which it is decided what is shown."""


def shown(name: str) -> str:
    """How a column is called above a table.

    >>> shown("metrics.valid_mae"), shown("started_at"), shown("seconds")
    ('valid_mae', 'started', 'took')
    """
    for prefix in (PARAMS, METRICS):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return {"started_at": "started", "seconds": "took"}.get(name, name)


def column_of(columns: Sequence[str], said: str) -> str | None:
    """The column that is meant: by its whole name, or by that of a metric or a parameter alone.

    >>> column_of(["id", "params.lr", "metrics.mae"], "lr")
    'params.lr'
    """
    for name in (said, METRICS + said, PARAMS + said):
        if name in columns:
            return name
    return None


def is_numeric(dtype: Any) -> bool:
    """Whether values are numbers, which stand to the right and can be compared."""
    return bool(dtype.is_numeric())


def choosable(runs: pl.DataFrame) -> list[str]:
    """Parameters and metrics that a table can show: numbers, words, yes and no; metrics first, by name."""
    import polars as pl

    plain = [name for name, dtype in runs.schema.items() if dtype.is_numeric() or dtype in (pl.String, pl.Boolean)]
    return sorted(name for name in plain if name.startswith(METRICS)) + sorted(
        name for name in plain if name.startswith(PARAMS)
    )


def telling(runs: pl.DataFrame) -> list[str]:
    """Columns worth showing of these runs: metrics that most of them have, those of validation first, and parameters that differ.

    Cost: some 5 ms for 40 columns.
    """
    import polars as pl

    some, names = runs.head(_LOOKED_AT), choosable(runs)
    if not some.height or not names:
        return []
    told = some.select(
        *(pl.col(name).count().alias(f"n {name}") for name in names),
        *(pl.col(name).drop_nulls().n_unique().alias(f"u {name}") for name in names),
    ).row(0, named=True)
    metrics = [name for name in names if name.startswith(METRICS) and told[f"n {name}"]]
    metrics.sort(key=lambda name: (-_rank(told, name, some.height), not _of_validation(name), "bias" in name, name))
    params = [name for name in names if name.startswith(PARAMS) and told[f"u {name}"] > 1]
    params.sort(key=lambda name: (-_rank(told, name, some.height), name))
    return metrics[:_N_METRICS] + params[:_N_PARAMS]


def _rank(told: Mapping[str, int], name: str, n: int) -> int:
    """3 for what nearly all runs have, 0 for what few have: a rare column comes after every usual one."""
    return 3 * told[f"n {name}"] // n


def _of_validation(name: str) -> bool:
    return name.startswith(f"{METRICS}valid")
