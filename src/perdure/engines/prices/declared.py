"""Prices that a target declares: they win over the list, whole; nothing of theirs is filled from it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from perdure.assets.route import UnitPrices
from perdure.core.errors import BadRoute
from perdure.engines.prices.listed import find_unit_price
from perdure.engines.prices.unit import Rates, UnitPrice, attodollars


def declared_price(prices: UnitPrices) -> UnitPrice:
    """The price that a target declares; a part that is None costs as the whole it is a part of.

    Raises:
        BadRoute: a price is negative or no number.

    >>> declared_price(UnitPrices(input=0.25, output=2, cached=0.025)).rates.cached
    25000000000
    """
    for name, value in asdict(prices).items():
        if value is not None and not 0.0 <= value < 1e9:
            raise BadRoute(
                f"A target declares the price {name}={value!r}.",
                hint="Use US dollars for a million tokens, zero or more.",
            )

    def rate(part: float | None, whole: float) -> int:
        return attodollars(Decimal(str(whole if part is None else part)) / 10**6)

    return UnitPrice(
        rates=Rates(
            input=rate(prices.input, 0.0),
            output=rate(prices.output, 0.0),
            cached=rate(prices.cached, prices.input),
            cache_write_5m=rate(prices.cache_write_5m, prices.input),
            cache_write_1h=rate(prices.cache_write_1h, prices.input),
            audio_input=rate(prices.audio_input, prices.input),
            audio_output=rate(prices.audio_output, prices.output),
            reasoning=rate(prices.output, 0.0),
        ),
        call=attodollars(prices.call),
        origin="declared",
    )


def find_price(prices: UnitPrices | None, provider: str, model: str, at: datetime) -> UnitPrice | None:
    """What a target costs: its declared prices, else those of the list at `at`; None where neither tells.

    Raises:
        BadRoute: as `declared_price`.
    """
    return find_unit_price(provider, model, at) if prices is None else declared_price(prices)
