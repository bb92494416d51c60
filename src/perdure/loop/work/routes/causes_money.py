"""Calls cost more than they did: by their unit prices, or by their tokens.

Of the time before, the price of an input and of an output token is found for each target by least squares; what the window's
own tokens would have cost at those prices tells both apart, without a price list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding
from perdure.core.usage import PICO
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.routes.evidence import COST
from perdure.loop.work.routes.symptoms import LONGER_CALLS, PRICE_CHANGE, broken_of, healthy_time, over_of, times
from perdure.loop.work.routes.traffic import read_tries

_N_LEAST = 20
_MOVED = 1.1
_WEIGHT = 0.8


@dataclass(frozen=True, slots=True)
class _Dearer:
    """Why a try costs more than before."""

    target: str
    price: float
    """Now's price of the same tokens, as a multiple of before's."""
    tokens: float
    """Cost of now's tokens at before's prices, as a multiple of before's cost."""
    n: int
    n_before: int
    usd: float
    usd_before: float


def _dearer(place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> _Dearer | None:
    """Of the target that most was spent at; None where nothing about money broke, or little is known."""
    sick = broken_of(findings, COST)
    if not sick:
        return None
    over, lake = over_of(sick), place.stores.lake
    wanted = (
        pl.col("answered") & ~pl.col("is_probe") & pl.col("cost_pusd").is_not_null() & pl.col("n_output").is_not_null()
    )
    late = read_tries(lake, asset.name, now - over, now).filter(wanted)
    early = read_tries(lake, asset.name, *healthy_time(place, asset, over, now)).filter(wanted)
    found: list[_Dearer] = []
    for (name,), rows in sorted(late.partition_by("target", as_dict=True).items()):
        known = early.filter(pl.col("target") == name)
        if min(rows.height, known.height) < _N_LEAST:
            continue
        tokens, cost = _tokens(known), known["cost_pusd"].cast(pl.Float64).to_numpy()
        rates = np.linalg.lstsq(tokens, cost, rcond=None)[0]
        expected = float((_tokens(rows) @ rates).mean())
        actual = float(rows["cost_pusd"].cast(pl.Float64).to_numpy().mean())
        if expected > 0.0 and cost.mean() > 0.0:
            found.append(
                _Dearer(str(name), actual / expected, expected / float(cost.mean()), rows.height, known.height,
                        actual / PICO, float(cost.mean()) / PICO)
            )  # fmt: skip
    return max(found, key=lambda each: (each.n * each.usd, each.target), default=None)


def _tokens(tries: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return tries.select(pl.col("n_input", "n_output").cast(pl.Float64)).to_numpy()


def _weighed(name: str, found: _Dearer | None, own: float, other: float, text: str) -> RankedCause | None:
    """Its part of the rise, of what both explain."""
    if found is None or own <= _MOVED:
        return None
    part = math.log(own) / (math.log(own) + max(0.0, math.log(other)))
    evidence = {
        "target": found.target,
        "price": round(found.price, 4),
        "tokens": round(found.tokens, 4),
        "usd": round(found.usd, 8),
        "usd_before": round(found.usd_before, 8),
        "n": found.n,
        "n_before": found.n_before,
    }
    return RankedCause(name, round(_WEIGHT * part, 4), evidence, text)


class PriceChange:
    """The same tokens cost more."""

    name = PRICE_CHANGE

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.8 times the part of the rise that unit prices explain; None where they did not move by a tenth."""
        found = _dearer(place, asset, findings, now)
        if found is None:
            return None
        text = f"The same tokens cost {times(found.price)} as much at {found.target} as before; calls use {times(found.tokens)} as many."
        return _weighed(self.name, found, found.price, found.tokens, text)


class LongerCalls:
    """Calls use more tokens."""

    name = LONGER_CALLS

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.8 times the part of the rise that tokens explain; None where they did not rise by a tenth."""
        found = _dearer(place, asset, findings, now)
        if found is None:
            return None
        text = f"Calls at {found.target} use {times(found.tokens)} as many tokens, by their cost, as before."
        return _weighed(self.name, found, found.tokens, found.price, text)
