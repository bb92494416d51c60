"""Gates that need no answers: what the same calls would cost, and whether a version may answer at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Stage, Trial
from perdure.assets.route import Route
from perdure.assets.version import Version
from perdure.core.errors import TooFewRows
from perdure.core.stats import paired_mean_interval
from perdure.core.usage import PICO, Usage
from perdure.engines.prices import UnitPrice, cost_pusd, find_price
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_attempts
from perdure.loop.work.captured_calls import USAGE
from perdure.loop.work.comparing import surely
from perdure.loop.work.routes.definitions import limit_of, why_not_declared
from perdure.loop.work.routes.evidence import COST, HARM, broken_harms, evidence_of, window_of
from perdure.loop.work.versions import get_version

DEARER = 1.25
"""How many times as dear a candidate may be where nothing is broken that it mends."""
_CONFIDENCE = 0.9
_MOST = 2000
_BETTER, _WORSE, _UNSURE = Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE


class RoutePrice:
    """The window's own calls at the prices of both: tokens as they were counted, call by call.

    Where money is what is broken it passes only what is cheaper for sure; where nothing is, at most a quarter dearer;
    where something worse is broken the price is told, and given up.
    """

    name = "route_price"
    stages: Sequence[Stage] = ("verify",)

    def judge(self, place: Workplace, asset: Watched, trial: Trial, now: datetime) -> Verdict:
        """Unknown prices are unknown, never zero: nothing is said of them."""
        if trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, "Nothing runs that it could be compared with.")
        sick = broken_harms(place, asset, now)
        wanted = bool(sick) and min(sick, key=HARM.index) == COST
        candidate, incumbent = (get_version(place.stores.ledger, each) for each in (trial.candidate, trial.incumbent))
        over = window_of(place, asset, now)
        shares = [evidence_of(place, asset, now - over, now).shares(each) for each in (candidate, incumbent)]
        used = _usages(place, asset, now - over, now)
        costs = [
            _costs(asset.declaration, *each, used, now) for each in ((candidate, shares[0]), (incumbent, shares[1]))
        ]
        if costs[0] is None or costs[1] is None or len(used) < 2:
            return Verdict(self.name, _UNSURE, not wanted, "Prices, or calls to price, are not known.")
        try:
            found = paired_mean_interval(costs[0], costs[1], confidence=surely(_CONFIDENCE, trial.n_rivals))
        except TooFewRows:
            return Verdict(self.name, _UNSURE, not wanted, "Too few calls to price.")
        mine, other = (float(each.mean()) for each in costs if each is not None)
        ratio = mine / other if other > 0.0 else 1.0
        evidence = {
            "usd": mine,
            "incumbent_usd": other,
            "difference": [found.low, found.high],
            "n": found.n,
            "broken": sorted(sick),
        }
        told = f"A call of the window would cost ${mine:.6f} against ${other:.6f}, {ratio:.2f} times as much, over {found.n} calls."
        cheaper, dearer = found.high < 0.0, found.low > 0.0
        comparison = _BETTER if cheaper else _WORSE if dearer else _UNSURE
        passed = cheaper if wanted else bool(sick) or ratio <= DEARER
        gain = 1.0 - ratio if wanted else 0.0
        return Verdict(self.name, comparison, passed, told, evidence, gain)


def _usages(place: Workplace, asset: Watched, start: datetime, end: datetime) -> list[Usage]:
    """What the tries of a window used that answered, at most 2,000 of them, evenly spread."""
    rows = read_attempts(place.stores.lake, asset.name, start, end, [*USAGE, "error"])
    rows = rows.filter((pl.col("error") == "") & pl.col("n_input").is_not_null() & pl.col("n_output").is_not_null())
    if rows.height > _MOST:
        rows = rows.gather_every(-(-rows.height // _MOST))
    counted = rows.select(USAGE).with_columns(pl.col(pl.Int64).fill_null(0), pl.col("estimated").fill_null(value=False))
    return [Usage(**each) for each in counted.iter_rows(named=True)]


def _costs(
    route: Route, version: Version, shares: dict[str, float], used: Sequence[Usage], now: datetime
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """What each use would cost by a version's first shares, in US dollars; None where a price is not known."""
    declared = {target.id: target for target in route.targets}
    cap = limit_of(version.definition)
    total = np.zeros(len(used))
    for name, share in shares.items():
        target = declared.get(name)
        price: UnitPrice | None = None
        if target is not None:
            price = find_price(target.prices, target.upstream.provider or target.upstream.name, target.model, now)
        costs = [cost_pusd(_capped(each, cap), price) for each in used]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            return None
        total += share * np.array(known, dtype=np.float64) / PICO
    return total


def _capped(used: Usage, cap: int | None) -> Usage:
    if cap is None or used.n_output <= cap:
        return used
    counted = {name: getattr(used, name) for name in USAGE}
    return Usage(**{**counted, "n_output": cap, "n_reasoning": min(used.n_reasoning, cap)})


class RouteLoads:
    """A version that may answer: every target is declared as it is named, guards and deadlines are those of now."""

    name = "route_loads"
    stages: Sequence[Stage] = ("verify", "rollback")

    def judge(
        self,
        place: Workplace,
        asset: Watched,
        trial: Trial,
        now: datetime,  # noqa: ARG002 - the Protocol's
    ) -> Verdict:
        """In `rollback` of the version to go back to; in `verify` of the candidate, and of the way back."""
        route: Route = asset.declaration
        why = why_not_declared(get_version(place.stores.ledger, trial.candidate).definition, route)
        if why:
            return Verdict(self.name, _WORSE, False, f"{trial.candidate} may not answer: {why}.")
        if trial.stage == "rollback" or trial.incumbent is None:
            return Verdict(self.name, _UNSURE, True, f"Every target of {trial.candidate} is declared.")
        back = why_not_declared(get_version(place.stores.ledger, trial.incumbent).definition, route)
        if back:
            told = f"Every target of it is declared; what runs could not be gone back to: {back}."
            return Verdict(self.name, _UNSURE, True, told)
        return Verdict(self.name, _UNSURE, True, "Every target of it is declared, and the way back is open.")
