"""Costs against tables computed by hand from published prices, and against the list's own arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers

from perdure.core.usage import PICO, Usage
from perdure.engines.prices import cost_pusd, find_unit_price

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Published prices in USD for a million tokens, and the sum of the products, worked out by hand.
BY_HAND = [
    # 1,000 x 0.15 + 500 x 0.60
    ("openai", "gpt-4o-mini", Usage(n_input=1_000, n_output=500), "0.000450"),
    # 232 x 0.15 + 768 x 0.075 + 500 x 0.60
    ("openai", "gpt-4o-mini", Usage(n_input=1_000, n_output=500, n_cached=768), "0.0003924"),
    # 1,000 x 0.25 + 900 x 2, of it 832 thoughts
    ("openai", "gpt-5-mini", Usage(n_input=1_000, n_output=900, n_reasoning=832), "0.00205"),
    # 20 x 2.50 + 80 x 32 + 10 x 10 + 90 x 64
    ("openai", "gpt-audio", Usage(n_input=100, n_audio_input=80, n_output=100, n_audio_output=90), "0.00847"),
    # 50 x 3 + 4,000 x 0.30 + 200 x 15
    ("anthropic", "claude-sonnet-4-5", Usage(n_input=4_050, n_cached=4_000, n_output=200), "0.00435"),
    # 50 x 3 + 4,000 x 3.75 + 200 x 15
    ("anthropic", "claude-sonnet-4-5", Usage(n_input=4_050, n_cache_write_5m=4_000, n_output=200), "0.01815"),
    # 50 x 3 + 4,000 x 6 + 200 x 15
    ("anthropic", "claude-sonnet-4-5", Usage(n_input=4_050, n_cache_write_1h=4_000, n_output=200), "0.02715"),
    # long: 50,000 x 6 + 150,001 x 0.60 + 100 x 22.50
    ("anthropic", "claude-sonnet-4-5", Usage(n_input=200_001, n_cached=150_001, n_output=100), "0.3922506"),
    # 1,000 x 1 + 2,000 x 1.25 + 3,000 x 2 + 4,000 x 0.10 + 500 x 5
    (
        "anthropic",
        "claude-haiku-4-5",
        Usage(n_input=10_000, n_cache_write_5m=2_000, n_cache_write_1h=3_000, n_cached=4_000, n_output=500),
        "0.0124",
    ),
    # 100,000 x 1.25 + 100,000 x 0.125 + 1,000 x 10: not yet long
    ("google", "gemini-2.5-pro", Usage(n_input=200_000, n_cached=100_000, n_output=1_000, n_reasoning=700), "0.1475"),
    # 300,000 x 2.50 + 1,000 x 15: long
    ("google", "gemini-2.5-pro", Usage(n_input=300_000, n_output=1_000), "0.765"),
    # 300 x 0.30 + 700 x 1.00 + 40 x 2.50
    ("google", "gemini-2.5-flash", Usage(n_input=1_000, n_audio_input=700, n_output=40), "0.00089"),
    # 100 x 3 + 100 x 15, and 14 for a thousand calls
    ("perplexity", "sonar-pro", Usage(n_input=100, n_output=100), "0.0158"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "usd"), BY_HAND)
def test_a_cost_is_that_worked_out_by_hand(provider, model, usage, usd):
    assert cost_pusd(usage, find_unit_price(provider, model, AT)) == Decimal(usd) * PICO


def test_costs_are_those_of_the_lists_own_arithmetic_for_every_model_in_it():
    usages = [
        Usage(n_input=1_237, n_output=411, n_reasoning=59),
        Usage(n_input=301_237, n_cached=1_024, n_cache_write_5m=2_011, n_output=7),
    ]
    n_compared = 0
    for provider in providers:
        for name in {model.id for model in provider.models}:
            price = find_unit_price(provider.id, name, AT)
            if price is None or price.rates.output is None:
                continue
            for usage in usages:
                theirs = genai_prices.calc_price(
                    genai_prices.Usage(
                        input_tokens=usage.n_input,
                        output_tokens=usage.n_output,
                        cache_read_tokens=usage.n_cached,
                        cache_write_tokens=usage.n_cache_write_5m,
                        output_reasoning_tokens=usage.n_reasoning,
                    ),
                    name,
                    provider_id=provider.id,
                    genai_request_timestamp=AT,
                )
                assert cost_pusd(usage, price) == pytest.approx(theirs.total_price * PICO, abs=1, rel=0), name
                n_compared += 1
    assert n_compared > 3_000
