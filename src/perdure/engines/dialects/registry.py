"""Dialects by name. What a dialect needs is imported when it is first asked for; asking again costs a look-up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from perdure.core.errors import not_found
from perdure.engines.dialects.protocols import Inbound, Outbound

_HERE = "perdure.engines.dialects"
INBOUND: Mapping[str, str] = {
    "openai": f"{_HERE}.openai:OpenAIInbound",
    "anthropic": f"{_HERE}.anthropic_in:AnthropicInbound",
}
OUTBOUND: Mapping[str, str] = {
    "openai": f"{_HERE}.openai:OpenAIOutbound",
    "anthropic": f"{_HERE}.anthropic_out:AnthropicOutbound",
    "gemini": f"{_HERE}.gemini:GeminiOutbound",
}


@cache
def inbound(name: str) -> Inbound:
    """The dialect that clients speak.

    Raises:
        NotFound: there is none of this name.
    """
    return cast("Inbound", _made(name, INBOUND))


@cache
def outbound(name: str) -> Outbound:
    """The dialect that an upstream is spoken to in.

    Raises:
        NotFound: there is none of this name.
    """
    return cast("Outbound", _made(name, OUTBOUND))


def _made(name: str, known: Mapping[str, str]) -> object:
    if name not in known:
        raise not_found("dialect", name, known)
    module, _, kind = known[name].partition(":")
    return getattr(import_module(module), kind)()
