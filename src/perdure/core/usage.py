"""Tokens and money of one call to a generative model: the records that dialects fill, prices cost and limits count.

Money is counted in whole picodollars (1e-12 USD): the price of one cached token of a small model is a fraction of a
nanodollar's thousandfold, and integers add up to the same sum in every order and on every machine.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

PICO = 10**12
"""Picodollars in one US dollar."""


class Usage(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Tokens of one call, as the upstream counted them; `estimated` where it did not tell.

    Parts are counted in their whole: `n_input` holds cached tokens, cache writes and audio, `n_output` holds
    reasoning and audio.
    """

    n_input: int = 0
    n_output: int = 0
    n_cached: int = 0
    """Of the input, read from the provider's cache."""
    n_cache_write_5m: int = 0
    """Of the input, written to the provider's cache for five minutes."""
    n_cache_write_1h: int = 0
    """Of the input, written to the provider's cache for an hour."""
    n_reasoning: int = 0
    """Of the output, thought and not shown."""
    n_audio_input: int = 0
    n_audio_output: int = 0
    estimated: bool = False
    """The upstream's own count never reached us: these are our estimate."""

    @property
    def n_total(self) -> int:
        """Input and output tokens."""
        return self.n_input + self.n_output


def picodollars(usd: Decimal | float | str) -> int:
    """US dollars as whole picodollars, rounded half to even.

    >>> picodollars("0.075"), picodollars(Decimal("2.5"))
    (75000000000, 2500000000000)
    """
    return int((Decimal(str(usd)) * PICO).to_integral_value())


def usd_text(picos: int | None) -> str:
    """Picodollars as people read them; `unknown` for None.

    >>> usd_text(12_345_600_000), usd_text(1_250_000_000_000), usd_text(None)
    ('$0.012346', '$1.25', 'unknown')
    """
    if picos is None:
        return "unknown"
    value = Decimal(picos) / PICO
    return f"${value:.2f}" if abs(value) >= 1 or not picos else f"${value:.6f}"
