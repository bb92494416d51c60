"""Opens the source of documents that an index declares. Compose calls it; each adapter is loaded where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perdure.assets.documents import DocumentsFrom, Folder, GitFiles, Iterated, Pushed, SqlRows, TableRows
from perdure.core.errors import BadIndex
from perdure.stores.documents.protocols import Documents


def open_documents(declared: DocumentsFrom, root: Path, *, pushed: Path, environment: Mapping[str, str]) -> Documents:
    """The source that is declared, to be closed by whoever opened it.

    Args:
        declared: what an index says of where its documents come from.
        root: of the project, which paths are relative to.
        pushed: file of the documents that are pushed to this index.
        environment: where addresses with passwords are looked up.

    Raises:
        BadIndex: the declaration lacks what it takes to open it, such as a variable that is not set.
        MissingExtra: a database's driver is not installed.
        StoreError: the file of pushed documents cannot be opened. Of other sources `list` tells whether they answer.
    """
    match declared:
        case Folder():
            from perdure.stores.documents.folder import FolderDocuments

            return FolderDocuments(declared, root)
        case GitFiles():
            from perdure.stores.documents.git import GitDocuments

            return GitDocuments(declared, root)
        case SqlRows():
            from perdure.stores.documents.sql import SqlDocuments

            return SqlDocuments(declared, root, environment)
        case TableRows():
            from perdure.stores.documents.tables import TableDocuments

            return TableDocuments(declared, root)
        case Pushed():
            from perdure.stores.documents.pushed import PushedDocuments

            return PushedDocuments(pushed)
        case Iterated():
            from perdure.stores.documents.iterated import IteratedDocuments

            return IteratedDocuments(declared)
    raise BadIndex(f"{declared!r} is no source of documents.")
