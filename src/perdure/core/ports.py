"""What engines ask of the outside world, injected by compose: one required method a port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation: `role` is system, user, assistant or tool."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a chat model answered, with its tokens and, where known, its cost in US dollars."""

    text: str
    n_input_tokens: int
    n_output_tokens: int
    cost_usd: float | None


class Chat(Protocol):
    """A chat model behind a route; normally our own gateway."""

    def ask(self, route: str, messages: Sequence[Message]) -> Reply:
        """The reply of `route`.

        Raises:
            UpstreamError: the route answered with an error or not in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """What an embedding model answered."""

    vectors: NDArray[np.float32]
    """One row a text, shape (len(texts), dimensions)."""
    n_tokens: int | None = None
    """As its upstream counted; None: it did not tell."""


class Embed(Protocol):
    """An embedding model behind a route."""

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        """A row a text, and what they cost.

        Raises:
            UpstreamError: the route answered with an error or not in time.
        """
        ...
