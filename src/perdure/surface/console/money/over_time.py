"""Money over time: a line a group, the dearest ones by themselves and the others together; a period without calls cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from perdure.core.clock import to_us
from perdure.surface.console.records import Picture, Series
from perdure.surface.console.thinning import thin

if TYPE_CHECKING:
    import polars as pl

Per = Literal["hour", "day", "month"]
_EVERY: Mapping[Per, str] = {"hour": "1h", "day": "1d", "month": "1mo"}
_LINES = 6
OTHERS = "others"


def over_time(calls: pl.DataFrame, by: str, per: Per, zone: str, names: Mapping[str, str]) -> Picture | None:
    """Cost by period, from the first call's to the last one's; None where nothing has a price.

    Args:
        calls: as `engines.spend.spend` takes them.
        by: dimension of a line.
        per: length of a period.
        zone: whose days they are.
        names: group → what it is called.
    """
    from perdure.engines.spend import spend

    rows = [row for row in spend(calls, [by], per, timezone=zone).iter_rows(named=True) if row["cost_usd"]]
    if not rows:
        return None
    periods = _periods([row["period"] for row in rows], per)
    sums: dict[str, float] = {}
    for row in rows:
        group = _group(row[by], names)
        sums[group] = sums.get(group, 0.0) + row["cost_usd"]
    dearest = sorted(sums, key=lambda group: (-sums[group], group))[:_LINES]
    lines = {group: [0.0] * len(periods) for group in (*dearest, *([OTHERS] if len(sums) > _LINES else []))}
    place = {period: k for k, period in enumerate(periods)}
    for row in rows:
        group = _group(row[by], names)
        lines[group if group in dearest else OTHERS][place[row["period"]]] += row["cost_usd"]
    series = tuple(Series(group, tuple(values)) for group, values in lines.items())
    at_us = tuple(to_us(period) for period in periods)
    return thin(Picture("over-time", f"Cost by {per} and {by}", "USD", at_us, series))


def _group(said: Any, names: Mapping[str, str]) -> str:
    return "none" if said is None or said == "" else names.get(str(said), str(said))


def _periods(known: Sequence[datetime], per: Per) -> list[datetime]:
    import polars as pl

    return pl.datetime_range(min(known), max(known), _EVERY[per], eager=True).to_list()
