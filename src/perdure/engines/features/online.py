"""The serving path: functions generated for one plan that look up keys and fill model vectors.

Called a request by `plan.FeaturePlan`. Everything that does not depend on the request (which view
comes where, its TTL, the codes of categories) is written into the source once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from perdure.assets.fallback import Default, LastGood
from perdure.engines.features.planned import KEY_SEPARATOR, PlannedView, key_text
from perdure.engines.features.point_in_time import (
    EXPIRED,
    FALLBACK_DEFAULT,
    FALLBACK_LAST_GOOD,
    FRESH,
    MISSING,
    NOT_YET,
)
from perdure.engines.features.rows import RowSource, encoded, field_of_row, write_steps

Codes = Mapping[str, Mapping[str, int]]
"""Code of each category, by feature."""
_FLOAT32 = np.dtype(np.float32)


class FoundRow(Protocol):
    """A row as the online store gives it."""

    @property
    def values(self) -> Sequence[float | int | str | bool | None]:
        """In the order of the view's features."""
        ...

    @property
    def event_us(self) -> int:
        """When it happened, microseconds since 1970 UTC."""
        ...

    @property
    def available_us(self) -> int:
        """When it could first be known."""
        ...


Found = Mapping[str, Mapping[str, FoundRow]]


@dataclass(frozen=True, slots=True, eq=False)
class OnlineFeatures:
    """Model vectors of a request: `x` has shape (n, d), NaN for missing; `status` one byte a stored view."""

    x: NDArray[np.float32]
    status: list[bytes]


@dataclass(frozen=True, slots=True, eq=False)
class OnlineFunctions:
    """The generated functions of one plan, for rows of one shape (objects or mappings)."""

    lookups: Callable[[Sequence[object]], dict[str, list[str | None]]]
    _fill: Callable[[Sequence[object], Found, int], tuple[list[float], list[bytes]]]
    _width: int

    def online(self, rows: Sequence[object], found: Found, as_of_us: int) -> OnlineFeatures:
        """Vectors and statuses of `rows`."""
        flat, status = self._fill(rows, found, as_of_us)
        return OnlineFeatures(np.array(flat, _FLOAT32).reshape(len(rows), self._width), status)


def compile_online(views: Sequence[PlannedView], codes: Codes, *, mappings: bool) -> OnlineFunctions:
    """Generate the functions for `views`, in the order of the vector.

    Raises:
        BadView: an operation that this version does not know.
    """
    fill, lookups = _fill_source(views, codes, mappings), _lookups_source(views, mappings)
    return OnlineFunctions(
        cast("Any", lookups.compile("lookups(rows)")),
        cast("Any", fill.compile("fill(rows, found, as_of)")),
        sum(len(view.features) for view in views),
    )


def _lookups_source(views: Sequence[PlannedView], mappings: bool) -> RowSource:
    source = RowSource()
    source.names["KEY"] = key_text
    stored = [view for view in views if view.stored]
    found = [f"{source.bind(view.id)}: [{_key(view, mappings)} for row in rows]" for view in stored]
    source.lines.append(f"return {{{', '.join(found)}}}")
    return source


def _key(view: PlannedView, mappings: bool) -> str:
    """Source of the key's text of one row; None when a part is missing."""
    parts = [f"(p{at} := {field_of_row(name, mappings=mappings)})" for at, name in enumerate(view.key)]
    texts = [f"(p{at} if p{at}.__class__ is str else KEY(p{at}))" for at in range(len(parts))]
    joined = f" + {KEY_SEPARATOR!r} + ".join(texts)
    return f"(None if {' or '.join(f'{part} is None' for part in parts)} else {joined})"


def _fill_source(views: Sequence[PlannedView], codes: Codes, mappings: bool) -> RowSource:
    source = RowSource()
    source.names |= {"KEY": key_text, "NOTHING": {}}
    body: list[str] = []
    for at, view in enumerate(views):
        if view.stored:
            source.lines.append(f"get{at} = found.get({source.bind(view.id)}, NOTHING).get")
            body += _stored(source, at, view, codes, mappings)
    source.lines += ["flat, status = [], []", "push = flat.extend", "for row in rows:"]
    body += _on_demand(source, views, codes, mappings)
    body += [f"push(v{at})" for at in range(len(views))]
    statuses = "".join(f"s{at}, " for at, view in enumerate(views) if view.stored)
    body.append(f"status.append(bytes(({statuses})))")
    source.lines += [f"    {line}" for line in body] + ["return flat, status"]
    return source


def _stored(source: RowSource, at: int, view: PlannedView, codes: Codes, mappings: bool) -> list[str]:
    """Statements that set `v<at>`, the view's part of the vector, and `s<at>`, its status."""
    lines = _hit(source, at, view, codes, mappings)
    if not any(name in codes for name in view.features):
        return [*lines, f"    if None in v{at}: v{at} = [NAN if v is None else v for v in v{at}]"]
    parts = []
    for place, name in enumerate(view.features):
        value = f"v{at}[{place}]"
        known = f"{source.bind(dict(codes[name]))}.get({value}, NAN)" if name in codes else None
        parts.append(known or f"NAN if {value} is None else {value}")
    return [*lines, f"    v{at} = ({', '.join(parts)},)"]


def _hit(source: RowSource, at: int, view: PlannedView, codes: Codes, mappings: bool) -> list[str]:
    """Statements that find the row; the last one opens the branch of a row that counts."""
    defaults = view.fallback if isinstance(view.fallback, Mapping) else {}
    instead = source.bind(tuple(_default(name, defaults, codes) for name in view.features))

    def without_row(status: int) -> str:
        return f"s{at} = {FALLBACK_DEFAULT if defaults else status}; v{at} = {instead}"

    usable_us, fresh = view.ttl_us, str(FRESH)
    if isinstance(view.fallback, LastGood):
        usable_us = view.fallback.within_us
        fresh += f" if as_of - hit.event_us <= {view.ttl_us} else {FALLBACK_LAST_GOOD}"
    lines = [
        f"hit = get{at}({_key(view, mappings)})",
        f"if hit is None: {without_row(MISSING)}",
        f"elif hit.available_us > as_of: {without_row(NOT_YET)}",
    ]
    if usable_us is not None:
        lines.append(f"elif as_of - hit.event_us > {usable_us}: {without_row(EXPIRED)}")
    return [*lines, "else:", f"    s{at} = {fresh}; v{at} = hit.values"]


def _default(name: str, defaults: Mapping[str, Default], codes: Codes) -> float:
    """A feature's declared value as the vector holds it; NaN where there is none."""
    if name not in defaults:
        return math.nan
    value = defaults[name]
    return float(codes[name].get(value, math.nan) if isinstance(value, str) else value)


def _on_demand(source: RowSource, views: Sequence[PlannedView], codes: Codes, mappings: bool) -> list[str]:
    """Statements that set `v<at>` of every view on demand; parts that views share are computed once."""
    named = [(at, name, expr) for at, view in enumerate(views) if not view.stored for name, expr in view.exprs.items()]
    begin = len(source.lines)
    results = write_steps(source, [expr for _, _, expr in named], mappings=mappings)
    lines, source.lines = source.lines[begin:], source.lines[:begin]
    parts: dict[int, list[str]] = {}
    for (at, name, _), (result, step) in zip(named, results, strict=True):
        parts.setdefault(at, []).append(encoded(source, result, step, codes.get(name)))
    return lines + [f"v{at} = ({', '.join(values)},)" for at, values in parts.items()]
