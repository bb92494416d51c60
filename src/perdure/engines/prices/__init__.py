"""What calls to generative models cost, from a price list that is inside the package.

`listed` and `declared` resolve a `UnitPrice` once, `costing` turns usages into picodollars with it.
"""

from __future__ import annotations

from perdure.engines.prices.costing import cost_pusd, largest_cost
from perdure.engines.prices.declared import declared_price, find_price
from perdure.engines.prices.listed import find_unit_price
from perdure.engines.prices.unit import Rates, Tier, UnitPrice

__all__ = [
    "Rates",
    "Tier",
    "UnitPrice",
    "cost_pusd",
    "declared_price",
    "find_price",
    "find_unit_price",
    "largest_cost",
]
