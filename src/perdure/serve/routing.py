"""Which version answers a row: an immutable table made from the ledger's pointers.

The watcher builds a table when a pointer moved and swaps it whole; a request takes the table once
and works with that one to its end. A table carries the definitions of every version it names, so
that it can be kept on disk and served from there when the ledger is gone.

Shares are sticky: a row's key falls on a fixed point of [0, 1), and each arm holds a stretch of it,
stacked in order of name from 0; the champion answers the rest. A growing share therefore only adds
keys to its arm, on every process and after every restart. A row without a key falls on 0's hash and
so always on the same arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from perdure.assets.version import CHAMPION, SHADOW, Pointer, Version
from perdure.core.canonical import plain
from perdure.core.clock import parse_at

_POINTS = float(2**53)


def share_point(asset: str, key: str) -> float:
    """Where a key of an asset falls in [0, 1): evenly spread, the same on every machine.

    Cost: about 1 µs.

    >>> round(share_point("air_time", "AA1"), 6)
    0.706193
    """
    digest = blake2b(f"{asset}\0{key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / _POINTS


@dataclass(frozen=True, slots=True)
class Arm:
    """One pointer as a route uses it: it takes the keys on `start <= point < end`."""

    name: str
    version: str
    share: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """How the traffic of one model is spread over its versions."""

    model: str
    champion: Arm
    arms: tuple[Arm, ...] = ()
    """Pointers with a share, beside the champion; their stretches do not overlap."""
    shadow: Arm | None = None
    """Predicts and is recorded, and never answers."""

    def choose(self, key: str) -> Arm:
        """The arm that answers a row of that key."""
        if self.arms:
            point = share_point(self.model, key)
            for arm in self.arms:
                if arm.start <= point < arm.end:
                    return arm
        return self.champion

    def shadows(self, key: str) -> bool:
        """Whether the shadow sees a row of that key."""
        shadow = self.shadow
        return shadow is not None and (shadow.share >= 1.0 or share_point(self.model, key) < shadow.share)

    def every_arm(self) -> tuple[Arm, ...]:
        """Champion, arms and shadow."""
        return (self.champion, *self.arms, *((self.shadow,) if self.shadow else ()))


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All routes at one generation, with the versions they name."""

    generation: int
    routes: Mapping[str, Route] = field(default_factory=dict)
    versions: Mapping[str, Version] = field(default_factory=dict)


def _route(model: str, pointers: list[Pointer]) -> Route | None:
    champion: Arm | None = None
    shadow: Arm | None = None
    arms: list[Arm] = []
    start = 0.0
    for pointer in sorted(pointers, key=lambda each: each.name):
        if pointer.name == CHAMPION:
            champion = Arm(CHAMPION, pointer.version, 1.0)
        elif pointer.name == SHADOW:
            shadow = Arm(SHADOW, pointer.version, pointer.share)
        elif pointer.share > 0.0:
            end = min(1.0, start + pointer.share)
            arms.append(Arm(pointer.name, pointer.version, pointer.share, start, end))
            start = end
    if champion is None:
        return None
    return Route(model, champion, tuple(arms), shadow if shadow and shadow.share > 0.0 else None)


def build_routes(pointers: Iterable[Pointer], models: Iterable[str]) -> dict[str, Route]:
    """A route for each of `models` that has a champion; pointers of other assets are left out."""
    served = set(models)
    by_model: dict[str, list[Pointer]] = {}
    for pointer in pointers:
        if pointer.asset in served:
            by_model.setdefault(pointer.asset, []).append(pointer)
    found = {model: _route(model, mine) for model, mine in sorted(by_model.items())}
    return {model: route for model, route in found.items() if route is not None}


def version_ids(routes: Mapping[str, Route]) -> set[str]:
    """Every version that the routes name."""
    return {arm.version for route in routes.values() for arm in route.every_arm()}


def table_as_json(table: RoutingTable) -> dict[str, Any]:
    """The table as JSON-compatible data; `table_from_json` is its inverse."""
    pointers = [
        {"asset": model, "name": arm.name, "version": arm.version, "share": arm.share}
        for model, route in table.routes.items()
        for arm in route.every_arm()
    ]
    versions = {name: plain(version) for name, version in table.versions.items()}
    return {"generation": table.generation, "pointers": pointers, "versions": versions}


def table_from_json(data: Mapping[str, Any], models: Iterable[str]) -> RoutingTable:
    """The table that `table_as_json` wrote, for the models that are still declared.

    Raises:
        KeyError, TypeError, ValueError: the data is not what `table_as_json` writes.
    """
    routes = build_routes((Pointer(**pointer) for pointer in data["pointers"]), models)
    versions = {name: _version(data["versions"][name]) for name in version_ids(routes)}
    return RoutingTable(int(data["generation"]), routes, versions)


def _version(data: Mapping[str, Any]) -> Version:
    return Version(**{**data, "created_at": parse_at(data["created_at"])})
