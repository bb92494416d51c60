"""What a backtest replays: labelled rows, their features as of each row's own time, and when each was known.

The rows are read once, as they are known at the end of the replay; at an instant before, only those count
whose row and label were known by then. A label that was corrected counts from its correction on: what it said
before is not replayed. Rows of quarantined ranges are left out from the beginning.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.model import Model
from perdure.core.canonical import content_hash
from perdure.core.clock import to_us
from perdure.core.errors import NotReady
from perdure.engines.features import FeaturePlan
from perdure.engines.training.dataset import LABEL, LABEL_KNOWN_AT
from perdure.loop.intake import table_of
from perdure.loop.protocols import Workplace
from perdure.loop.work.feed import AVAILABLE_AT
from perdure.loop.work.rows import AS_OF, KEY, holdout_window, labelled_rows, usable_histories

Float1D = NDArray[np.float64]
Float2D = NDArray[np.float32]
Int1D = NDArray[np.int64]
Mask = NDArray[np.bool_]

NEVER_US = np.iinfo(np.int64).max
"""Stands for when a label is known that never comes."""
_ENCODINGS_KEPT = 4
_LEAST = 2


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Labelled rows in order of their instants; instants in µs since 1970.

    Make one by `read_history`.
    """

    model: type[Model]
    """As declared, but for the holdout and the label's delay that the backtest assumes."""
    rows: pl.DataFrame
    """`_as_of` and the fields by which errors are told apart, n rows."""
    raw: pl.DataFrame
    """Raw features, n rows."""
    plan: FeaturePlan
    """Of the declared views; without categories."""
    y: Float1D
    as_of: Int1D
    known: Int1D
    """When both the row and its label were known."""
    _encoded: OrderedDict[str, Float2D] = field(init=False, default_factory=OrderedDict)
    _windows: dict[datetime, tuple[datetime, datetime]] = field(init=False, default_factory=dict)

    def row_at(self, at: datetime) -> int:
        """The first row at or after an instant."""
        return int(np.searchsorted(self.as_of, to_us(at)))

    def known_by(self, at: datetime) -> Mask:
        """Rows that could be learned from at an instant, with their labels."""
        return self.known <= to_us(at)

    def between(self, start: datetime, end: datetime, at: datetime) -> Int1D:
        """Positions of the rows in `[start, end)` that were known at an instant."""
        first, last = self.row_at(start), self.row_at(end)
        found: Int1D = first + np.flatnonzero(self.known[first:last] <= to_us(at))
        return found

    def holdout(self, at: datetime) -> tuple[datetime, datetime]:
        """`[start, end)` of the rows that a repair at an instant keeps from fitting."""
        if at not in self._windows:
            known = self.rows.select(AS_OF).filter(pl.Series(self.known_by(at)))
            self._windows[at] = holdout_window(known, self.model, at)
        return self._windows[at]

    def encoded(self, plan: FeaturePlan) -> Float2D:
        """All rows as a plan encodes them, shape (n, d); the newest few encodings are kept."""
        key = content_hash({name: list(values) for name, values in plan.categories.items()})
        if key not in self._encoded:
            self._encoded[key] = plan.encode(self.raw)
            while len(self._encoded) > _ENCODINGS_KEPT:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def learned(self, train: Mask) -> FeaturePlan:
        """The plan with the categories of training rows."""
        return self.plan.with_categories(self.plan.learn_categories(self.raw.filter(pl.Series(train))))


@dataclass(frozen=True, slots=True)
class Assumed:
    """What a backtest assumes instead of what is declared; None: as declared, or as recorded."""

    holdout: timedelta | None = None
    label_delay: timedelta | None = None
    """Every label is known so long after its row."""
    unlabelled: bool = False
    """No label comes any more after the replay has begun."""


def read_history(place: Workplace, model: type[Model], now: datetime, assumed: Assumed) -> History:
    """The labelled history of a model as it is known at `now`.

    Args:
        place: where the rows are.
        model: whose rows.
        now: rows and labels are those known by then.
        assumed: see `Assumed`; `unlabelled` is left to `without_labels`.

    Raises:
        NotReady: there are no labelled rows.
    Cost: about 1 s CPU for 100,000 rows, and their features.
    """
    labelled = labelled_rows(place, model, now).frame.sort(AS_OF, KEY, maintain_order=True)
    if labelled.height < _LEAST:
        raise NotReady(
            f"Model {model.name!r} has {labelled.height} labelled rows to replay.",
            hint="Ingest its sources, or let captures and labels come in: perdure tick.",
        )
    plan = FeaturePlan.from_views(model.features)
    raw = plan.offline(labelled, AS_OF, usable_histories(place, plan, now)).frame
    as_of = _us(labelled[AS_OF])
    known = _known(place, model, labelled, as_of)
    if assumed.label_delay is not None:
        known = as_of + assumed.label_delay // timedelta(microseconds=1)
    told_apart = labelled.select(AS_OF, *fields_of(model))
    return History(_as_assumed(model, assumed), told_apart, raw, plan, labelled[LABEL].to_numpy(), as_of, known)


def without_labels(history: History, since: datetime) -> History:
    """The same history where no label that was not known at an instant is ever known."""
    return replace(history, known=np.where(history.known_by(since), history.known, NEVER_US))


def _known(place: Workplace, model: type[Model], labelled: pl.DataFrame, as_of: Int1D) -> Int1D:
    """When row and label were known: never too early, possibly later where a captured row came by its source, too."""
    key = pl.col(model.label.key).cast(pl.String).alias(KEY)
    on_file = place.stores.lake.read(table_of(model.rows.name), columns=[model.label.key, AVAILABLE_AT])
    available = on_file.group_by(key).agg(pl.col(AVAILABLE_AT).min())
    found = labelled.select(KEY).join(available, on=KEY, how="left", maintain_order="left")[AVAILABLE_AT]
    known_at: Int1D = np.maximum(as_of, _us(labelled[LABEL_KNOWN_AT]))
    return np.maximum(known_at, np.where(found.is_null().to_numpy(), as_of, _us(found)))


def _us(instants: pl.Series) -> Int1D:
    return instants.dt.epoch("us").fill_null(0).cast(pl.Int64).to_numpy()


def fields_of(model: type[Model]) -> list[str]:
    """Fields of the slices that gates look at and that objectives name."""
    return list(dict.fromkeys([*model.slices, *(each.spec.by for each in model.healthy if each.spec.by)]))


def _as_assumed(model: type[Model], assumed: Assumed) -> type[Model]:
    changed: dict[str, Any] = {}
    if assumed.holdout is not None:
        changed["holdout"] = assumed.holdout
        changed["recent"] = tuple(window for window in model.recent if window > assumed.holdout)
    if assumed.label_delay is not None:
        changed["label"] = replace(model.label, delay=assumed.label_delay)
    return type(model.__name__, (model,), {"name": model.name, **changed}) if changed else model
