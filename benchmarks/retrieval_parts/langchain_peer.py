"""LangChain's indexer as its makers show it: a record of hashes beside a store of vectors. Runs in its own environment.

    python langchain_peer.py FOLDER UNUSED

Answers lines of JSON: `update` (every file is read and cut: its loader has no tokens), `rows`, and `damage` of single rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore
from shared import cut, process_cpu_s, vectors

FOLDER = Path(sys.argv[1])


class Vectors(Embeddings):
    """The same vectors as everybody's, counted."""

    n = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A row a text."""
        self.n += len(texts)
        found: list[list[float]] = vectors(texts).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """One row."""
        return self.embed_documents([text])[0]


embeddings = Vectors()
store = InMemoryVectorStore(embeddings)
record = InMemoryRecordManager(namespace="bench")
record.create_schema()


def documents() -> Iterator[Document]:
    """Each section of each file."""
    for path in sorted(FOLDER.rglob("*.md")):
        source = path.relative_to(FOLDER).as_posix()
        for position, text in enumerate(cut(path.read_text())):
            yield Document(page_content=text, metadata={"source": source, "position": position})


def update() -> dict[str, float]:
    """Bring store and record up to date, deletions too."""
    embeddings.n, cpu = 0, process_cpu_s()
    index(documents(), record, store, cleanup="full", source_id_key="source", key_encoder="blake2b", batch_size=1000)
    return {"cpu_s": process_cpu_s() - cpu, "n_embedded": embeddings.n}


def rows() -> list[list[Any]]:
    """Document, text and vector of every row that stands there."""
    return [[row["metadata"]["source"], row["text"], row["vector"]] for row in store.store.values()]


def damage(told: dict[str, Any]) -> bool:
    """Change the row of a document's section, delete it, or put another beside it; whether there was one."""
    found = next((id_ for id_, row in store.store.items()
                  if (row["metadata"]["source"], row["metadata"]["position"]) == (told["document"], told["position"])), None)  # fmt: skip
    if told["verb"] == "insert":
        metadata = {"source": told["document"], "position": told["position"]}
        store.store[told["id"]] = {
            "id": told["id"],
            "text": told["text"],
            "vector": told["vector"],
            "metadata": metadata,
        }
    elif found is not None and told["verb"] == "delete":
        del store.store[found]
    elif found is not None:
        store.store[found].update({name: told[name] for name in ("text", "vector") if told.get(name) is not None})
    return found is not None


for line in sys.stdin:
    asked = json.loads(line)
    answers = {"update": update, "rows": rows, "damage": lambda: [damage(each) for each in asked["cases"]]}  # noqa: B023
    print(json.dumps(answers[asked["do"]]()), flush=True)
