from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.route import UnitPrices
from perdure.core.clock import EPOCH
from perdure.core.errors import BadRoute
from perdure.core.usage import Usage
from perdure.engines.prices import UnitPrice, cost_pusd, declared_price, find_price, find_unit_price, largest_cost
from perdure.engines.prices.unit import Rates, Tier

AT = datetime(2026, 3, 1, tzinfo=UTC)
DOLLAR = 10**12
"""Picodollars."""


def declared(**prices: float) -> UnitPrice:
    return declared_price(UnitPrices(**{"input": 2.0, "output": 8.0, **prices}))


def test_a_price_that_is_not_known_is_none_and_never_zero():
    assert find_unit_price("openai", "gpt-9-of-nobody", AT) is None
    assert find_unit_price("anthropic", "gpt-4o", AT) is None, "Anthropic does not sell it"
    assert find_unit_price("", "a-model-of-our-own", AT) is None
    assert cost_pusd(Usage(n_input=5, n_output=5), None) is None
    assert largest_cost(5, 5, None) is None


def test_an_entry_of_the_list_without_prices_is_not_known():
    assert find_unit_price("openrouter", "deepseek/deepseek-r1:free", AT) is None
    assert find_unit_price("openai", "whisper-1", AT) is None, "priced by the hour of audio"


def test_a_provider_that_the_list_does_not_know_gives_way_to_the_maker():
    price = find_unit_price("claude", "claude-haiku-4-5", AT)
    assert price is not None
    assert (price.provider, price.origin) == ("anthropic", "listed")


def test_output_of_an_embedder_has_no_price_and_its_input_has():
    price = find_unit_price("openai", "text-embedding-3-small", AT)
    assert cost_pusd(Usage(n_input=1_000_000), price) == DOLLAR // 50
    assert cost_pusd(Usage(n_input=1, n_output=1), price) is None
    assert largest_cost(1_000_000, 0, price) == DOLLAR // 50
    assert largest_cost(1, 1, price) is None


def test_output_of_a_model_that_draws_has_no_price():
    price = find_unit_price("google", "gemini-2.5-flash-image", AT)
    assert price is not None
    assert cost_pusd(Usage(n_input=10, n_output=1290), price) is None


def test_a_part_without_a_price_costs_as_its_whole():
    price = declared(cached=0.2)
    assert cost_pusd(Usage(n_input=1_000_000, n_cache_write_5m=400_000, n_audio_input=600_000), price) == 2 * DOLLAR
    whole = Usage(n_output=1_000_000, n_reasoning=300_000, n_audio_output=500_000)
    assert cost_pusd(whole, price) == 8 * DOLLAR


def test_every_part_is_paid_once():
    price = declared(cached=0.2, cache_write_5m=2.5, cache_write_1h=4.0, audio_input=10.0, audio_output=20.0)
    usage = Usage(
        n_input=1_000_000,
        n_cached=500_000,
        n_cache_write_5m=100_000,
        n_cache_write_1h=200_000,
        n_audio_input=50_000,
        n_output=100_000,
        n_audio_output=30_000,
        n_reasoning=20_000,
    )
    # 150k at $2, 500k at $0.2, 100k at $2.5, 200k at $4, 50k at $10; 70k at $8, 30k at $20.
    assert cost_pusd(usage, price) == (300_000 + 100_000 + 250_000 + 800_000 + 500_000 + 560_000 + 600_000) * 10**6


def test_parts_over_their_whole_are_paid_as_counted_and_nothing_is_below_zero():
    price = declared(cached=0.2)
    assert cost_pusd(Usage(n_input=100, n_cached=1_000_000), price) == DOLLAR // 5
    assert cost_pusd(Usage(n_input=100, n_cached=80, n_audio_input=90), price) == 80 * 200_000 + 20 * 2_000_000
    assert cost_pusd(Usage(n_output=10, n_reasoning=50), price) == 10 * 8_000_000


def test_a_call_pays_its_own_price_beside_its_tokens():
    assert cost_pusd(Usage(), declared(call=0.01)) == DOLLAR // 100


def test_the_rates_of_a_long_call_hold_for_all_its_tokens_and_from_one_token_over():
    short = Rates(1, 1, 1, 1, 1, 1, 1, 1)
    price = UnitPrice(short, tiers=(Tier(200, Rates(*[9] * 8)), Tier(100, Rates(*[4] * 8))))
    assert [price.at(n).input for n in (100, 101, 200, 201)] == [1, 4, 4, 9]


def test_cost_is_rounded_once_and_half_to_even():
    price = declared(input=0.0000005, output=0.0)  # half a picodollar a token
    assert [cost_pusd(Usage(n_input=n), price) for n in (1, 2, 3, 5, 7)] == [0, 1, 2, 2, 4]


def test_declared_prices_win_over_the_list_whole():
    price = find_price(UnitPrices(input=1.0, output=2.0), "anthropic", "claude-haiku-4-5", AT)
    assert price is not None
    assert (price.origin, price.rates.cached) == ("declared", DOLLAR)
    listed = find_price(None, "anthropic", "claude-haiku-4-5", AT)
    assert listed is not None
    assert listed.origin == "listed"


def test_free_is_a_price_that_can_be_declared():
    assert cost_pusd(Usage(n_input=9, n_output=9), declared(input=0.0, output=0.0)) == 0


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_price_that_is_no_price_is_refused(bad):
    with pytest.raises(BadRoute, match="cached"):
        declared(cached=bad)


def test_the_largest_cost_is_over_every_cost_of_a_call_of_that_size():
    price = find_unit_price("anthropic", "claude-sonnet-4-5", AT)
    for parts in ({}, {"n_cached": 900}, {"n_cache_write_5m": 1000}, {"n_cache_write_1h": 1000}):
        cost = cost_pusd(Usage(n_input=1000, n_output=100, n_reasoning=60, **parts), price)
        most = largest_cost(1000, 100, price, long_cache="n_cache_write_1h" in parts)
        assert cost is not None
        assert most is not None
        assert cost <= most
    assert largest_cost(200_001, 0, price) > 1.9 * (largest_cost(200_000, 0, price) or 0)


def test_audio_is_reserved_only_where_it_is_sent_or_asked_for():
    price = find_unit_price("openai", "gpt-audio", AT)
    assert largest_cost(1_000_000, 1_000_000, price) == (2.5 + 10) * DOLLAR
    assert largest_cost(1_000_000, 1_000_000, price, audio=True) == (32 + 64) * DOLLAR


def test_a_price_by_the_hour_of_day_says_until_when_it_holds():
    peak = find_unit_price("deepseek", "deepseek-chat", datetime(2026, 3, 1, 12, tzinfo=UTC))
    night = find_unit_price("deepseek", "deepseek-chat", datetime(2026, 3, 1, 17, tzinfo=UTC))
    assert peak is not None
    assert night is not None
    assert night.rates.input < peak.rates.input
    assert EPOCH + timedelta(microseconds=peak.until_us or 0) == datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    assert EPOCH + timedelta(microseconds=night.until_us or 0) == datetime(2026, 3, 2, 0, 30, tzinfo=UTC)


def test_an_announced_price_says_from_when_to_look_again():
    before = find_unit_price("openai", "gpt-5.6-luna", datetime(2026, 7, 1, tzinfo=UTC))
    assert before is not None
    starts = EPOCH + timedelta(microseconds=before.until_us or 0)
    after = find_unit_price("openai", "gpt-5.6-luna", starts)
    assert after is not None
    assert after.until_us is None
    assert after.rates.input < before.rates.input


def test_one_hour_writes_of_claude_cost_twice_the_input_wherever_one_write_price_is_listed():
    listed_by_aws = find_unit_price("aws", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", AT)
    assert listed_by_aws is not None
    assert listed_by_aws.rates.cache_write_1h == 2 * listed_by_aws.rates.input
    of_openai = find_unit_price("openai", "gpt-5.6-luna", AT)
    assert of_openai is not None
    assert of_openai.rates.cache_write_1h == of_openai.rates.cache_write_5m


def test_the_list_is_imported_by_the_first_look_up_only():
    code = "import sys, perdure.engines.prices as p; assert 'genai_prices' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
