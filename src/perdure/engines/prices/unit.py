"""What one token costs, resolved once: integers that a call is costed with in about a microsecond.

Rates are whole attodollars (1e-18 USD) a token, so `$1` for a million tokens is `10**12`. Price lists quote up to six
decimals for a million tokens, so a rate in picodollars (1e-12 USD) would often not be whole, and a rate in attodollars
nearly always is; the rest (a list that holds a third as sixteen threes) is rounded here to the nearest, half to even: at
most half a picodollar for a million tokens. A cost is rounded once, at its end, to whole picodollars.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

ATTO = 10**18
"""Attodollars in one US dollar."""
ATTO_PER_PICO = 10**6


@dataclass(frozen=True, slots=True)
class Rates:
    """Whole attodollars (1e-18 USD) for a token, by kind; a part without a price of its own costs as its whole."""

    input: int
    output: int | None
    """None: the list is silent, as for embeddings, or prices pictures apart; a call with output costs an unknown sum."""
    cached: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    audio_output: int | None
    reasoning: int | None


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates of a whole call, all its tokens, once its input is long: a cliff, as every provider bills it."""

    above: int
    """Calls with more input tokens than this, cached ones counted."""
    rates: Rates


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The price of one model at one provider at one time."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    """The longest first."""
    call: int = 0
    """Attodollars for a call, beside its tokens."""
    until_us: int | None = None
    """Look again at this instant: a new price was announced, or one by the hour of day ends. None: none is known."""
    origin: Literal["listed", "declared"] = "listed"
    provider: str = ""
    """Of the list's entry; empty where it was declared."""
    model: str = ""
    """Of the list's entry, which matches many names; empty where it was declared."""

    def at(self, n_input: int) -> Rates:
        """The rates of a call with so many input tokens."""
        for tier in self.tiers:
            if n_input > tier.above:
                return tier.rates
        return self.rates


def attodollars(usd: Decimal | float | str) -> int:
    """US dollars as whole attodollars, rounded half to even.

    >>> attodollars("2.5e-6"), attodollars(Decimal("0.0833333333333333") / 10**6)
    (2500000000000, 83333333333)
    """
    return int((Decimal(str(usd)) * ATTO).to_integral_value())
