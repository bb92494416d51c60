"""Collections of Qdrant in the local mode of its client (`QdrantClient(path=…)`). Extra `qdrant`.

What surprised us: that mode keeps each point as a pickle, and reading a pickle runs whatever is in it. So every one is read here
first, by a reader that knows points and makes nothing else; a folder with anything else in it is refused before the client opens it.
The client holds a lock of its folder and makes files in it, so a copy is opened, with what it cannot load left out.
"""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from perdure.core.errors import MissingExtra, NotFound, StoreError, UntrustedArtifact
from perdure.stores.sqlite_errors import translated
from perdure.stores.vectors.foreign import ForeignRow, ForeignTold, flat, named
from perdure.stores.vectors.foreign_copy import Copied

try:
    from qdrant_client import QdrantClient
except ImportError as error:
    raise MissingExtra("qdrant", needed_for="A census of an index in Qdrant") from error

_META = "meta.json"
_MODELS = "qdrant_client.http.models.models"
_ARRAYS = frozenset({("numpy", "ndarray"), ("numpy", "dtype"), ("numpy._core.multiarray", "_reconstruct"),
                     ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.numeric", "_frombuffer"),
                     ("numpy.core.numeric", "_frombuffer"), ("numpy._core.multiarray", "scalar")})  # fmt: skip
"""Of arrays of numbers: they hold vectors where points were given as arrays."""
_TEXTS = ("text", "page_content", "content", "document", "chunk", "body", "payload.text")
_NODE = "_node_content"
"""LlamaIndex keeps a whole node as JSON there."""
_AT_ONCE = 500


class _Stored:
    """Stands for a point, or a sparse vector, while its pickle is read: its members and nothing else."""

    def __setstate__(self, state: Any) -> None:
        told = state.get("__dict__", state) if isinstance(state, dict) else {}
        self.members: Mapping[str, Any] = told if isinstance(told, dict) else {}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == _MODELS and name in ("PointStruct", "SparseVector"):
            return _Stored
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        raise UntrustedArtifact(
            f"A point of this index would run {module}.{name} when it is read.",
            hint="Qdrant's local mode keeps pickles. Do not open this folder with any tool; ask whoever gave it to you.",
        )


class QdrantIndex:
    """One collection of a folder, as it was when this was made. See `foreign.ForeignIndex`.

    Args:
        folder: of the client's `path`.
        collection: its name; empty: the only one.
        text: member of the payload that holds a point's text, with dots between; empty: by the names that are usual.

    Raises:
        NotFound: there is no Qdrant in the folder, or no such collection.
        UntrustedArtifact: its files hold what runs when they are read.
        StoreError: it cannot be copied or opened.
    """

    def __init__(self, folder: Path, collection: str = "", text: str = "") -> None:
        meta = _meta(folder)
        self._name = named(collection, list(meta["collections"]), folder)
        self._texts = (text,) if text else _TEXTS
        params = meta["collections"][self._name].get("vectors") or {}
        self._vectors: Mapping[str, Any] = {"": params} if "size" in params else params
        self._vector = next(iter(self._vectors), "")
        self._client: QdrantClient | None = None
        self._copied = Copied(folder)
        try:
            one = {"collections": {self._name: meta["collections"][self._name]}, "aliases": {}}
            (self._copied.folder / _META).write_text(json.dumps(one))
            self._points = self._copied.database(f"collection/{self._name}/storage.sqlite")
            self._refuse_untrusted()
        except (OSError, StoreError, UntrustedArtifact):
            self.close()
            raise

    def describe(self) -> ForeignTold:
        """What the folder's configuration says of the collection."""
        told = self._vectors.get(self._vector, {})
        with translated(self._points), closing(sqlite3.connect(self._points)) as connection:
            n = connection.execute("SELECT count(*) FROM points").fetchone()[0]
        rest = [name for name in self._vectors if name != self._vector]
        notes = [f"Of its vectors, {self._vector!r} are looked at, and {', '.join(rest)} not."] if rest else []
        metric = {"euclid": "l2"}.get(str(told.get("distance", "")).lower(), str(told.get("distance", "")).lower())
        return ForeignTold("qdrant", self._name, n, int(told.get("size", 0)), metric, notes)

    def rows(self) -> Iterator[Sequence[ForeignRow]]:
        """Every point, in pages of 500. Cost: 60 µs a point."""
        points = self._read()
        while page := list(islice(points, _AT_ONCE)):
            yield [row for _, row in page]

    def find(self, vectors: Sequence[bytes], k: int) -> list[list[str]]:
        """What `query_points` finds."""
        client = self._opened()
        found = []
        for vector in vectors:
            told = client.query_points(
                self._name,
                np.frombuffer(vector, "<f4").tolist(),
                using=self._vector or None,
                limit=k,
                with_payload=False,
            )
            found.append([str(point.id) for point in told.points])
        return found

    def close(self) -> None:
        """Let go of the copy."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._copied.close()

    def _opened(self) -> QdrantClient:
        """The tool itself, over the copy without what it cannot load."""
        if self._client is None:
            size = 4 * int(self._vectors.get(self._vector, {}).get("size", 0))
            broken = [key for key, row in self._read() if row.trouble or len(row.vector) != size]
            with translated(self._points), closing(sqlite3.connect(self._points)) as connection, connection:
                connection.executemany("DELETE FROM points WHERE id = ?", [(key,) for key in broken])
            with warnings.catch_warnings():
                # It advises a server for many points.
                warnings.simplefilter("ignore", UserWarning)
                self._client = QdrantClient(path=str(self._copied.folder))
        return self._client

    def _refuse_untrusted(self) -> None:
        for _ in self._read():
            pass

    def _read(self) -> Iterator[tuple[str, ForeignRow]]:
        with translated(self._points), closing(sqlite3.connect(self._points)) as connection:
            for key, data in connection.execute("SELECT id, point FROM points ORDER BY rowid"):
                yield key, self._row(str(key), data)

    def _row(self, key: str, data: Any) -> ForeignRow:
        try:
            point = _Reader(io.BytesIO(data)).load()
            members = point.members
            payload = members.get("payload") or {}
            vector = members.get("vector")
            vector = vector.get(self._vector) if isinstance(vector, dict) else vector
            told = b"" if vector is None else np.asarray(vector, "<f4").reshape(-1).tobytes()
            return ForeignRow(str(members["id"]), self._text(payload), flat(payload), told)
        except (pickle.UnpicklingError, AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
            return ForeignRow(key, None, {}, b"", f"Its stored point cannot be read: {type(error).__name__}.")

    def _text(self, payload: Mapping[str, Any]) -> str | None:
        told = flat(payload)
        found = next((told[name] for name in self._texts if isinstance(told.get(name), str)), None)
        if found is None and isinstance(payload.get(_NODE), str):
            return _text_of_node(payload[_NODE])
        return found if isinstance(found, str) else None


def _text_of_node(told: str) -> str | None:
    try:
        text = json.loads(told)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def _meta(folder: Path) -> Mapping[str, Any]:
    path = folder / _META
    if not path.is_file():
        raise NotFound(f"{folder} holds no {_META}.", hint="Give the path that QdrantClient was given.")
    try:
        told = json.loads(path.read_text("utf-8"))
        collections = told["collections"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be read: {error}.", hint="Open the folder with the release that wrote it.") from error  # fmt: skip
    if not isinstance(collections, dict):
        raise StoreError(f"{path} names no collections.", hint="Open the folder with the release that wrote it.")
    return {"collections": collections}
