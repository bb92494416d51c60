"""Chunks and documents as a searcher is made of them, with what most tests do not care about left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perdure.core.documents import Scalar


@dataclass
class Chunk:
    key: int
    text: str
    vector: bytes = b""
    document: str = "d"
    context: str = ""


@dataclass
class Document:
    id: str = "d"
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    readers: Sequence[str] | None = None
