"""The paths that the gateway answers, and how each is said to an upstream of the same dialect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of one of the client dialects."""

    name: str
    """`chat`, `messages`, `count_tokens`, `responses`, `embeddings`: as it is recorded."""
    dialect: str
    """What the client speaks, and an upstream must for bytes to pass."""
    path: str
    """Ours."""
    upstream_path: str
    """Behind the address of an upstream of the same dialect."""
    translated: bool
    """Whether upstreams of other dialects can answer it."""
    billed: bool = True
    """Whether a call of it costs tokens."""
    streams: bool = True
    """Whether an answer may come as events."""


ENDPOINTS = {
    each.path: each
    for each in (
        Endpoint("chat", "openai", "/v1/chat/completions", "/chat/completions", translated=True),
        Endpoint("responses", "openai", "/v1/responses", "/responses", translated=False),
        Endpoint("embeddings", "openai", "/v1/embeddings", "/embeddings", translated=False, streams=False),
        Endpoint("messages", "anthropic", "/v1/messages", "/v1/messages", translated=True),
        Endpoint(
            "count_tokens", "anthropic", "/v1/messages/count_tokens", "/v1/messages/count_tokens",
            translated=False, billed=False, streams=False,
        ),
    )
}  # fmt: skip
"""Path → endpoint."""
