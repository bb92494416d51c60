"""What a model version needs of features: learned offline, served online, recomputed for proof.

A `FeaturePlan` is made from declared views at training, or from a version's stored definition when
the version is served or checked; the user's code is not needed then. Offline and online agree to
the bit in float32: stored features are computed by `frames` on both paths, those on demand by
`frames` or `rows`, which agree (see `steps`), and both join by the same rule (see `point_in_time`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.fallback import LastGood
from perdure.assets.feature_view import FeatureView
from perdure.core.errors import BadView, not_found
from perdure.engines.features.fallbacks import by_age, with_defaults
from perdure.engines.features.frames import FrameFunction, compile_frame
from perdure.engines.features.online import Found, OnlineFeatures, OnlineFunctions, compile_online
from perdure.engines.features.planned import KEY_SEPARATOR, PlannedFeature, PlannedView, StoredRow
from perdure.engines.features.point_in_time import FALLBACK_LAST_GOOD, FRESH, MISSING, STATUS, as_of_join

EVENT_AT, AVAILABLE_AT = "_event_at", "_available_at"
"""Columns of a history frame: when a row happened, and from when it could be known."""
_TYPES = {"number": pl.Float64, "bool": pl.Boolean, "text": pl.String}
_LOOKED_UP_ROWS = 4_000
"""Up to so many rows, looking each category up (0.1 µs) costs less than one pass of polars (0.5 ms and 0.02 µs a row)."""


@dataclass(frozen=True, slots=True, eq=False)
class OfflineFeatures:
    """Features of n rows: `frame` the raw ones in order, `status` uint8 of shape (n, stored views)."""

    frame: pl.DataFrame
    status: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FeaturePlan:
    """The views of a model in the order of its vector, and the categories it learned.

    Build it with `from_views` or `from_definition`.
    """

    views: tuple[PlannedView, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of each categorical feature; a value's code is its place. Empty until learned."""

    @staticmethod
    def from_views(views: Sequence[FeatureView]) -> FeaturePlan:
        """The plan of declared views.

        Raises:
            BadView: two features have one name; the message names both views.
        """
        return _checked(tuple(PlannedView.from_definition(view.definition(), view.version) for view in views))

    @staticmethod
    def from_definition(definition: Mapping[str, Any]) -> FeaturePlan:
        """The plan that `definition` wrote; other keys of a version's definition are left alone.

        Raises:
            BadView: a view's definition was changed, or uses what this version does not know.
        """
        ids = list(dict.fromkeys(feature["view"] for feature in definition["features"]))
        plan = _checked(tuple(PlannedView.from_definition(definition["views"][id_], id_) for id_ in ids))
        return plan.with_categories(definition["categories"])

    def with_categories(self, categories: Mapping[str, Sequence[str]]) -> FeaturePlan:
        """This plan with the values of its categorical features.

        Raises:
            NotFound: a feature that is not one of the plan's categorical ones.
        """
        known = [feature.name for feature in self.features if feature.kind == "category"]
        for name in categories:
            if name not in known:
                raise not_found("categorical feature", name, known)
        return replace(self, categories={name: tuple(values) for name, values in categories.items()})

    def definition(self) -> dict[str, Any]:
        """The plan as JSON-compatible data: what a version pins."""
        return {
            "features": [{"name": each.name, "view": each.view, "kind": each.kind} for each in self.features],
            "categories": {name: list(values) for name, values in self.categories.items()},
            "views": {view.id: dict(view.definition) for view in self.views},
        }

    @cached_property
    def features(self) -> tuple[PlannedFeature, ...]:
        """Every position of the vector, in order."""
        return tuple(
            PlannedFeature(name, view.id, expr.kind) for view in self.views for name, expr in view.exprs.items()
        )

    @cached_property
    def stored_views(self) -> tuple[PlannedView, ...]:
        """The views that are kept online by key, in the order of the status bytes."""
        return tuple(view for view in self.views if view.stored)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources of the stored views, each once."""
        return tuple(dict.fromkeys(view.source for view in self.stored_views))

    # Offline

    def offline(self, rows: pl.DataFrame, as_of: str, history: Mapping[str, pl.DataFrame]) -> OfflineFeatures:
        """Raw features of each row as they were known at its instant.

        Args:
            rows: n rows with the request contract's fields and the instant `as_of`.
            as_of: name of the column with the instant of each row.
            history: rows of each source with its contract's columns, `_event_at` and `_available_at`;
                a source that is not there has no rows.

        Cost: one as-of join a stored view (see `as_of_join`) and the features of n rows.
        """
        parts, statuses = [], []
        for view in self.views:
            if view.stored:
                part, status = self._joined(view, rows, as_of, history.get(view.source))
                statuses.append(status)
            else:
                part = self._compute[view.id](rows)
            parts.append(part)
        shape = (rows.height, len(self.stored_views))
        status = np.column_stack(statuses) if statuses else np.zeros(shape, np.uint8)
        return OfflineFeatures(pl.concat(parts, how="horizontal"), status)

    def _joined(
        self, view: PlannedView, rows: pl.DataFrame, as_of: str, history: pl.DataFrame | None
    ) -> tuple[pl.DataFrame, NDArray[np.uint8]]:
        if history is None:
            schema = {name: _TYPES[expr.type] for name, expr in view.exprs.items()}
            part = pl.DataFrame(schema=schema).clear(rows.height)
            status = np.full(rows.height, MISSING, np.uint8)
        else:
            part, status = self._known(view, rows, as_of, history)
        return with_defaults(part, status, view.fallback) if isinstance(view.fallback, Mapping) else (part, status)

    def _known(
        self, view: PlannedView, rows: pl.DataFrame, as_of: str, history: pl.DataFrame
    ) -> tuple[pl.DataFrame, NDArray[np.uint8]]:
        """What the history gives each row, before declared values stand in for what it does not have."""
        last_good = view.fallback if isinstance(view.fallback, LastGood) else None
        ttl = timedelta(microseconds=view.ttl_us) if view.ttl_us is not None and last_good is None else None
        joined = as_of_join(rows, as_of, history, view.key, (EVENT_AT, AVAILABLE_AT), ttl)
        keyed = joined.with_columns(rows.get_column(name).cast(history.schema[name]) for name in view.key)
        status = joined.get_column(STATUS).to_numpy()
        if last_good is not None and view.ttl_us is not None:
            limits_us = (view.ttl_us, last_good.within_us)
            status = by_age(status, rows.get_column(as_of), joined.get_column(EVENT_AT), limits_us)
        usable = pl.lit(pl.Series(np.isin(status, (FRESH, FALLBACK_LAST_GOOD))))
        return self._compute[view.id](keyed).select(pl.when(usable).then(pl.all())), status

    def learn_categories(self, frame: pl.DataFrame) -> dict[str, tuple[str, ...]]:
        """The values of each categorical feature of a raw frame, sorted."""
        return {
            feature.name: tuple(frame.get_column(feature.name).drop_nulls().unique().sort().to_list())
            for feature in self.features
            if feature.kind == "category"
        }

    def encode(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """A raw frame as model vectors, shape (n, d): codes for categories, NaN for null and unseen values.

        Raises:
            BadView: the categories were not learned yet.
        """
        codes = self._codes
        columns = np.empty((frame.height, len(self.features)), np.float32, order="F")
        for at, feature in enumerate(self.features):
            column = frame.get_column(feature.name)
            if feature.name in codes:
                columns[:, at] = _coded(column, codes[feature.name])
            else:
                columns[:, at] = column.cast(pl.Float64).to_numpy()
        return np.ascontiguousarray(columns)

    def materialise(self, view_id: str, source_rows: pl.DataFrame) -> list[StoredRow]:
        """The row of each key that the online store should hold, of rows of the view's source.

        Args:
            view_id: version id of a stored view of this plan.
            source_rows: rows with the source's columns, `_event_at` and `_available_at`, in any order.

        Returns: the newest row a key, by `(event_at, available_at)`; keys with a null part have none.
        Raises: NotFound: no such stored view.
        """
        known = {view.id: view for view in self.stored_views}
        if view_id not in known:
            raise not_found("stored view", view_id, known)
        view = known[view_id]
        rows = _newest_rows(view, source_rows)
        return _stored_rows(view, rows, self._compute[view_id](rows))

    # Online

    def lookups(self, rows: Sequence[object]) -> dict[str, list[str | None]]:
        """The keys to look up for request rows: one list a stored view, aligned to `rows`.

        A composite key's parts are joined by U+001F; None where a part is missing.
        """
        return self._functions(rows).lookups(rows)

    def online(self, rows: Sequence[object], found: Found, as_of_us: int) -> OnlineFeatures:
        """Model vectors of request rows at an instant.

        Args:
            rows: n rows, each with the contract's fields as attributes (or all of them dicts).
            found: by view id, the rows that the online store has, by key.
            as_of_us: domain time; what became available later does not count, nor what is past its TTL.

        Returns: `x` of shape (n, d) and for each row its status bytes: 0 fresh, 1 missing, 2 expired,
            3 not yet available; where the view's fallback answered, 4 (the last good row) or 5 (its defaults).
        Raises: BadView: the categories were not learned yet.
        Cost: about 3 µs a row with 17 features of 4 views, 2 of them stored; the look-up is not in it.
        """
        return self._functions(rows).online(rows, found, as_of_us)

    def _functions(self, rows: Sequence[object]) -> OnlineFunctions:
        return self._of_mappings if rows and isinstance(rows[0], dict) else self._of_objects

    @cached_property
    def _of_objects(self) -> OnlineFunctions:
        return compile_online(self.views, self._codes, mappings=False)

    @cached_property
    def _of_mappings(self) -> OnlineFunctions:
        return compile_online(self.views, self._codes, mappings=True)

    @cached_property
    def _compute(self) -> dict[str, FrameFunction]:
        return {view.id: compile_frame(view.exprs) for view in self.views}

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        for feature in self.features:
            if feature.kind == "category" and feature.name not in self.categories:
                raise BadView(
                    f"The categories of feature {feature.name!r} are not known.",
                    hint="Learn them: plan.with_categories(plan.learn_categories(features.frame)).",
                )
        return {name: {value: code for code, value in enumerate(values)} for name, values in self.categories.items()}


def _coded(column: pl.Series, codes: Mapping[str, int]) -> NDArray[np.float64]:
    """The code of each value, NaN where it has none."""
    if len(column) <= _LOOKED_UP_ROWS:
        return np.array([codes.get(value, np.nan) for value in column.to_list()], np.float64)
    return column.replace_strict(codes, default=None, return_dtype=pl.Float64).to_numpy()


def _checked(views: tuple[PlannedView, ...]) -> FeaturePlan:
    owner: dict[str, str] = {}
    for view in views:
        for name in view.features:
            if name in owner:
                raise BadView(
                    f"The feature {name!r} is in view {owner[name]!r} and in view {view.name!r}.",
                    hint="Rename one of them: a model's features have one name each.",
                )
            owner[name] = view.name
    return FeaturePlan(views)


def _newest_rows(view: PlannedView, source_rows: pl.DataFrame) -> pl.DataFrame:
    """The row of each key that an as-of join at the end of `source_rows` would find."""
    keyed = source_rows.drop_nulls(view.key)
    if keyed.n_unique(view.key) == keyed.height:
        return keyed
    latest = pl.lit(keyed[AVAILABLE_AT].max(), keyed.schema[AVAILABLE_AT])
    asked = keyed.select(view.key).unique(maintain_order=True).with_columns(latest.alias("_as_of"))
    newest = as_of_join(asked, "_as_of", keyed, view.key, (EVENT_AT, AVAILABLE_AT))
    return newest.with_columns(asked.select(view.key)).filter(pl.col(STATUS) == FRESH)


def _stored_rows(view: PlannedView, rows: pl.DataFrame, features: pl.DataFrame) -> list[StoredRow]:
    # Rounded to 32 bits here, so that a store may keep four bytes and nothing changes.
    rounded = features.with_columns(pl.col(pl.Float64).cast(pl.Float32).cast(pl.Float64))
    keys = rows.select(pl.concat_str([pl.col(name).cast(pl.String) for name in view.key], separator=KEY_SEPARATOR))
    instants = rows.select(pl.col(EVENT_AT, AVAILABLE_AT).cast(pl.Datetime("us", "UTC")).to_physical())
    return [
        StoredRow(key, values, event_us, available_us)
        for key, values, (event_us, available_us) in zip(
            keys.to_series().to_list(), rounded.rows(), instants.rows(), strict=True
        )
    ]
