"""Spend by any dimension of a call: team, key, route, version, prompt, a tag, or by target of its attempts.

Over the lake's table `calls` as it is read; money stays whole picodollars until a sum is told. What surprised us: sums of
picodollars leave 64 bits at nine million dollars, so they are made with 128.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import polars as pl

from perdure.core.errors import BadRequest, not_found
from perdure.core.usage import PICO

Per = Literal["hour", "day", "month"]
TAG = "tag:"
"""`tag:customer` is the tag `customer` of a call; null where it has none."""
_EVERY: dict[str, str] = {"hour": "1h", "day": "1d", "month": "1mo"}
_TAG_NAME = re.compile(r"[\w.:/ -]+")


def spend(
    calls: pl.DataFrame, by: Sequence[str] = (), per: Per | None = None, *, timezone: str = "UTC"
) -> pl.DataFrame:
    """What calls cost, by dimensions and period.

    Shadows, probes, and calls that failed or were cut are in it: they are billed too.

    Args:
        calls: rows of `calls`, or of `by_target`.
        by: columns of it, or `tag:NAME`.
        per: a row a period that had calls, in the column `period` (its first instant); None: one for all time.
        timezone: of the periods.

    Returns:
        The periods in order, in each the dearest first; columns `period` where asked for, those of `by`, `calls`,
        `tokens`, `cost_usd` (of the calls whose price is known, null where none is), `n_unknown` (calls whose price is
        not known: the cost is that much too low), `saved_usd` (by the cache), `cut`, `cancelled`.

    Raises:
        NotFound: a dimension that is no column.
        BadRequest: the name of a tag that is none.

    Cost: some 0.3 s of CPU for a million calls.
    """
    keys = [_dimension(calls, name) for name in by]
    if per is not None:
        period = pl.col("served_at").dt.convert_time_zone(timezone).dt.truncate(_EVERY[per])
        keys.insert(0, period.alias("period"))
    unknown = pl.col("cost_pusd").is_null()
    known = pl.col("call_id").filter(~unknown).len()
    of = {name: pl.col("call_id").filter(pl.col("outcome") == name).n_unique() for name in ("cut", "cancelled")}
    told = [
        pl.col("call_id").n_unique().alias("calls"),
        tokens_of().cast(pl.Int128).sum().cast(pl.Int64, strict=False).alias("tokens"),
        pl.when((known > 0) | (pl.len() == 0)).then(usd("cost_pusd")).alias("cost_usd"),
        pl.col("call_id").filter(unknown).n_unique().alias("n_unknown"),
        usd("saved_pusd").alias("saved_usd"),
        *(found.alias(name) for name, found in of.items()),
    ]
    counts = [pl.col(name).cast(pl.Int64) for name in ("calls", "n_unknown", *of)]
    if not keys:
        return calls.select(told).with_columns(counts)
    names = [key.meta.output_name() for key in keys]
    told_by = calls.group_by(keys).agg(told).with_columns(counts)
    order = ["period"] * (per is not None)
    rest = names[len(order) :]
    ups = [False] * len(order) + [True] + [False] * len(rest)
    return told_by.sort([*order, "cost_usd", *rest], descending=ups, nulls_last=True)


def by_target(calls: pl.DataFrame, attempts: pl.DataFrame) -> pl.DataFrame:
    """Rows for `spend` by `target`, `upstream` or `model`: one an attempt, with its call's dimensions.

    Tokens and costs are those of the attempt, so they sum to those of the calls. A call counts at every target that it
    tried, and as cut or cancelled at the last of them; what the cache answered was tried nowhere, and is left out with
    what it saved. An attempt without a count and a cost was not billed.

    Args:
        calls: rows of `calls`.
        attempts: rows of `attempts` of the same window.
    """
    own = ["call_id", "place", "target", "n_input", "n_output", "cost_pusd"]
    billed = pl.when(pl.col("n_input").is_null()).then(pl.col("cost_pusd").fill_null(0)).otherwise(pl.col("cost_pusd"))
    last = pl.col("place") == pl.col("place").max().over("call_id")
    dimensions = calls.drop([name for name in own if name in calls.columns and name != "call_id"])
    upstream = pl.col("target").str.split_exact("/", 1).struct
    return (
        attempts.select(own)
        .join(dimensions, on="call_id", how="inner")
        .with_columns(
            billed.alias("cost_pusd"),
            pl.when(last).then("outcome").otherwise(pl.lit("failed")).alias("outcome"),
            pl.lit(0, pl.Int64).alias("saved_pusd"),
            upstream.field("field_0").alias("upstream"),
            pl.col("target").str.replace(r"^[^/]*/", "").alias("model"),
        )
    )


def tokens_of() -> pl.Expr:
    """Input and output tokens of a row; a count that is not known is none."""
    return pl.col("n_input").fill_null(0) + pl.col("n_output").fill_null(0)


def usd(column: str) -> pl.Expr:
    """The sum of a column of picodollars in US dollars, what is not known left out; exact until it is told."""
    return pl.col(column).cast(pl.Int128).sum().cast(pl.Float64) / PICO


def _dimension(calls: pl.DataFrame, name: str) -> pl.Expr:
    if name.startswith(TAG):
        tag = name.removeprefix(TAG)
        if not _TAG_NAME.fullmatch(tag):
            raise BadRequest(f"{tag[:40]!r} names no tag.", hint="Use letters, digits, spaces and _ . : / -.")
        return pl.col("tags").str.json_path_match(f"$['{tag}']").alias(name)
    if name not in calls.columns:
        raise not_found("dimension of spend", name, [*calls.columns, "tag:NAME"])
    return pl.col(name)
