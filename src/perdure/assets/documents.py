"""Where the documents of an index come from, as it is declared. `stores.documents` opens what is declared here.

Folder("docs", include=["**/*.md"], metadata={"product": "perdure"})
GitFiles("https-or-path/of/repository", ref="main", include=["docs/**"])
SqlRows("postgresql+psycopg://…", "select id, updated_at, title, body from articles", id="id", token="updated_at", text="body")
TableRows("s3-or-path/of/table", id="id", text="body", token="version")
Pushed()
Iterated(my_documents)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from perdure.assets.core_schema import code_digest
from perdure.core.canonical import plain
from perdure.core.documents import RawDocument, Scalar
from perdure.core.errors import BadIndex

_MOST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Folder:
    """Files below a folder; a file's id is its path relative to it, with `/`.

    Args:
        path: relative to the project's folder.
        include: patterns as of `Path.full_match`, such as `**/*.md`.
        exclude: patterns, stronger than `include`; hidden files and folders are left out in any case.
        metadata: of every document. `folder` (its first part) and `suffix` are there by themselves.
        readers: pattern → groups that may find the files; the first that matches counts, none: everybody.
        most_bytes: larger files are told and not read.
    """

    path: str | Path
    include: Sequence[str] = ("**/*",)
    exclude: Sequence[str] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    readers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    most_bytes: int = _MOST_BYTES


@dataclass(frozen=True, slots=True)
class GitFiles:
    """Files of a git repository at a ref, read without a checkout.

    A token is the blob's id; a file changed when it came to the ref, by a commit or a merge.

    Args:
        path: of a repository on this machine, bare or not, relative to the project's folder.
        ref: branch, tag or commit; resolved anew at each look.
        include: as of `Folder`.
        exclude: as of `Folder`.
        metadata: as of `Folder`.
        readers: as of `Folder`.
        most_bytes: as of `Folder`.
    """

    path: str | Path
    ref: str = "HEAD"
    include: Sequence[str] = ("**/*",)
    exclude: Sequence[str] = ()
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    readers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    most_bytes: int = _MOST_BYTES


@dataclass(frozen=True, slots=True)
class SqlRows:
    """Rows of a query; each is a document.

    Args:
        url: of the database, as SQLAlchemy takes it. One with a password is given by its variable: `url_env`.
        query: a SELECT.
        id: its column of ids.
        text: its column of texts or bytes.
        token: its column that changes with a row, such as `updated_at`; empty: the row itself is digested.
        changed: its column of instants of change; empty: not known, or `token` where that is an instant.
        title: its column of titles; empty: none.
        metadata: columns that become metadata.
        readers: its column of groups, separated by commas, NULL: everybody; empty: everybody.
        media_type: of every text.
        url_env: name of the environment's variable with the address.
    """

    query: str
    id: str
    text: str
    url: str = ""
    token: str = ""
    changed: str = ""
    title: str = ""
    metadata: Sequence[str] = ()
    readers: str = ""
    media_type: str = "text/plain"
    url_env: str = ""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a Delta table (a folder with `_delta_log`) or of Parquet files; columns as of `SqlRows`."""

    path: str
    id: str
    text: str
    token: str = ""
    changed: str = ""
    title: str = ""
    metadata: Sequence[str] = ()
    readers: str = ""
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Pushed:
    """Documents that others push: `POST /v1/indexes/{name}/documents`, `perdure index push`, the SDK. Kept beside the other stores."""


@dataclass(frozen=True, slots=True, eq=False)
class Iterated:
    """Documents of a function of one's own, which is called for each look.

    Args:
        documents: gives every document that is there now.
        check_s: longest time between two looks where nothing else asks.
    """

    documents: Callable[[], Iterable[RawDocument]]
    check_s: float = 60.0


DocumentsFrom = Folder | GitFiles | SqlRows | TableRows | Pushed | Iterated


def documents_definition(documents: DocumentsFrom) -> dict[str, Any]:
    """What of a source of documents is part of an index's versions; no secret is in it.

    Raises:
        BadIndex: it is none, or lacks what it must have.
    """
    if not isinstance(documents, DocumentsFrom):
        raise BadIndex(
            f"{documents!r} is no source of documents.",
            hint="Use Folder, GitFiles, SqlRows, TableRows, Pushed or Iterated.",
        )
    if isinstance(documents, Iterated):
        return {"from": "Iterated", "code": code_digest(documents.documents)}
    if isinstance(documents, SqlRows) and bool(documents.url) == bool(documents.url_env):
        raise BadIndex(
            "SqlRows needs its database's address once.", hint="Give url=, or url_env= where it holds a password."
        )
    told = {each.name: getattr(documents, each.name) for each in fields(documents)}
    if isinstance(documents, Folder | GitFiles):
        told["path"] = str(documents.path)
    return {"from": type(documents).__name__, **plain(told)}
