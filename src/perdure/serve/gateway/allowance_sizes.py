"""How large a call may get: what is kept aside for it before it is made, by what will really be sent.

A route and its targets set members that the caller did not set, and a dialect sets those that it must have: a limit of the
answer, several answers, tools. What they add is worked out once a target, when a version is loaded; a target that adds
nothing has no `Added`, and costs nothing a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.engines.dialects.anthropic_out import DEFAULT_MAX_TOKENS
from perdure.engines.dialects.passthrough import Peek

USUAL_OUTPUT = 1024
"""Output tokens kept aside where no limit is sent: what a model may then write is not known."""
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_READ = ("system", "instructions", "tools", "response_format")
"""Members that a model reads."""
_SET = {"anthropic": DEFAULT_MAX_TOKENS}
"""Dialect → the limit that is sent where nobody set one, because it must have one."""


@dataclass(frozen=True, slots=True)
class Added:
    """What a target adds to a request that does not say it itself."""

    limits: Mapping[str, int]
    """Of each answer, by name."""
    n: int
    """Answers."""
    n_bytes: Mapping[str, int]
    """Of what the model reads, by name."""
    usual: int
    """Output tokens of each answer where nobody set a limit."""

    def to(self, peek: Peek) -> tuple[int, int]:
        """Bytes of input and tokens of output, at most.

        >>> from perdure.engines.dialects.passthrough import peek
        >>> added_by({"max_tokens": 4000, "n": 2}, "openai").to(peek(b'{"model": "m", "n": 1}'))
        (2, 4000)
        """
        raw = peek.raw
        told = [limit for name, limit in self.limits.items() if name not in raw]
        limit = max(told, default=0)
        n = peek.n if "n" in raw else self.n
        n_bytes = peek.n_bytes + sum(size for name, size in self.n_bytes.items() if name not in raw)
        return n_bytes, (max(limit, peek.max_tokens or 0) or self.usual) * n


def added_by(params: Mapping[str, Any], dialect: str) -> Added | None:
    """What params of a route and a target, and the dialect of its upstream, add; None: nothing that counts.

    >>> added_by({"temperature": 0}, "openai") is None
    True
    """
    limits = {name: params[name] for name in _LIMITS if type(params.get(name)) is int}
    n = params["n"] if type(params.get("n")) is int else 1
    n_bytes = {name: len(msgspec.json.encode(params[name])) for name in _READ if params.get(name)}
    if not limits and n == 1 and not n_bytes and dialect not in _SET:
        return None
    return Added(limits, max(n, 1), n_bytes, _SET.get(dialect, USUAL_OUTPUT))
