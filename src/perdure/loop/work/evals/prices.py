"""The most that a question can cost: what a run claims before it asks.

By the dearest target of the route that answers, an estimate of the input from its bytes, and the longest answer that is
allowed. Where nothing limits the answer, `ASSUMED_OUTPUT` tokens are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from perdure.assets.route import UnitPrices
from perdure.core.clock import machine_now
from perdure.core.errors import BadSuite
from perdure.core.ports import Asked
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.prices import UnitPrice, find_price, largest_cost
from perdure.loop.work.evals.pacing import PriceOf

ASSUMED_OUTPUT = 4096
"""Tokens of an answer that nothing limits; ours, without a source. One that is longer overdraws a budget by its rest."""
_LIMITS = ("max_completion_tokens", "max_tokens")


def prices_of(definitions: Mapping[str, Mapping[str, Any]]) -> PriceOf:
    """What tells the highest price of a question, by the routes' definitions.

    Args:
        definitions: route, as it is asked → the definition of the version that answers.

    Raises:
        BadSuite: of one of them no price is known, so that no budget can hold.
    """
    at = machine_now()
    targets: dict[str, list[tuple[UnitPrice, int | None]]] = {}
    for name, told in definitions.items():
        targets[name] = [(_price(each, name, at), _limit(told["params"], each["params"])) for each in told["targets"]]

    def price_of(asked: Asked) -> int | None:
        n_input = tokens_of_bytes(len(msgspec.json.encode([asked.messages, asked.params])))
        own = _limit(asked.params)
        costs = [largest_cost(n_input, own or limit or ASSUMED_OUTPUT, price) for price, limit in targets[asked.route]]
        return max((cost for cost in costs if cost is not None), default=0)

    return price_of


def _price(target: Mapping[str, Any], route: str, at: Any) -> UnitPrice:
    prices = None if target["prices"] is None else msgspec.convert(target["prices"], UnitPrices)
    found = find_price(prices, target["upstream"], target["model"], at)
    if found is None:
        raise BadSuite(
            f"The price of {target['upstream']}/{target['model']}, which answers {route!r}, is not known, so no budget can hold.",
            hint="Declare it, Target(…, prices=UnitPrices(input=…, output=…)), or run without a budget.",
        )
    return found


def _limit(*params: Mapping[str, Any]) -> int | None:
    found: Sequence[int] = [each[name] for each in params for name in _LIMITS if isinstance(each.get(name), int)]
    return max(found, default=None)
