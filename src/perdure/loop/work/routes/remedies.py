"""Every remedy of routes: another order among the declared targets, one of them left out, or a version of before.

A candidate is the champion's definition changed in one thing, so a step that is done again makes the same version: what is
changed, and of which version, stands in the action itself. Nothing here answers traffic that moved or guards in trouble:
there the loop asks a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Cause
from perdure.assets.repair import BLAMED, SCHEDULE, Action
from perdure.assets.version import Version
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.candidates import best_of_known, other_versions
from perdure.loop.work.making import make_version
from perdure.loop.work.routes.definitions import (
    LIMITS,
    left_out,
    limit_of,
    limited,
    put_first,
    put_last,
    target_ids,
    why_not_declared,
)
from perdure.loop.work.routes.evidence import N_LEAST, Evidence, evidence_of, window_of
from perdure.loop.work.routes.symptoms import (
    LONGER_CALLS,
    PRICE_CHANGE,
    SILENT_CHANGE,
    UPSTREAM_FAILING,
    UPSTREAM_SATURATED,
    UPSTREAM_SLOW,
    healthy_time,
)
from perdure.loop.work.routes.traffic import read_tries
from perdure.loop.work.versions import find_champion, get_version

BEST = 3
"""Past versions that compete."""
MOST = 40
_COST_S = 0.05
_QUANTILE = 0.99
_N_CAP = 100
_OF_TARGET = (UPSTREAM_FAILING, UPSTREAM_SATURATED, UPSTREAM_SLOW)
_ANY_TARGET = (*_OF_TARGET, SILENT_CHANGE, PRICE_CHANGE)
Change = Callable[[Mapping[str, Any]], dict[str, Any] | None]
"""A definition → the changed one; None: it changes nothing."""


def route_remedies() -> tuple[Remedy, ...]:
    """The remedies of the kind "route"."""
    return (RouteDemote(), RouteFallback(), RoutePastVersion(), RouteCap())


def _sick_target(causes: Sequence[Cause], answers: Sequence[str]) -> tuple[str, str]:
    """The cause that leads and is answered, with the target that it names; empty where there is none."""
    for cause in causes:
        target = str(cause.evidence.get("target", ""))
        if cause.name in answers and target:
            return cause.name, target
    return "", ""


class RouteDemote:
    """The sick target is asked last; one that changed silently is left out, since a changed answer is no last hope."""

    name = "route_demote"
    answers: Sequence[str] = _ANY_TARGET

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where the route has another target."""
        champion = find_champion(place.stores.ledger, asset.name)
        cause, target = _sick_target(causes, self.answers)
        if champion is None or not target:
            return []
        how = "out" if cause == SILENT_CHANGE or champion.definition["choose"] == "fastest" else "last"
        if _demoted(champion.definition, target, how) is None:
            return []
        text = f"leave {target} out" if how == "out" else f"ask {target} last"
        return [Action(self.name, text, params={"of": champion.id, "target": target, "how": how}, cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - equal definitions are one version
        """The version; none where the action changes nothing.

        Raises:
            NotFound: the version that it is made from is not known.
        """
        target, how = action.params["target"], action.params["how"]
        return _changed(place, asset, action, lambda known: _demoted(known, target, how), now)


def _demoted(definition: Mapping[str, Any], target: str, how: str) -> dict[str, Any] | None:
    return left_out(definition, target) if how == "out" else put_last(definition, target)


def _changed(place: Workplace, asset: Watched, action: Action, change: Change, now: datetime) -> list[str]:
    """The version that an action makes of the one that it names; none where that changes nothing.

    Raises:
        NotFound: the version that it is made from is not known.
    """
    changed = change(get_version(place.stores.ledger, action.params["of"]).definition)
    lineage = {"remedy": action.remedy, "remedy_params": dict(action.params)}
    return [] if changed is None else [make_version(place, asset.name, "route", changed, lineage, now).id]


class RouteFallback:
    """The target that did best by the newest tries and probes is asked first."""

    name = "route_fallback"
    answers: Sequence[str] = (*_ANY_TARGET, BLAMED)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:
        """One action, where the route goes in order and another target than the sick one has enough tries or probes."""
        champion = find_champion(place.stores.ledger, asset.name)
        _, sick = _sick_target(causes, self.answers)
        if champion is None:
            return []
        evidence = evidence_of(place, asset, now - window_of(place, asset, now), now)
        best = _healthiest(evidence, [each for each in target_ids(champion.definition) if each != sick])
        if not best or put_first(champion.definition, best) is None:
            return []
        params = {"of": champion.id, "target": best}
        return [Action(self.name, f"ask {best} first", params=params, cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - equal definitions are one version
        """The version; none where the action changes nothing.

        Raises:
            NotFound: the version that it is made from is not known.
        """
        return _changed(place, asset, action, lambda known: put_first(known, action.params["target"]), now)


def _healthiest(evidence: Evidence, targets: Sequence[str]) -> str:
    """The fewest errors for sure, then the shortest time; empty where too little is known of all."""
    first_ms = evidence.usual_first_ms()
    known = [(each, found) for each in targets if (found := evidence.errors(each, 0.95)) is not None]
    ranked = sorted(known, key=lambda each: (round(each[1].high, 2), first_ms.get(each[0], float("inf")), each[0]))
    return ranked[0][0] if ranked else ""


class RoutePastVersion:
    """Versions that are there already, of the targets as they are declared now."""

    name = "route_past_version"
    answers: Sequence[str] = (*_ANY_TARGET, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is another version that may answer."""
        return best_of_known(self.name, _past(place, asset), _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """At most three, the fewest expected errors first; those of whose targets too little is known are left out."""
        evidence = evidence_of(place, asset, now - window_of(place, asset, now), now)
        ranked = []
        for version in _past(place, asset):
            shares = evidence.shares(version)
            if all(evidence.n(target) >= N_LEAST for target in shares):
                errors = {target: evidence.errors(target, 0.95) for target in shares}
                expected = sum(share * found.value for target, share in shares.items() if (found := errors[target]))
                ranked.append((expected, version.id))
        return [version for _, version in sorted(ranked)[:BEST]]


def _past(place: Workplace, asset: Watched) -> list[Version]:
    known = other_versions(place, asset.name, MOST)
    return [version for version in known if not why_not_declared(version.definition, asset.declaration)]


class RouteCap:
    """A lower limit of tokens where the route declares one: what nearly all answers of before needed."""

    name = "route_cap"
    answers: Sequence[str] = (LONGER_CALLS,)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where a limit is declared and 99 of 100 answers of the time before needed less."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or limit_of(champion.definition) is None:
            return []
        over = window_of(place, asset, now)
        tries = read_tries(place.stores.lake, asset.name, *healthy_time(place, asset, over, now))
        lengths = tries.filter(pl.col("answered") & ~pl.col("is_probe"))["n_output"].drop_nulls()
        n_tokens = int(lengths.quantile(_QUANTILE, "higher") or 0)
        if len(lengths) < _N_CAP or n_tokens < 1 or limited(champion.definition, n_tokens) is None:
            return []
        text = f"{LIMITS[0]} {n_tokens} instead of {limit_of(champion.definition)}"
        return [Action(self.name, text, params={"of": champion.id, "n_tokens": n_tokens}, cost_s=_COST_S)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - equal definitions are one version
        """The version.

        Raises:
            NotFound: the version that it is made from is not known.
        """
        return _changed(place, asset, action, lambda known: limited(known, action.params["n_tokens"]), now)
