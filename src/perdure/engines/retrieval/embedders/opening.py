"""A declared embedder to one that works."""

from __future__ import annotations

from perdure.assets.embedders import CustomEmbedder, EmbeddedBy, Endpoint, WordLlama, embedder_definition
from perdure.core.errors import MissingExtra, NotReady
from perdure.core.ports import Embed
from perdure.engines.retrieval.embedders.asked import AskedVectors
from perdure.engines.retrieval.embedders.custom import FunctionVectors
from perdure.engines.retrieval.embedders.words import WordVectors
from perdure.engines.retrieval.protocols import Embedder


def open_embedder(declared: EmbeddedBy, embed: Embed | None = None) -> Embedder:
    """The embedder that works as declared.

    Args:
        declared: what an index is embedded by.
        embed: who asks routes of the gateway; None: nobody does, and an `Endpoint` cannot be opened.

    Raises:
        BadIndex: it is none, or its dimensions mean nothing.
        MissingExtra: what it needs is not installed.
        NotReady: it asks a route, and nobody is there to ask.
    """
    embedder_definition(declared)
    if isinstance(declared, CustomEmbedder):
        return FunctionVectors(declared)
    if isinstance(declared, Endpoint):
        if embed is None:
            raise NotReady(
                f"No embedder answers for {declared.route!r} here.", hint="Run it where the gateway can be asked."
            )
        return AskedVectors(declared, embed)
    if isinstance(declared, WordLlama):
        return WordVectors(declared.dimensions)
    raise MissingExtra("minilm", needed_for="Embedding by MiniLm")
