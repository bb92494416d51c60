"""An index to be searched over HTTP: real stores, a real server, an embedder of hashed words, and pushes of generations by hand."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
from gateway_world import Answer, Gateway, World, version_of

from perdure import Index, Pushed
from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import PerdureError
from perdure.serve.retrieval.lending import LimitsCounted
from perdure.serve.retrieval.wiring import IndexesDeclared
from perdure.serve.server import ScoringParts
from perdure.stores.capture.events import Searched
from perdure.stores.counters.sqlite import SqliteCounters
from perdure.stores.documents.pushed import PushedDocuments
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Change, ChunkRow, DocumentRow, Generation, IndexStore

DIMENSIONS = 64


class HashedWords:
    """Texts that share words are near each other."""

    fingerprint = "hashed-words"
    dimensions = DIMENSIONS

    def embed(self, contents: Sequence[Any], use: str = "document") -> np.ndarray:
        rows = np.zeros((len(contents), DIMENSIONS), np.float32)
        for i, content in enumerate(contents):
            for word in content.lower().split():
                digest = hashlib.blake2b(word.strip(".,?!").encode("utf-8", "surrogatepass"), digest_size=8).digest()
                seed = int.from_bytes(digest, "big")
                rows[i] += np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


EMBEDDER = HashedWords()


def chunk_of(document: str, text: str, position: int = 0, start: int = 0, **members: Any) -> ChunkRow:
    """A chunk as an index keeps it."""
    row = ChunkRow(
        key=0,
        document=document,
        position=position,
        start=start,
        end=start + len(text),
        text=text,
        context="",
        digest=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        form="text",
        vector=EMBEDDER.embed([text])[0].astype("<f4").tobytes(),
        embedder=EMBEDDER.fingerprint,
        chunker="whole",
    )
    return msgspec.structs.replace(row, **members)


def document_of(id_: str, token: str = "1", **members: Any) -> DocumentRow:
    """A document of the record."""
    row = DocumentRow(id_, token, f"digest {token}", "text/plain", 1, "whole", 1_000, 2_000, 1_000)
    return msgspec.structs.replace(row, **members)


@dataclass
class Opens:
    """Opens stores below a folder, by version."""

    world: RetrievalWorld

    def index(self, name: str, version: str) -> Index:
        return self.world.indexes[name]

    def store(self, name: str, version: str) -> IndexStore:
        return open_index(self.world.path(version), read_only=True)

    def path(self, name: str, version: str) -> Path | None:
        return self.world.path(version)

    def embedder(self, index: Index) -> HashedWords:
        if self.world.no_embedder is not None:
            raise self.world.no_embedder
        return EMBEDDER


@dataclass
class RetrievalWorld(World):
    """A gateway's world with indexes in it."""

    indexes: dict[str, Index] = field(default_factory=dict)
    no_embedder: PerdureError | None = None
    keeps: str = "redacted"

    def path(self, version: str) -> Path:
        return self.root / "indexes" / f"{version}.db"

    def index(self, name: str = "handbook", *, pointer: str = "champion", **members: Any) -> tuple[str, IndexStore]:
        """Declare an index, release a version of it, and open the version's store to be written."""
        index = self.indexes[name] = Index(name, Pushed(), **members)
        version = version_of(name, "index", index.definition())
        self.register(version)
        self.point(Pointer(name, pointer, version.id))
        return version.id, self.open(version.id)

    def open(self, version: str) -> IndexStore:
        self.path(version).parent.mkdir(parents=True, exist_ok=True)
        return open_index(self.path(version))

    def parts(self) -> ScoringParts:
        declared = IndexesDeclared(
            self.indexes,
            self.teams,
            Opens(self),
            lambda name: PushedDocuments(self.root / "indexes" / name / "pushed.db"),
            self.keeps,
            LimitsCounted(lambda: SqliteCounters(self.root / "counters.db"), self.limits, "test"),
        )
        return replace(super().parts(), indexes=declared)

    def searches(self) -> list[Searched]:
        return [event for event in self.captured() if isinstance(event, Searched)]


def write(
    store: IndexStore, texts: Mapping[str, str], *, at_us: int = 0, dead: Sequence[str] = (), **members: Any
) -> Generation:
    """Make a generation in which these documents say this, each in one chunk; `members` are of every document."""
    after = store.generation().number
    old = [row.key for row in store.chunks_of(list(texts))]
    return store.apply(
        Change(
            at_us or 1_000_000 * (after + 1),
            (at_us or 1_000_000 * (after + 1)) - 500,
            "test",
            after,
            [document_of(id_, str(after + 1), **members) for id_ in texts],
            [chunk_of(id_, text) for id_, text in texts.items()],
            old,
            list(dead),
        )
    )


def search(gateway: Gateway, query: str, index: str = "handbook", **members: Any) -> Answer:
    """One search."""
    headers = members.pop("headers", {})
    body = json.dumps({"query": query, **members}).encode()
    return gateway.ask(f"/v1/indexes/{index}/search", body, **headers)


def documents(answer: Answer) -> list[str]:
    """Documents of what was found, in order."""
    assert answer.status == 200, answer.json
    return [hit["document"] for hit in answer.json["hits"]]


def post(url: str, path: str, body: Any, secret: str) -> tuple[int, Any]:
    """One request of a key: status and what was told."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"content-type": "application/json", "authorization": f"Bearer {secret}"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def wait_for(check: Callable[[], Any], seconds: float = 15.0) -> None:
    """Until it says something."""
    until_s = monotonic_s() + seconds
    while monotonic_s() < until_s:
        if check():
            return
        sleep_s(0.02)
    raise AssertionError("it never came")
