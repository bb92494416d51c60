"""Vectors of texts for scorers: an embedder named "" is one of this process, any other is a route of the gateway.

Which one stands behind no name is compose's to say: WordLlama, with its weights in a wheel, needs no server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import NotReady
from perdure.core.ports import Embed, Embedded


class Vectors(Protocol):
    """Makes vectors in this process."""

    def embed(self, contents: Sequence[str], /) -> NDArray[np.float32]:
        """A row a text, of length 1; a text of no known word is all zeros."""
        ...


class UnnamedEmbed:
    """The port `Embed` with an embedder of this process for an unnamed route.

    Args:
        opened: opens that embedder; called at the first text.
        others: who answers for named routes; None: nobody does.
    """

    def __init__(self, opened: Callable[[], Vectors], others: Embed | None = None) -> None:
        self._open = opened
        self._others = others
        self._opened: Vectors | None = None

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        """A row a text; a text of no known word is all zeros.

        Raises:
            MissingExtra: what the embedder of this process needs is not installed.
            NotReady: a route is named, and nobody is there to ask.
            UpstreamError: the route answered with an error or not in time.
        """
        if route:
            if self._others is None:
                raise NotReady(
                    f"No embedder answers for {route!r} here.", hint="Run it where the gateway can be asked."
                )
            return self._others.embed(route, texts)
        if self._opened is None:
            self._opened = self._open()
        return Embedded(self._opened.embed(texts))
