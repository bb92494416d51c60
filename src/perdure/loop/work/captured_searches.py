"""Captured searches of indexes as the lake's table `searches`: a row a search, what it gave and what was dropped as lists of equal length.

Rounds in which a server's memory was held against its store as the table `compared`: a row a round.

`CapturedBatch` calls it; signals of indexes read the table: which answers touched what was stale, what is asked, what finds nothing near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from perdure.stores.capture.events import Compared, Searched

SEARCHES = "searches"
COMPARED = "compared"

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

_INSTANT = pl.Datetime("us", "UTC")
SEARCHES_SCHEMA: Schema = {
    "search_id": pl.String,
    "index": pl.String,
    "version": pl.String,
    "arm": pl.String,
    "generation": pl.Int64,
    "seen_at": _INSTANT,
    "served_at": _INSTANT,
    "recorded_at": _INSTANT,
    "latency_us": pl.Int64,
    "key": pl.String,
    "team": pl.String,
    "query": pl.String,
    "mode": pl.String,
    "k": pl.Int64,
    "as_of": _INSTANT,
    "keys": pl.List(pl.Int64),
    "documents": pl.List(pl.String),
    "scores": pl.List(pl.Float64),
    "cosines": pl.List(pl.Float64),
    "best_cosine": pl.Float64,
    "dropped_keys": pl.List(pl.Int64),
    "dropped_documents": pl.List(pl.String),
    "dropped_reasons": pl.List(pl.String),
    "dropped_marked": pl.List(pl.Boolean),
    "purpose": pl.String,
    "batch": pl.Int64,
}
COMPARED_SCHEMA: Schema = {
    "index": pl.String,
    "version": pl.String,
    "process": pl.String,
    "generation": pl.Int64,
    "served_at": _INSTANT,
    "recorded_at": _INSTANT,
    "took_us": pl.Int64,
    "n_chunks": pl.Int64,
    "n_differing": pl.Int64,
    "keys": pl.List(pl.Int64),
    "documents": pl.List(pl.String),
    "kinds": pl.List(pl.String),
    "healed": pl.Boolean,
    "batch": pl.Int64,
}
_AS_THEY_ARE = (
    "index",
    "version",
    "arm",
    "generation",
    "latency_us",
    "key",
    "team",
    "query",
    "mode",
    "k",
    "keys",
    "documents",
)
_OF_DROPPED = {
    "dropped_keys": "key",
    "dropped_documents": "document",
    "dropped_reasons": "reason",
    "dropped_marked": "marked",
}


def searches_table(events: Sequence[Searched]) -> pl.DataFrame:
    """One row a search, in order; without the column `batch`. Cost: about 10 µs a search."""
    columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in events] for name in _AS_THEY_ARE}
    columns["search_id"] = [each.id for each in events]
    columns["seen_at"] = [each.seen_us for each in events]
    columns["served_at"] = [each.served_us for each in events]
    columns["recorded_at"] = [each.recorded_us for each in events]
    columns["as_of"] = [each.as_of_us or None for each in events]
    columns["scores"] = [each.scores for each in events]
    columns["cosines"] = [each.cosines for each in events]
    columns["best_cosine"] = [max((one for one in each.cosines if one is not None), default=None) for each in events]
    columns["purpose"] = [each.purpose for each in events]
    for column, member in _OF_DROPPED.items():
        columns[column] = [[getattr(one, member) for one in each.dropped] for each in events]
    return _frame(columns, SEARCHES_SCHEMA)


def compared_table(events: Sequence[Compared]) -> pl.DataFrame:
    """One row a round, in order; without the column `batch`."""
    same = ("index", "version", "process", "generation", "took_us", "n_chunks", "n_differing", "healed")
    columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in events] for name in same}
    columns["served_at"] = [each.served_us for each in events]
    columns["recorded_at"] = [each.recorded_us for each in events]
    for column, member in {"keys": "key", "documents": "document", "kinds": "kind"}.items():
        columns[column] = [[getattr(one, member) for one in each.differing] for each in events]
    return _frame(columns, COMPARED_SCHEMA)


def _frame(columns: Mapping[str, list[Any]], schema: Schema) -> pl.DataFrame:
    return pl.DataFrame([_series(name, columns[name], schema) for name in schema if name != "batch"])


def _series(name: str, values: list[Any], schema: Schema) -> pl.Series:
    if schema[name] == _INSTANT:
        return pl.Series(name, values, pl.Int64).cast(_INSTANT)
    return pl.Series(name, values, schema[name])
