"""Token counts of every wire format, held against the recorded answers and the SDKs' own types."""

from __future__ import annotations

import anthropic.types
import openai.types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.usage import Usage
from perdure.engines.dialects.counts import (
    anthropic_usage,
    anthropic_usage_json,
    openai_usage,
    openai_usage_json,
    responses_usage,
)

COUNTS = st.integers(0, 10**9)


@st.composite
def usages(draw):
    cached, short, long, plain = (draw(COUNTS) for _ in range(4))
    reasoning, shown = draw(COUNTS), draw(st.integers(1, 10**9))
    return Usage(
        n_input=cached + short + long + plain,
        n_output=reasoning + shown,
        n_cached=cached,
        n_cache_write_5m=short,
        n_cache_write_1h=long,
        n_reasoning=reasoning,
    )


@given(usages())
def test_usage_comes_back_from_either_format_as_it_went_in(usage):
    assert openai_usage(openai_usage_json(usage)) == usage
    assert anthropic_usage(anthropic_usage_json(usage)) == usage


def test_both_sdks_read_what_we_write():
    usage = Usage(n_input=100, n_output=20, n_cached=30, n_cache_write_5m=10, n_cache_write_1h=5, n_reasoning=4)

    theirs = openai.types.CompletionUsage.model_validate(openai_usage_json(usage), strict=True)
    assert (theirs.prompt_tokens, theirs.total_tokens, theirs.prompt_tokens_details.cached_tokens) == (100, 120, 30)
    message = anthropic.types.Usage.model_validate(anthropic_usage_json(usage), strict=True)
    assert (message.input_tokens, message.cache_read_input_tokens, message.cache_creation_input_tokens) == (55, 30, 15)
    assert message.cache_creation.ephemeral_1h_input_tokens == 5


def test_reasoning_that_a_server_counts_beside_the_output_is_added_to_it():
    raw = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 22,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }

    assert openai_usage(raw) == Usage(n_input=10, n_output=12, n_reasoning=7)


@pytest.mark.parametrize(
    "extra", [{"prompt_cache_hit_tokens": 6}, {"cached_tokens": 6}, {"prompt_tokens_details": {"cached_tokens": 6}}]
)
def test_cached_tokens_are_found_where_servers_put_them(extra):
    assert openai_usage({"prompt_tokens": 10, "completion_tokens": 1, **extra}).n_cached == 6


def test_a_cache_write_of_unknown_length_is_one_for_five_minutes():
    usage = anthropic_usage({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9})

    assert (usage.n_input, usage.n_cache_write_5m, usage.n_cache_write_1h) == (10, 9, 0)


def test_audio_is_counted_in_its_whole_and_apart():
    raw = {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"audio_tokens": 5}}

    usage = openai_usage(raw | {"completion_tokens_details": {"audio_tokens": 3}})

    assert (usage.n_input, usage.n_audio_input, usage.n_output, usage.n_audio_output) == (9, 5, 8, 3)


def test_responses_tell_long_cache_writes_apart():
    into = {
        "cached_tokens": 2,
        "cache_write_tokens": 9,
        "cache_write_tokens_details": {"ttl_12h_tokens": 4, "ttl_30m_tokens": 5},
    }

    usage = responses_usage({"input_tokens": 20, "output_tokens": 5, "input_tokens_details": into})

    assert (usage.n_cached, usage.n_cache_write_5m, usage.n_cache_write_1h) == (2, 5, 4)


@pytest.mark.parametrize("read", [openai_usage, anthropic_usage, responses_usage])
@given(raw=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["prompt_tokens", "input_tokens", "output_tokens", "completion_tokens", "prompt_tokens_details",
                     "completion_tokens_details", "cache_creation", "reasoning_tokens"]), inner)))  # fmt: skip
def test_no_count_is_negative_or_an_error_whatever_a_server_says(read, raw):
    usage = read(raw)

    assert usage is None or min(usage.n_input, usage.n_output, usage.n_cached, usage.n_reasoning) >= 0


@pytest.mark.parametrize("count", [10**11, 10**40, 1e300, float("inf")])
def test_more_tokens_than_any_call_can_have_are_no_count(count) -> None:
    """A wrong number of an upstream would empty a budget, or be too long to be written."""
    assert openai_usage({"prompt_tokens": 1, "completion_tokens": count}) is None
    assert anthropic_usage({"input_tokens": count, "output_tokens": 1}) is None
    assert responses_usage({"input_tokens": count}) is None
    details = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": count}}
    assert openai_usage(details) == Usage(n_input=1)
