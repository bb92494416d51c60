"""A declared embedder to one that works."""

from __future__ import annotations

from pathlib import Path

from perdure.assets.embedders import CustomEmbedder, EmbeddedBy, Endpoint, WordLlama, embedder_definition
from perdure.core.errors import NotReady
from perdure.core.ports import Embed
from perdure.engines.retrieval.embedders.asked import AskedVectors
from perdure.engines.retrieval.embedders.custom import FunctionVectors
from perdure.engines.retrieval.embedders.words import WordVectors
from perdure.engines.retrieval.protocols import Embedder


def open_embedder(declared: EmbeddedBy, embed: Embed | None = None, *, cache: Path | None = None) -> Embedder:
    """The embedder that works as declared.

    Args:
        declared: what an index is embedded by.
        embed: who asks routes of the gateway; None: nobody does, and an `Endpoint` cannot be opened.
        cache: a folder where what takes seconds to build is kept; None: built each time.

    Raises:
        BadIndex: it is none, or its dimensions mean nothing.
        MissingExtra: what it needs is not installed.
        UntrustedArtifact: installed weights are not the known ones.
        NotReady: it asks a route, and nobody is there to ask.

    >>> from perdure.assets.embedders import WordLlama
    >>> words = open_embedder(WordLlama(dimensions=64))
    >>> question, near, far = words.embed(["How do I return a parcel?", "Sending goods back", "The turbine's blades"])
    >>> bool(question @ near > question @ far)
    True
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
    from perdure.engines.retrieval.embedders.minilm import MiniLmVectors

    return MiniLmVectors(declared.quantised, cache)
