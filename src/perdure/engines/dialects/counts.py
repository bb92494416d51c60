"""Token counts of each wire format as `Usage`, and back: the one place that knows what is counted in what.

Anthropic's `input_tokens` leaves out what was read from and written to its cache; OpenAI's `prompt_tokens` holds all.
`Usage` holds all. Some OpenAI-compatible servers leave reasoning out of `completion_tokens` and show it by their total.
A count that is no number says nothing, and is taken as 0; without any number there is no usage at all: None. Neither is there
where a count is of more tokens than any call can have: no budget is emptied, and no record lost, by one wrong number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from perdure.core.usage import Usage

Json = dict[str, Any]
_MOST_TOKENS = 10_000_000_000
"""Of any count; a call of so many at the dearest price still fits into the whole numbers of stores."""

_N = Annotated[int, msgspec.Meta(ge=0, le=_MOST_TOKENS)] | None


class _Input(msgspec.Struct, frozen=True):
    cached_tokens: _N = None
    cache_write_tokens: _N = None
    audio_tokens: _N = None


class _Output(msgspec.Struct, frozen=True):
    reasoning_tokens: _N = None
    audio_tokens: _N = None


class _Chat(msgspec.Struct):
    """`usage` of a chat completion as almost all servers write it; what is not so is read member by member."""

    prompt_tokens: _N = None
    completion_tokens: _N = None
    total_tokens: _N = None
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None
    prompt_cache_hit_tokens: msgspec.UnsetType = msgspec.UNSET
    cached_tokens: msgspec.UnsetType = msgspec.UNSET
    cache_creation: msgspec.UnsetType = msgspec.UNSET


_NO_INPUT, _NO_OUTPUT = _Input(), _Output()


def openai_usage(raw: Any) -> Usage | None:
    """What `usage` of a chat completion or of embeddings says; None where it says nothing. Cost: 1.5 µs.

    >>> openai_usage({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}})
    Usage(n_input=9, n_output=4, n_cached=5, ...)
    """
    try:
        found = msgspec.convert(raw, _Chat)
    except msgspec.ValidationError:
        return _unusual(raw)
    n_input, n_output = found.prompt_tokens or 0, found.completion_tokens or 0
    if not (n_input or n_output):
        return _unusual(raw)
    into, out = found.prompt_tokens_details or _NO_INPUT, found.completion_tokens_details or _NO_OUTPUT
    n_reasoning = out.reasoning_tokens or 0
    if n_reasoning and found.total_tokens == n_input + n_output + n_reasoning:
        n_output += n_reasoning
    return Usage(
        n_input=n_input,
        n_output=n_output,
        n_cached=into.cached_tokens or 0,
        n_cache_write_5m=into.cache_write_tokens or 0,
        n_reasoning=n_reasoning,
        n_audio_input=into.audio_tokens or 0,
        n_audio_output=out.audio_tokens or 0,
    )


def _unusual(raw: Any) -> Usage | None:
    """The same of counts that are no whole numbers, or stand where few servers put them."""
    if not isinstance(raw, dict) or not _told(raw, "prompt_tokens", "completion_tokens", "total_tokens"):
        return None
    n_input, n_output = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    into, out = _part(raw, "prompt_tokens_details"), _part(raw, "completion_tokens_details")
    n_reasoning = _count(out, "reasoning_tokens")
    if n_reasoning and _count(raw, "total_tokens") == n_input + n_output + n_reasoning:
        n_output += n_reasoning
    cached = into.get("cached_tokens", raw.get("prompt_cache_hit_tokens", raw.get("cached_tokens")))
    long = _count(_part(raw, "cache_creation"), "ephemeral_1h_input_tokens")
    return Usage(
        n_input=n_input,
        n_output=n_output,
        n_cached=_whole(cached),
        n_cache_write_5m=max(0, _count(into, "cache_write_tokens") - long),
        n_cache_write_1h=long,
        n_reasoning=n_reasoning,
        n_audio_input=_count(into, "audio_tokens"),
        n_audio_output=_count(out, "audio_tokens"),
    )


def openai_usage_json(usage: Usage) -> Json:
    """A chat completion's `usage`; `cache_creation` is there only where something was written to a cache for longer."""
    written = usage.n_cache_write_5m + usage.n_cache_write_1h
    into = {"cached_tokens": usage.n_cached, "audio_tokens": usage.n_audio_input, "cache_write_tokens": written}
    told: Json = {
        "prompt_tokens": usage.n_input,
        "completion_tokens": usage.n_output,
        "total_tokens": usage.n_total,
        "prompt_tokens_details": into,
        "completion_tokens_details": {"reasoning_tokens": usage.n_reasoning, "audio_tokens": usage.n_audio_output},
    }
    if usage.n_cache_write_1h:
        told["cache_creation"] = _cache_creation(usage)
    return told


def anthropic_usage(raw: Any) -> Usage | None:
    """What `usage` of a message says; a cache write of unknown length counts as one for five minutes.

    >>> anthropic_usage({"input_tokens": 2, "cache_read_input_tokens": 7, "output_tokens": 3})
    Usage(n_input=9, n_output=3, n_cached=7, ...)
    """
    if not isinstance(raw, Mapping) or not _told(raw, "input_tokens", "output_tokens"):
        return None
    read, written = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    long = _count(_part(raw, "cache_creation"), "ephemeral_1h_input_tokens")
    short = _count(_part(raw, "cache_creation"), "ephemeral_5m_input_tokens")
    written = max(written, long + short)
    return Usage(
        n_input=_count(raw, "input_tokens") + read + written,
        n_output=_count(raw, "output_tokens"),
        n_cached=read,
        n_cache_write_5m=written - long,
        n_cache_write_1h=long,
        n_reasoning=_count(_part(raw, "output_tokens_details"), "thinking_tokens"),
    )


def anthropic_usage_json(usage: Usage) -> Json:
    """A message's `usage`: input without what was read from and written to the cache."""
    written = usage.n_cache_write_5m + usage.n_cache_write_1h
    return {
        "input_tokens": max(0, usage.n_input - usage.n_cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.n_cached,
        "cache_creation": _cache_creation(usage),
        "output_tokens": usage.n_output,
        "output_tokens_details": {"thinking_tokens": usage.n_reasoning},
    }


def responses_usage(raw: Any) -> Usage | None:
    """What `usage` of OpenAI's Responses API says; cache writes kept for 12 hours count as the longer ones.

    >>> responses_usage({"input_tokens": 9, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 3}})
    Usage(n_input=9, n_output=4, ..., n_reasoning=3, ...)
    """
    if not isinstance(raw, Mapping) or not _told(raw, "input_tokens", "output_tokens"):
        return None
    into, out = _part(raw, "input_tokens_details"), _part(raw, "output_tokens_details")
    long = _count(_part(into, "cache_write_tokens_details"), "ttl_12h_tokens")
    return Usage(
        n_input=_count(raw, "input_tokens"),
        n_output=_count(raw, "output_tokens"),
        n_cached=_count(into, "cached_tokens"),
        n_cache_write_5m=max(0, _count(into, "cache_write_tokens") - long),
        n_cache_write_1h=long,
        n_reasoning=_count(out, "reasoning_tokens"),
        n_audio_input=_count(into, "audio_tokens"),
        n_audio_output=_count(out, "audio_tokens"),
    )


def _cache_creation(usage: Usage) -> Json:
    return {
        "ephemeral_5m_input_tokens": usage.n_cache_write_5m,
        "ephemeral_1h_input_tokens": usage.n_cache_write_1h,
    }


def _told(raw: Mapping[str, Any], *names: str) -> bool:
    for name in names:
        if isinstance(raw.get(name), int | float):
            return all(_is_likely(raw.get(each)) for each in names)
    return False


def _is_likely(value: Any) -> bool:
    return not isinstance(value, int | float) or value <= _MOST_TOKENS


def _part(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _count(raw: Mapping[str, Any], name: str) -> int:
    return _whole(raw.get(name))


def _whole(value: Any) -> int:
    if type(value) is int:
        return max(0, value) if value <= _MOST_TOKENS else 0
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) and _is_likely(value) else 0
