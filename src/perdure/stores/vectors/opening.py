"""Opens the store of one version of an index, as the index declares it."""

from __future__ import annotations

from pathlib import Path

from perdure.core.errors import BadIndex
from perdure.stores.vectors.protocols import IndexStore
from perdure.stores.vectors.sqlite import SqliteIndex


def open_index(path: Path, store: str = "", *, read_only: bool = False) -> IndexStore:
    """The store at `path`, such as `.perdure/indexes/handbook/3f9a.db`.

    Args:
        path: the file of its record; made where missing, unless it is only read.
        store: `Index.store`: empty, all in that file; or `lancedb:FOLDER`, chunks in a table there, named as the file and its folder.
        read_only: nothing is ever written; another process may write meanwhile.

    Raises:
        StoreError: it cannot be opened, or is of another format.
        NotReady: it is only read, and is being made.
        MissingExtra: LanceDB is not installed.
        BadIndex: there is no such store.
    """
    if not store:
        return SqliteIndex(path, read_only=read_only)
    kind, _, folder = store.partition(":")
    if kind != "lancedb" or not folder:
        raise BadIndex(f"There is no store {store!r}.", hint="Leave it empty, or use lancedb:FOLDER.")
    from perdure.stores.vectors.lancedb import LanceIndex

    return LanceIndex(path, Path(folder), read_only=read_only)
