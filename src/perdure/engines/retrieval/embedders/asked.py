"""Vectors by an embedding model behind a route of the gateway: asked through the port `Embed`, which compose gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perdure.assets.embedders import Endpoint
from perdure.core.documents import Content
from perdure.core.errors import UpstreamBad
from perdure.core.ports import Embed
from perdure.engines.retrieval.embedders.fingerprints import fingerprint
from perdure.engines.retrieval.embedders.rows import texts_of, unit_rows
from perdure.engines.retrieval.protocols import Use


class AskedVectors:
    """Asks a route, puts the declared prefixes before each text, and makes rows of length 1. As safe between threads as its port.

    Its fingerprint says what was declared; whether the model behind the name is still the same only its sentinels tell.

    Args:
        declared: the route, its dimensions and its prefixes.
        port: who asks.
    """

    def __init__(self, declared: Endpoint, port: Embed) -> None:
        self._declared = declared
        self._port = port
        self.route = declared.route
        """Who is asked: a route, or `upstream/model`."""
        self.dimensions = declared.dimensions
        self.fingerprint = fingerprint(
            "endpoint",
            route=declared.route,
            dimensions=declared.dimensions,
            query_prefix=declared.query_prefix,
            document_prefix=declared.document_prefix,
        )

    def embed(self, contents: Sequence[Content], use: Use = "document") -> NDArray[np.float32]:
        """See `Embedder.embed`. One call for all that is not blank; a blank text is all zeros and asks nobody.

        Raises:
            UpstreamBad: other dimensions than declared, another number of rows, or what is no number.
        """
        return self.counted(contents, use)[0]

    def sent(self, text: str, use: Use) -> str:
        """What is sent of a text: its prefix and itself; nothing of a blank one."""
        prefix = self._declared.query_prefix if use == "query" else self._declared.document_prefix
        return prefix + text if text.strip() else ""

    def counted(self, contents: Sequence[Content], use: Use) -> tuple[NDArray[np.float32], int | None]:
        """The same, with the tokens that its upstream counted; None: it did not tell.

        Raises: as `embed`.
        """
        name = self.route
        texts = [self.sent(text, use) for text in texts_of(contents, f"The route {name!r}")]
        told = [place for place, text in enumerate(texts) if text]
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        n_tokens: int | None = 0
        if told:
            answer = self._port.embed(name, [texts[at] for at in told])
            vectors, n_tokens = np.asarray(answer.vectors, np.float32), answer.n_tokens
            if vectors.shape != (len(told), self.dimensions) or not np.isfinite(vectors).all():
                raise UpstreamBad(
                    f"{name!r} gave vectors of shape {vectors.shape}, finite: {bool(np.isfinite(vectors).all())}; "
                    f"({len(told)}, {self.dimensions}) was declared.",
                    hint=f"Say how many dimensions it gives: Endpoint({name!r}, dimensions=…).",
                )
            rows[told] = unit_rows(vectors)
        return rows, n_tokens
