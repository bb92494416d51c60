"""Wires the indexes of a project for serve: which stores they are read from, what embeds questions, where pushes are kept.

Called by `surface.compose` for servers. A version of an index is opened as its definition says it, so the champion goes on being
searched by its own embedder while another one is declared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.embedders import Endpoint
from perdure.core.errors import NotReady
from perdure.surface.compose_indexes import ProjectIndexes

if TYPE_CHECKING:
    from perdure.assets.index import Index
    from perdure.assets.project import Project
    from perdure.core.settings import Settings
    from perdure.engines.retrieval.protocols import Embedder
    from perdure.serve.retrieval.wiring import IndexesDeclared
    from perdure.stores.documents.pushed import PushedDocuments
    from perdure.stores.vectors.protocols import IndexStore


class ServedIndexes:
    """Opens what a served version of an index needs; see `serve.retrieval.loading.OpensServed`. Nothing is written.

    Args:
        folder: of the project.
        root: of its stores.
        project: what it declares.
        name: of the project in its ledger.
    """

    def __init__(self, folder: Path, root: Path, project: Project, name: str) -> None:
        self._folder = folder
        self._root = root
        self._project = project
        self._name = name

    def index(self, name: str, version: str) -> Index:
        """The index as one of its versions has it.

        Raises: as `ProjectIndexes.as_of_version`.
        """
        with self._opened() as indexes:
            return indexes.as_of_version(name, version)

    def store(self, name: str, version: str) -> IndexStore:
        """The version's store, read only.

        Raises: as `ProjectIndexes.open_store`.
            NotReady: nothing was written of it yet.
        """
        with self._opened() as indexes:
            if not indexes.path(name, version).exists():
                hint = f"perdure up fills it, or perdure index build {name}."
                raise NotReady(f"Nothing is in the index {name!r} yet.", hint=hint)
            return indexes.open_store(name, version, read_only=True)

    def path(self, name: str, version: str) -> Path:
        """File of the version's record."""
        with self._opened() as indexes:
            return indexes.path(name, version)

    def embedder(self, index: Index) -> Embedder:
        """What embeds questions of a version.

        Raises: as `open_embedder`.
        """
        from perdure.engines.retrieval.embedders.opening import open_embedder
        from perdure.surface.embedding import HttpEmbed

        asks = isinstance(index.embedder, Endpoint)
        port = HttpEmbed(self._project.routes, self._project.upstreams, os.environ) if asks else None
        return open_embedder(index.embedder, port, cache=self._root / "embedders")

    @contextmanager
    def _opened(self) -> Iterator[ProjectIndexes]:
        from perdure.stores.ledger.sqlite import SqliteLedger

        ledger = SqliteLedger.open_read_only(self._root / "ledger.db", project=self._name)
        try:
            yield ProjectIndexes(self._folder, self._root, self._project, ledger)
        finally:
            ledger.close()


def open_pushed(root: Path, name: str) -> PushedDocuments:
    """Where documents are kept that are pushed to an index.

    Raises:
        StoreError: it cannot be opened.
    """
    from perdure.stores.documents.pushed import PushedDocuments

    return PushedDocuments(root / "indexes" / name / "pushed.db")


def indexes_declared(folder: Path, root: Path, settings: Settings, project: Project) -> IndexesDeclared | None:
    """What of a project is searched; None where it declares no index."""
    if not project.indexes:
        return None
    from perdure.serve.retrieval.lending import LimitsCounted
    from perdure.serve.retrieval.wiring import IndexesDeclared
    from perdure.surface.compose import worker_name
    from perdure.surface.compose_gateway import open_counters

    return IndexesDeclared(
        project.indexes,
        project.teams,
        ServedIndexes(folder, root, project, settings.project.name),
        partial(open_pushed, root),
        settings.serve.searches,
        LimitsCounted(partial(open_counters, root, settings), settings.limits, worker_name()),
    )
