"""Which limits and budgets a call of a key to a route is under: worked out once a key and route, not once a call.

A limit of a key that its own record names replaces the team's `key_limits`; the team's `limits`, of all its keys together,
apply beside it. Of two budgets that count the same calls in the same window, the smaller one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from perdure.assets.team import Budget, Limits, Period, Team
from perdure.core.errors import BadTeam, Refused
from perdure.core.usage import picodollars, usd_text
from perdure.serve.gateway.windows import NEVER_US, Window, calendar_window, minute_window, zone
from perdure.stores.counters.protocols import GAUGE, LARGEST
from perdure.stores.ledger.protocols import Key

Kind = Literal["requests", "tokens", "concurrency", "usd"]
Scope = Literal["team", "key"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A ceiling: of what, for whom, in which windows."""

    kind: Kind
    scope: Scope
    name: str
    """Of the team, or the key's id."""
    ceiling: int
    """Calls, tokens or picodollars."""
    per: Period | Literal["minute", ""] = "minute"
    route: str = ""
    """Of a budget that counts calls to one route only; else empty."""
    timezone: str = "UTC"

    def window(self, now_us: int) -> Window:
        """The window of an instant."""
        if self.per == "":
            return Window("", 0, NEVER_US)
        return minute_window(now_us) if self.per == "minute" else calendar_window(self.per, self.timezone, now_us)

    def bucket(self, window: Window) -> str:
        """The name of its bucket in a window.

        >>> Limit("usd", "team", "support", 5, "month").bucket(Window("2026-11", 0, 1))
        'usd/team/support/*/2026-11'
        """
        if self.kind == "concurrency":
            return f"{GAUGE}{self.scope}/{self.name}"
        if self.kind == "usd":
            return f"usd/{self.scope}/{self.name}/{self.route or '*'}/{window.label}"
        return f"{self.kind}/{self.scope}/{self.name}/{window.label}"

    @property
    def same(self) -> tuple[str, ...]:
        """Equal for limits that count the same, whatever their ceilings."""
        return (self.kind, self.scope, self.name, self.per, self.route)


def limits_of_team(team: Team) -> list[Limit]:
    """What all keys of a team share, budgets of single routes included.

    Raises:
        BadTeam: a budget that cannot be counted, or a time zone that is not there.
    """
    shared = [budget for budget in team.budgets if not budget.each_key]
    return _least([*_rates("team", team.name, team.limits), *_budgets("team", team.name, shared, team.timezone)])


def limits_of_key(team: Team, key: Key) -> list[Limit]:
    """What a key has for itself.

    Raises:
        BadTeam: the key's record names a limit that means nothing.
    """
    own, budgets = _own(key)
    rates = Limits(**{name: own.get(name, getattr(team.key_limits, name)) for name in _RATES})
    apart = [*(budget for budget in team.budgets if budget.each_key), *budgets]
    return _least([*_rates("key", key.id, rates), *_budgets("key", key.id, apart, team.timezone)])


def limits_of_call(team: Team, key: Key, route: str) -> list[Limit]:
    """Every limit that a call must keep: the key's before the team's, counts before money."""
    found = [*limits_of_key(team, key), *limits_of_team(team)]
    applying = [limit for limit in found if limit.route in ("", route)]
    return sorted(applying, key=lambda limit: _ORDER.index(limit.kind))


_RATES = ("requests", "tokens", "concurrency")
_ORDER: tuple[Kind, ...] = ("requests", "tokens", "concurrency", "usd")


def _rates(scope: Scope, name: str, limits: Limits) -> Iterator[Limit]:
    if limits.requests is not None:
        yield Limit("requests", scope, name, limits.requests)
    if limits.tokens is not None:
        yield Limit("tokens", scope, name, limits.tokens)
    if limits.concurrency is not None:
        yield Limit("concurrency", scope, name, limits.concurrency, per="")


def _budgets(scope: Scope, name: str, budgets: Iterable[Budget], timezone: str) -> Iterator[Limit]:
    for budget in budgets:
        ceiling = picodollars(budget.usd)
        if ceiling >= LARGEST:
            raise BadTeam(
                f"The budget of {budget.usd} USD of {scope} {name!r} is too large to be counted.",
                hint=f"Leave it out, or give less than {usd_text(LARGEST)}.",
            )
        zone(timezone)
        yield Limit("usd", scope, name, ceiling, budget.per, budget.route, timezone)


def _own(key: Key) -> tuple[Mapping[str, Any], list[Budget]]:
    unknown = set(key.limits) - {*_RATES, "budgets"}
    if unknown:
        raise BadTeam(
            f"Key {key.id!r} has the unknown limits {', '.join(sorted(unknown))}.",
            hint=f"Use {', '.join(_RATES)} and budgets.",
        )
    try:
        return key.limits, [Budget(**budget) for budget in key.limits.get("budgets", ())]
    except TypeError as error:
        raise BadTeam(f"A budget of key {key.id!r} means nothing.", hint="Use usd, per and route.") from error


def _least(limits: Iterable[Limit]) -> list[Limit]:
    """Of limits that count the same the one with the least ceiling, in the order of the first."""
    found: dict[tuple[str, ...], Limit] = {}
    for limit in limits:
        known = found.get(limit.same)
        if known is None or limit.ceiling < known.ceiling:
            found[limit.same] = limit
    return list(found.values())


def unpriced(team: Team, route: str) -> Refused:
    """The refusal of a call whose price is not known, where a budget applies."""
    return Refused(
        f"What a call to {route!r} costs is not known, and team {team.name!r} has a budget.",
        hint="Give the target its prices, Target(..., prices=UnitPrices(...)), or allow such calls: "
        'Team(..., unpriced="allow").',
        team=team.name,
        route=route,
    )
