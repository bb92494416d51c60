"""Which version answers: an immutable table made from the ledger's pointers, for every asset that is served.

The watcher builds a table when a pointer moved and swaps it whole; a request takes the table once
and works with that one to its end. A table carries the definitions of every version it names, so
that it can be kept on disk and served from there when the ledger is gone.

Shares are sticky, on every process and after every restart. Each arm draws for each key a fixed point
of its own, and from it an alarm that rings the sooner the larger its share; the first to ring answers
(weighted rendezvous: of exponential alarms, the first belongs to an arm with the probability of its
share). The champion holds the share that the others leave. What follows, for any number of arms:

* the keys of an arm are its share of all keys, exactly in expectation;
* an arm that grows keeps every key it had, and one that shrinks gives back what it had taken;
* no key moves between two arms that are not the champion unless the share of one of them changed.

Stretches of one line would be simpler, and would move every arm that lies behind the one that grew.
A row without a key goes by the empty key, and so always to the same arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf, log1p
from typing import Any

from perdure.assets.version import CHAMPION, SHADOW, Pointer, Version
from perdure.core.canonical import plain
from perdure.core.clock import parse_at

_POINTS = float(2**53)
_ROUNDING = 1e-12  # shares that sum to 1 but for this leave nothing to the champion


def share_point(asset: str, arm: str, key: str) -> float:
    """Where a key of an asset falls in [0, 1) for one arm: evenly spread, the same on every machine.

    Points of different arms have nothing to do with each other. Cost: about 1 µs.

    >>> round(share_point("air_time", "challenger", "AA1"), 6)
    0.296492
    """
    digest = blake2b(f"{asset}\0{arm}\0{key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / _POINTS


@dataclass(frozen=True, slots=True)
class Arm:
    """One pointer as a route uses it, with the share of the keys that it really gets."""

    name: str
    version: str
    share: float


@dataclass(frozen=True, slots=True)
class Route:
    """How the traffic of one asset is spread over its versions."""

    asset: str
    champion: Arm
    arms: tuple[Arm, ...] = ()
    """Pointers with a share, beside the champion; all shares sum to 1."""
    shadow: Arm | None = None
    """Predicts and is recorded, and never answers."""

    def choose(self, key: str) -> Arm:
        """The arm that answers a row of that key. Cost: about 1.2 µs an arm, the champion one of them; nothing without arms."""
        if not self.arms:
            return self.champion
        return min((self.champion, *self.arms), key=lambda arm: _alarm(self.asset, arm, key))

    def shadows(self, key: str) -> bool:
        """Whether the shadow sees a row of that key."""
        shadow = self.shadow
        return shadow is not None and (shadow.share >= 1.0 or share_point(self.asset, SHADOW, key) < shadow.share)

    def every_arm(self) -> tuple[Arm, ...]:
        """Champion, arms and shadow."""
        return (self.champion, *self.arms, *((self.shadow,) if self.shadow else ()))


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All routes at one generation, with the versions they name."""

    generation: int
    routes: Mapping[str, Route] = field(default_factory=dict)
    versions: Mapping[str, Version] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ServingTable:
    """A routing table with all its versions loaded."""

    table: RoutingTable
    servables: Mapping[str, Any]
    """Version → what answers, as the loader of its kind made it: of a model a `Servable`, of a guard a `Compiled`."""


def _alarm(asset: str, arm: Arm, key: str) -> float:
    """When the arm's alarm for a key rings: exponential with the rate of its share; never without a share."""
    return -log1p(-share_point(asset, arm.name, key)) / arm.share if arm.share > 0.0 else inf


def _route(asset: str, pointers: list[Pointer]) -> Route | None:
    named = {pointer.name: pointer for pointer in pointers}
    champion, shadow = named.pop(CHAMPION, None), named.pop(SHADOW, None)
    if champion is None:
        return None
    left = 1.0
    arms: list[Arm] = []
    for name, pointer in sorted(named.items()):
        share = min(pointer.share, left)
        if share > 0.0:
            arms.append(Arm(name, pointer.version, share))
            left -= share
    seen = Arm(SHADOW, shadow.version, shadow.share) if shadow is not None and shadow.share > 0.0 else None
    return Route(asset, Arm(CHAMPION, champion.version, left if left > _ROUNDING else 0.0), tuple(arms), seen)


def build_routes(pointers: Iterable[Pointer], assets: Iterable[str]) -> dict[str, Route]:
    """A route for each of `assets` that has a champion; pointers of others are left out.

    Where shares sum to more than 1, arms get theirs in order of name until nothing is left.
    """
    served = set(assets)
    by_asset: dict[str, list[Pointer]] = {}
    for pointer in pointers:
        if pointer.asset in served:
            by_asset.setdefault(pointer.asset, []).append(pointer)
    found = {asset: _route(asset, mine) for asset, mine in sorted(by_asset.items())}
    return {asset: route for asset, route in found.items() if route is not None}


def version_ids(routes: Mapping[str, Route]) -> set[str]:
    """Every version that the routes name."""
    return {arm.version for route in routes.values() for arm in route.every_arm()}


def join_tables(chosen: Mapping[str, RoutingTable], generation: int) -> RoutingTable:
    """The route of each asset from the table that was chosen for it, and the versions they name."""
    routes = {asset: table.routes[asset] for asset, table in chosen.items()}
    versions = {
        arm.version: table.versions[arm.version]
        for asset, table in chosen.items()
        for arm in table.routes[asset].every_arm()
    }
    return RoutingTable(generation, routes, versions)


def table_as_json(table: RoutingTable) -> dict[str, Any]:
    """The table as JSON-compatible data; `table_from_json` is its inverse."""
    pointers = [
        {"asset": asset, "name": arm.name, "version": arm.version, "share": arm.share}
        for asset, route in table.routes.items()
        for arm in route.every_arm()
    ]
    versions = {name: plain(version) for name, version in table.versions.items()}
    return {"generation": table.generation, "pointers": pointers, "versions": versions}


def table_from_json(data: Mapping[str, Any], assets: Iterable[str]) -> RoutingTable:
    """The table that `table_as_json` wrote, for the assets that are still declared.

    Raises:
        KeyError, TypeError, ValueError: the data is not what `table_as_json` writes.
    """
    routes = build_routes((Pointer(**pointer) for pointer in data["pointers"]), assets)
    versions = {name: _version(data["versions"][name]) for name in version_ids(routes)}
    return RoutingTable(int(data["generation"]), routes, versions)


def _version(data: Mapping[str, Any]) -> Version:
    return Version(**{**data, "created_at": parse_at(data["created_at"])})
