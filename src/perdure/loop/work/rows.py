"""Labelled rows: what a model was asked, or would have been, with the newest truth that is known of it.

Datasets fit on them and gates compare versions on them. Rows of quarantined ranges, and captures that were
served with such rows, are left out here, so nothing ever learns from or is judged by them.

One repair asks many times for stretches of the same rows: they are read and parsed once for each state of
the tables, and kept in the process. The newest state alone is kept of each model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import polars as pl

from perdure.assets.contract import Contract
from perdure.assets.fields import contract_definition
from perdure.assets.model import Model
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import NotReady
from perdure.engines.features import FeaturePlan
from perdure.engines.performance import MIN_ROWS
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT, LabelJoin, join_labels, prepare_rows
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.feed import AVAILABLE_AT, EVENT_AT, INSTANT, known_span
from perdure.loop.work.outcomes import (
    EARLY,
    LABEL_SCHEMA,
    captures_table,
    labels_table,
    read_captures,
    read_outcomes,
    read_posted_labels,
)
from perdure.loop.work.ranges import all_ranges, untainted, usable_rows
from perdure.loop.work.skew import histories, request_rows
from perdure.stores.lake.protocols import Lake, Span

AS_OF = "_as_of"
KEY = "_key"
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")
_Kept = dict[str, tuple[Any, dict[Any, Any]]]
_KEPT: WeakKeyDictionary[Lake, _Kept] = WeakKeyDictionary()
_PARSED: WeakKeyDictionary[Lake, dict[type[Contract], pl.DataFrame]] = WeakKeyDictionary()
_MOST_PARSED = 500_000
"""Captured rows that stay parsed, of each contract: some 50 MB of ten fields."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Rows with a known label, one a key, in order of `_as_of`.

    `frame` has the contract's fields, `_key`, `_as_of` (when it was served, or happened), `_label` and
    `_label_known_at`.
    """

    frame: pl.DataFrame
    counts: Mapping[str, int]
    """What became of the rows and labels that were read."""
    joined: LabelJoin


def tables_of(model: type[Model]) -> list[str]:
    """Every lake table that a model's rows, labels and features are read from."""
    sources = {model.rows.name, model.label.source.name} | {
        view.source.name for view in model.features if view.source is not None
    }
    return [*(table_of(source) for source in sorted(sources)), captures_table(model.name), labels_table(model.name)]


def kept(place: Workplace, model: type[Model], now: datetime, what: Any, make: Callable[[], T]) -> T:
    """What `make` gives, once for each state of the model's tables and quarantined ranges at `now`.

    `what` tells results apart. Only the newest state of a model is kept, and only as long as the lake is open.
    """
    lake, ledger = place.stores.lake, place.stores.ledger
    state = (model, now, tuple(lake.version(table) for table in tables_of(model)), content_hash(all_ranges(ledger)))
    by_model = _KEPT.setdefault(lake, {})
    known = by_model.get(model.name)
    if known is None or known[0] != state:
        known = by_model[model.name] = (state, {})
    if what not in known[1]:
        known[1][what] = make()
    found: T = known[1][what]
    return found


def outcomes_between(
    place: Workplace, model: type[Model], window: tuple[datetime, datetime], now: datetime
) -> LabelJoin:
    """Predictions served in `[start, end)` with the labels known by now; signals and causes look at the same ones."""
    lake = place.stores.lake
    return kept(
        place, model, now, ("outcomes", *window), lambda: read_outcomes(lake, model.name, model.label, window, now)
    )


def labelled_rows(place: Workplace, model: type[Model], now: datetime, start: datetime | None = None) -> LabelledRows:
    """Rows of history and captures from `start` on, with labels, both known until `now`.

    Raises:
        NotReady: the model's source was never taken in.
    Cost: about 1 s CPU for 100,000 rows, a third of it the captures' JSON; later stretches of the same rows nothing.
    """
    wider = kept(place, model, now, "spans", dict[datetime | None, LabelledRows])
    for begun, found in wider.items():
        if begun is None or (start is not None and begun <= start):
            return found if begun == start else _from(found, start)
    wider[start] = _read(place, model, now, start)
    return wider[start]


def _from(rows: LabelledRows, start: datetime | None) -> LabelledRows:
    return LabelledRows(rows.frame.filter(pl.col(AS_OF) >= start), rows.counts, rows.joined)


def _read(place: Workplace, model: type[Model], now: datetime, start: datetime | None) -> LabelledRows:
    served = _served(place, model, now, start)
    live, n_outdated = _typed(place, model, served)
    prepared = prepare_rows(_history(place, model, now, start), live, key=[model.label.key], as_of_column=AS_OF)
    frame = prepared.frame.with_columns(pl.col(model.label.key).cast(pl.String).alias(KEY))
    labels = _keyed_labels(place, model, served, now, start)
    joined = join_labels(frame, labels, key=KEY, value="value", known_at="known_at", until=now)
    counts = {
        "n_history": prepared.n_history,
        "n_live": prepared.n_captures,
        "n_outdated": n_outdated,
        "n_incomplete": prepared.n_incomplete,
        "n_duplicates": prepared.n_duplicates,
    }
    labelled = joined.frame.filter(pl.col(LABEL).is_not_null())
    columns = [*model.contract.model_fields, KEY, AS_OF, LABEL, LABEL_KNOWN_AT]
    return LabelledRows(labelled.select(columns), counts, joined)


def _served(place: Workplace, model: type[Model], now: datetime, start: datetime | None) -> pl.DataFrame:
    columns = ["prediction_id", "key", "row", "served_at"]
    rows = read_captures(place.stores.lake, model.name, start, now, columns)
    return rows if rows.is_empty() else untainted(place, model, rows, "served_at")


def _typed(place: Workplace, model: type[Model], served: pl.DataFrame) -> tuple[pl.DataFrame | None, int]:
    """Served rows in the contract's types, and how many the present contract cannot read."""
    if served.is_empty():
        return None, 0
    parsed = _parsed(place, model, served)
    at = pl.col("served_at")
    asked = served.select("prediction_id", at.alias(AS_OF), at.alias(AVAILABLE_AT))
    typed = asked.join(parsed, on="prediction_id", how="inner", maintain_order="left")
    return typed, served.height - typed.height


def _parsed(place: Workplace, model: type[Model], served: pl.DataFrame) -> pl.DataFrame:
    """The contract's fields of these rows and of others, by `prediction_id`; what was parsed before is not parsed again.

    What was captured of a prediction never changes, so its id stands for it.
    """
    by_contract = _PARSED.setdefault(place.stores.lake, {})
    known = by_contract.get(model.contract)
    new = served if known is None else served.join(known, on="prediction_id", how="anti", maintain_order="left")
    if known is None or new.height:
        typed, read = request_rows(Watched(model.name, "", (), model.policy, model), new)
        more = typed.with_columns(read["prediction_id"]).unique("prediction_id", keep="first", maintain_order=True)
        known = more if known is None else pl.concat([known, more], rechunk=True)
        by_contract[model.contract] = known.tail(_MOST_PARSED)
    return known


def _history(place: Workplace, model: type[Model], now: datetime, start: datetime | None) -> pl.DataFrame:
    lake, table = place.stores.lake, table_of(model.rows.name)
    if lake.version(table) is None:
        raise NotReady(f"Model {model.name!r} has no rows yet.", hint=f"Ingest source {model.rows.name!r} first.")
    columns = [*model.contract.model_fields, EVENT_AT, AVAILABLE_AT]
    span = known_span(AVAILABLE_AT, None, now) if start is None else Span(EVENT_AT, start, None)
    rows = lake.read(table, columns=columns, span=span).filter(pl.col(AVAILABLE_AT) <= now)
    return usable_rows(place, model.rows.name, rows).rename({EVENT_AT: AS_OF})


def _keyed_labels(
    place: Workplace, model: type[Model], served: pl.DataFrame, now: datetime, start: datetime | None
) -> pl.DataFrame:
    """Labels by key alone: one that came by a prediction's id counts for the key of that prediction.

    A key that was served twice is one training row, and a label of either prediction is its label.
    """
    since = None if start is None else start - EARLY
    labels = pl.concat(
        [read_posted_labels(place.stores.lake, model.name, since, now), _on_file(place, model, now, since)]
    ).filter(pl.col("known_at") <= now)
    if not served.is_empty():
        keys = served.select("prediction_id", served_key="key")
        labels = labels.join(keys, on="prediction_id", how="left", maintain_order="left").with_columns(
            key=pl.coalesce("served_key", "key")
        )
    return labels.select("value", "known_at", pl.col("key").alias(KEY))


def _on_file(place: Workplace, model: type[Model], now: datetime, since: datetime | None) -> pl.DataFrame:
    """Labels that the label's source brought."""
    lake, label = place.stores.lake, model.label
    if lake.version(table_of(label.source.name)) is None:
        return pl.DataFrame(schema=LABEL_SCHEMA)
    read = lake.read(table_of(label.source.name), span=Span(AVAILABLE_AT, since, now + _MICROSECOND))
    return usable_rows(place, label.source.name, read).select(
        prediction_id=pl.lit(None, pl.String),
        key=pl.col(label.key).cast(pl.String),
        value=pl.col(label.column).cast(pl.Float64),
        known_at=pl.col(label.known_at).cast(INSTANT),
    )


def usable_histories(place: Workplace, plan: FeaturePlan, until: datetime) -> dict[str, pl.DataFrame]:
    """Rows of every source of the plan's stored views that were known until an instant, quarantined ones left out."""
    read = histories(place.stores.lake, plan, until=until)
    return {source: usable_rows(place, source, rows) for source, rows in read.items()}


def holdout_window(labelled: pl.DataFrame, model: type[Model], now: datetime) -> tuple[datetime, datetime]:
    """`[start, end)`: the newest `Model.holdout` of labelled rows, kept from fitting and used to compare.

    It ends now; where so few labels are known by then that nothing could be told, it ends `label.delay` ago.
    """
    newest = labelled.filter(pl.col(AS_OF) >= now - model.holdout).height
    end = now + _MICROSECOND if newest >= MIN_ROWS else now - model.label.delay
    return end - model.holdout, end


def holdout_rows(place: Workplace, model: type[Model], now: datetime) -> pl.DataFrame:
    """The labelled rows of the holdout window."""
    labelled = labelled_rows(place, model, now, now - model.holdout - model.label.delay - _MICROSECOND).frame
    start, end = holdout_window(labelled, model, now)
    return labelled.filter((pl.col(AS_OF) >= start) & (pl.col(AS_OF) < end))


def contract_hash(model: type[Model]) -> str:
    """The hash that a version pins of the contract as it is declared now."""
    return _hash_of(model.contract)


@lru_cache(maxsize=64)
def _hash_of(contract: type[Contract]) -> str:
    return content_hash(plain(contract_definition(contract)))
