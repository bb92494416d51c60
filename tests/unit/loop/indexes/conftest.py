"""An index over a real folder in real stores; its embedder is a few words of arithmetic."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from perdure.assets.documents import Folder
from perdure.assets.index import Index
from perdure.core.clock import machine_us
from perdure.core.documents import Chunk
from perdure.engines.retrieval.protocols import Unparsable
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.stores.documents.folder import FolderDocuments
from perdure.stores.vectors.embedded import EmbeddingCache
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.testing.careless import careless

N_DIMENSIONS = 16
OLD_S = 60
"""Files of tests are so old that their tokens say all."""


@dataclass(slots=True)
class WordVectors:
    """Each word is a direction; what it gives does not depend on what else is asked."""

    fingerprint: str = "words-1"
    dimensions: int = N_DIMENSIONS
    seed: str = ""
    n_embedded: int = 0

    def embed(self, contents, use="document"):
        self.n_embedded += len(contents)
        return np.stack([self._one(content) for content in contents])

    def _one(self, content):
        total = np.zeros(self.dimensions)
        for word in str(content).split():
            seed = int.from_bytes(hashlib.blake2b((self.seed + word).encode(), digest_size=8).digest(), "big")
            total += np.random.default_rng(seed).standard_normal(self.dimensions)
        norm = np.linalg.norm(total)
        return (total / norm if norm else total).astype("f4")


@dataclass(slots=True)
class Paragraphs:
    """Each paragraph is a chunk."""

    fingerprint: str = "paragraphs-1"

    def chunk(self, document):
        try:
            text = document.data.decode()
        except UnicodeDecodeError:
            raise Unparsable("encoding", "It is no UTF-8.") from None
        found = list(re.finditer(r"[^\n]+(?:\n[^\n]+)*", text))
        return text[:10], [
            Chunk(document.ref.id, i, match.group(), match.start(), match.end(), context=document.ref.id)
            for i, match in enumerate(found)
        ]


@dataclass
class World:
    """A folder, its index, and hands that damage either."""

    folder: Path
    path: Path
    opened: OpenIndex
    written: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str | bytes, *, old: bool = True) -> None:
        """A file, as of a minute ago unless it is fresh."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if old:
            self.age(name)

    def age(self, name: str) -> None:
        """Its times say that it is as old as that; the inode's own time cannot be set, so tokens wait for the clock."""
        path = self.folder / name
        at = machine_us() / 1e6 - OLD_S
        os.utime(path, (at, at))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    @contextmanager
    def damage(self):
        """A connection of a careless hand."""
        connection = careless(sqlite3.connect(self.path, isolation_level=None))
        try:
            yield connection
        finally:
            connection.close()

    def rows(self):
        return list(self.opened.store.chunks())

    def with_(self, **parts):
        """The same index with another part."""
        self.opened = replace(self.opened, **parts)
        return self.opened


def text_of(i: int, n: int = 3) -> str:
    return "\n\n".join(f"document {i} paragraph {j} says word{i}x{j} and no more" for j in range(n))


def open_world(root: Path, index: Index | None = None) -> World:
    folder = root / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    path = root / "index" / "v1.db"
    declared = index or Index("handbook", Folder("docs"))
    path.parent.mkdir(exist_ok=True)
    opened = OpenIndex(
        index=declared,
        version="handbook@1",
        documents=FolderDocuments(declared.documents, root),
        chunker=Paragraphs(),
        embedder=WordVectors(),
        store=SqliteIndex(path),
        cache=EmbeddingCache(root / "embeddings.db"),
    )
    return World(folder, path, opened)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    made = open_world(tmp_path / "world")
    yield made
    for each in (made.opened.documents, made.opened.store, made.opened.cache):
        each.close()


@pytest.fixture
def built(world, place):
    """Forty documents of three chunks, indexed."""
    from perdure.loop.work.indexes.resyncing import resync

    for i in range(40):
        world.write(f"a{i % 4}/{i:02}.md", text_of(i))
    resync(place, world.opened, 1_000_000)
    world.opened.embedder.n_embedded = 0
    return world
