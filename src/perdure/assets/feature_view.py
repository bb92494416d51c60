"""Feature views: one definition of features, traced once, computed on a million rows or on one.

A *stored* view computes features of a source's rows; they are kept online by key and joined as of
a point in time. An *on-demand* view computes features of the request's own row.

    @feature_view(key="origin", source=weather, ttl=hours(3))
    def weather_now(w):
        return {"wind_gust": w.wind_gust, "low_visibility": w.visibility < 3.0}

    @feature_view(on=Flight)
    def calendar(f):
        return {"hour": f.scheduled_at.hour(), "weekday": f.scheduled_at.weekday()}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from perdure.assets.contract import Contract
from perdure.assets.expressions import Expr
from perdure.assets.fallback import Fallback, checked_fallback, fallback_as_json
from perdure.assets.fields import contract_fields
from perdure.assets.source import Source, checked_name
from perdure.assets.tracing import Row, trace
from perdure.core.canonical import content_hash
from perdure.core.errors import BadView, nearest

KEY_TYPES = ("str", "int", "literal", "enum")


@dataclass(frozen=True, slots=True, eq=False)
class FeatureView:
    """A named set of features with the rows they are computed from.

    Exactly one of `source` (stored) and `on` (on demand) is set.
    """

    name: str
    features: Mapping[str, Expr]
    """Feature name → expression over the fields of the rows."""
    key: tuple[str, ...] = ()
    source: Source | None = None
    ttl: timedelta | None = None
    """How long a stored row may be used after its `event_at`; None: for ever."""
    on: type[Contract] | None = None
    fallback: Fallback | None = None
    """What a row gets when the stored one is missing or past its TTL; None: missing features."""

    @property
    def contract(self) -> type[Contract]:
        """Contract of the rows that the features are computed from."""
        if self.source is not None:
            return self.source.contract
        assert self.on is not None
        return self.on

    def definition(self) -> dict[str, Any]:
        """The view as canonical data: what its version hashes, and enough to compute it without the code.

        Features are a list: a stored row holds its values in this order. A fallback is a part only
        where one is declared, so that views without one keep the version they had before there were any.
        """
        fallback = {} if self.fallback is None else {"fallback": fallback_as_json(self.fallback)}
        return {
            "name": self.name,
            "kind": "on_demand" if self.source is None else "stored",
            "key": list(self.key),
            "source": self.source.name if self.source else None,
            "event_at": self.source.event_at if self.source else None,
            "available_at": self._available_at(),
            "ttl_us": self.ttl // timedelta(microseconds=1) if self.ttl is not None else None,
            "features": [{"name": name, "expr": expr.as_json()} for name, expr in self.features.items()],
            **fallback,
        }

    def _available_at(self) -> str | int | None:
        """A field's name, or the delay after `event_at` in microseconds."""
        if self.source is None:
            return None
        declared = self.source.available_at
        return declared if isinstance(declared, str) else declared // timedelta(microseconds=1)

    @property
    def version(self) -> str:
        """`name@` and 12 hex digits of the definition's hash."""
        return f"{self.name}@{content_hash(self.definition())[:12]}"


def feature_view(
    *,
    key: str | tuple[str, ...] = (),
    source: Source | None = None,
    ttl: timedelta | None = None,
    on: type[Contract] | None = None,
    name: str | None = None,
    fallback: Fallback | None = None,
) -> Callable[[Callable[[Row], Mapping[str, Any]]], FeatureView]:
    """Declare a feature view from a function of one row; the function is traced, never run on data.

    Args:
        key: field or fields of the source by which a row is found; the request carries the same.
        source: rows of a stored view.
        ttl: how long after `event_at` a stored row still counts.
        on: contract of the request, for an on-demand view.
        name: the function's name by default.
        fallback: what a row gets when the stored one is missing or past its TTL: `last_good()`, or values
            by feature. None: missing features.

    Raises:
        BadView: neither or both of `source` and `on`, a key that the source lacks, a function that
            does something that cannot be traced (the message has file, line and what to write), a
            fallback that does not fit the features or the ttl.
    """
    keys = (key,) if isinstance(key, str) else tuple(key)

    def declare(function: Callable[[Row], Mapping[str, Any]]) -> FeatureView:
        label = checked_name(name or function.__name__, "feature view")
        _check_shape(label, keys, source, ttl, on)
        if fallback is not None and source is None:
            raise BadView(f"Feature view {label!r} is on demand, so fallback= means nothing.", hint="Remove it.")
        contract = source.contract if source is not None else on
        assert contract is not None
        features = trace(function, contract, label)
        checked = None if fallback is None else checked_fallback(fallback, ttl, features, label)
        return FeatureView(label, features, keys, source, ttl, on, checked)

    return declare


def _check_shape(
    name: str, key: tuple[str, ...], source: Source | None, ttl: timedelta | None, on: type[Contract] | None
) -> None:
    if (source is None) == (on is None):
        raise BadView(
            f"Feature view {name!r} needs exactly one of source= and on=.",
            hint="source= for rows kept by key, on= for the request's own row.",
        )
    if source is None:
        if key or ttl:
            raise BadView(f"Feature view {name!r} is on demand, so key= and ttl= mean nothing.", hint="Remove them.")
        return
    if ttl is not None and ttl <= timedelta(0):
        raise BadView(f"Feature view {name!r} has a ttl of {ttl}.", hint="Leave it out to use rows for ever.")
    if not key:
        raise BadView(f"Feature view {name!r} has a source and no key.", hint="Name the field to find its rows by.")
    _check_key(name, key, source)


def _check_key(name: str, key: tuple[str, ...], source: Source) -> None:
    types = {spec.name: spec.type for spec in contract_fields(source.contract)}
    for field in key:
        if field not in types:
            near = nearest(field, types)
            raise BadView(
                f"Feature view {name!r} is keyed by {field!r}, which source {source.name!r} does not have.",
                hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(types)}.",
            )
        if types[field] not in KEY_TYPES:
            raise BadView(
                f"Feature view {name!r} is keyed by {field!r}, a {types[field]}.",
                hint="Key by text or int fields: they are equal or not without rounding.",
            )
