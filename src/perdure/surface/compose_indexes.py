"""Opens versions of a project's indexes: what a version's definition says, with the stores beside the project's others.

A version keeps being what it was when another is declared: source, chunker and embedder are made again from its definition. What is
a function of the user's own exists only as it is declared now; a version of another one cannot be opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.assets.chunkers import ByStructure, ChunkedBy, CustomChunker, Whole, chunker_definition
from perdure.assets.documents import (
    DocumentsFrom,
    Folder,
    GitFiles,
    Iterated,
    Pushed,
    SqlRows,
    TableRows,
    documents_definition,
)
from perdure.assets.embedders import CustomEmbedder, EmbeddedBy, Endpoint, MiniLm, WordLlama, embedder_definition
from perdure.assets.rerankers import CustomReranker, reranker_definition
from perdure.assets.version import CHAMPION
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import BadIndex, Corrupt, Refused, not_found
from perdure.core.ids import version_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.assets.index import Index
    from perdure.assets.project import Project
    from perdure.loop.protocols import Workplace
    from perdure.loop.work.indexes.forgetting import Forgetting
    from perdure.loop.work.indexes.opening import OpenIndex
    from perdure.loop.work.indexes.resting import Resting
    from perdure.stores.documents.protocols import Documents
    from perdure.stores.ledger.protocols import Ledger
    from perdure.stores.vectors.protocols import IndexStore

_VECTORS = "embeddings.db"
_SOURCES: Mapping[str, Any] = {each.__name__: each for each in (Folder, GitFiles, SqlRows, TableRows, Pushed)}
_CHUNKERS: Mapping[str, Any] = {each.__name__: each for each in (ByStructure, Whole)}
_EMBEDDERS: Mapping[str, Any] = {each.__name__: each for each in (WordLlama, MiniLm, Endpoint)}


class ProjectIndexes:
    """The indexes of a project; see `OpensIndexes`.

    Args:
        folder: of the project, which paths are relative to.
        root: of its stores.
        project: what it declares.
        ledger: what its versions are.
        processes: that embed texts; 1: this one.
    """

    def __init__(self, folder: Path, root: Path, project: Project, ledger: Ledger, processes: int = 1) -> None:
        self._folder = folder
        self._root = root
        self._project = project
        self._ledger = ledger
        self._processes = processes

    @contextmanager
    def open(self, name: str, version: str) -> Iterator[OpenIndex]:
        """Everything of a version, closed at the end of the block.

        Raises:
            NotFound: no such index or version.
            MissingExtra: what its embedder or store needs is not installed.
            BadIndex: the version is of a function that is not declared any more.
            StoreError: its store cannot be opened.
        """
        with self._opened(self.as_of_version(name, version), version, self.path(name, version)) as opened:
            yield opened

    @contextmanager
    def renew(self, name: str, version: str) -> Iterator[OpenIndex]:
        """A version with an empty store beside its own, which takes its place when the block ends without an error.

        Raises: as `open`.
            Refused: its chunks lie in another database than its record.
        """
        index, path = self.as_of_version(name, version), self.path(name, version)
        if index.store:
            raise Refused(
                f"Index {name!r} keeps its chunks in {index.store.partition(':')[0]}, where none can be put in their place.",
                hint="Remove its files and build it.",
            )
        beside = path.with_name(f"{path.stem}.anew.db")
        _remove(beside)
        try:
            with self._opened(index, version, beside) as opened:
                yield opened
        except BaseException:
            _remove(beside)
            raise
        # A log of the old file would be taken for one of the new.
        for log in _logs(path):
            log.unlink(missing_ok=True)
        beside.replace(path)

    @contextmanager
    def _opened(self, index: Index, version: str, path: Path) -> Iterator[OpenIndex]:
        from perdure.engines.retrieval.chunking.compiling import compile_chunker
        from perdure.engines.retrieval.embedders.opening import open_embedder
        from perdure.loop.work.indexes.measured import MeasuredCache
        from perdure.loop.work.indexes.opening import OpenIndex
        from perdure.stores.vectors.opening import open_index
        from perdure.surface.embedding_workers import embedding_workers

        chunker = compile_chunker(index.chunker)
        built = self._root / "embedders"
        embedder = open_embedder(index.embedder, self._embed(index), cache=built)
        with ExitStack() as stack:
            workers = stack.enter_context(embedding_workers(index.embedder, self._processes, built))
            path.parent.mkdir(parents=True, exist_ok=True)
            with _mendable(index.name):
                store = open_index(path, self._store(index.store))
            stack.callback(store.close)
            cache = MeasuredCache(self._root / _VECTORS, self._measured(index.name, version))
            stack.callback(cache.close)
            documents = self.open_documents(index)
            stack.callback(documents.close)
            yield OpenIndex(index, version, documents, chunker, embedder, store, cache, workers)

    def versions(self, name: str) -> Sequence[str]:
        """Versions that are kept filled: those of pointers, and the champion's predecessor where it is still there."""
        with self._ledger.read() as session:
            pointed = {each.name: each.version for each in session.pointers.list(name)}
            moves = [each.version for each in session.pointers.history(name) if each.name == CHAMPION]
        found = dict.fromkeys([pointed[CHAMPION]] if CHAMPION in pointed else [])
        found |= dict.fromkeys(pointed.values())
        before = next((each for each in reversed(moves) if each and each != pointed.get(CHAMPION)), None)
        if before is not None and self.path(name, before).exists():
            found[before] = None
        return list(found)

    def declared(self, name: str) -> str:
        """Id of the version that is declared now."""
        index = self._project.index(name)
        return version_id(name, content_hash(plain(index.definition())))

    def path(self, name: str, version: str) -> Path:
        """File of a version's record."""
        return self._root / "indexes" / name / f"{version.partition('@')[2]}.db"

    def open_store(self, name: str, version: str, *, read_only: bool = False) -> IndexStore:
        """The store of a version alone.

        Raises: as `open`.
        """
        from perdure.stores.vectors.opening import open_index

        index = self.as_of_version(name, version)
        with _mendable(name):
            return open_index(self.path(name, version), self._store(index.store), read_only=read_only)

    def as_of_version(self, name: str, version: str) -> Index:
        """The index as one of its versions has it; objectives, policy and bounds are those that are declared now.

        Raises: NotFound, BadIndex, as `open`.
        """
        index = self._project.index(name)
        if version == self.declared(name):
            return index
        with self._ledger.read() as session:
            known = {each.id: each for each in session.registry.list_versions(name)}
        if version not in known:
            raise not_found("version", version, [*known, self.declared(name)])
        told = known[version].definition
        return replace(
            index,
            documents=_documents(index, told["documents"]),
            chunker=_chunker(index, told["chunker"]),
            embedder=_embedder(index, told["embedder"]),
            reranker=_reranker(index, told.get("reranker")),
            fields=dict(told["fields"]),
            store=str(told["store"]),
        )

    def _measured(self, name: str, version: str) -> str:
        """What keeps its vectors apart from those of others of its embedder's name."""
        from perdure.loop.work.indexes.measured import measured_of

        with self._ledger.read() as session:
            known = {each.id: each for each in session.registry.list_versions(name)}
        return measured_of(known[version].definition) if version in known else ""

    def open_documents(self, index: Index) -> Documents:
        """The source of an index.

        Raises: as `stores.documents.opening.open_documents`.
        """
        from perdure.stores.documents.opening import open_documents

        pushed = self._root / "indexes" / index.name / "pushed.db"
        pushed.parent.mkdir(parents=True, exist_ok=True)
        return open_documents(index.documents, self._folder, pushed=pushed, environment=os.environ)

    def _store(self, store: str) -> str:
        kind, _, folder = store.partition(":")
        return f"{kind}:{self._folder / folder}" if folder else store

    def _embed(self, index: Index) -> Any:
        if not isinstance(index.embedder, Endpoint):
            return None
        from perdure.surface.embedding import HttpEmbed

        return HttpEmbed(self._project.routes, self._project.upstreams, os.environ)


@contextmanager
def _mendable(name: str) -> Iterator[None]:
    """A store that is damaged says how it is made again: what it is made of lies at its source."""
    try:
        yield
    except Corrupt as error:
        hint = f"Build it anew, from vectors that are known: perdure index build {name} --anew"
        raise Corrupt(error.message, hint=hint) from error


def _logs(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]


def _remove(path: Path) -> None:
    for each in (*_logs(path), path):
        each.unlink(missing_ok=True)


def make_resting(folder: Path, root: Path, place: Workplace, project: Project) -> Resting | None:
    """Who looks after what rests on texts of indexes; None where no index is declared.

    Args:
        folder: of the project.
        root: of its stores.
        place: where it works.
        project: what is declared.
    """
    if not project.indexes:
        return None
    from perdure.loop.work.indexes.resting import Resting

    opens = ProjectIndexes(folder, root, project, place.stores.ledger)
    return Resting(list(project.indexes.values()), list(project.suites.values()), opens)


def make_forgetting(root: Path, project: Project) -> Forgetting | None:
    """Who forgets vectors that were not used for long; None where no index is declared.

    Args:
        root: of the project's stores.
        project: what is declared.
    """
    if not project.indexes:
        return None
    from perdure.loop.work.indexes.forgetting import Forgetting

    return Forgetting(root / _VECTORS)


def open_indexes(folder: Path, place: Workplace, project: Project) -> ProjectIndexes:
    """What opens versions of the project's indexes."""
    from perdure.surface.compose import stores_root

    return ProjectIndexes(folder, stores_root(folder, place.settings), project, place.stores.ledger)


def _documents(index: Index, told: Mapping[str, Any]) -> DocumentsFrom:
    if isinstance(index.documents, Iterated) and plain(documents_definition(index.documents)) == told:
        return index.documents
    made: DocumentsFrom = _again(index, _SOURCES, told, "from", "source of documents")
    return made


def _chunker(index: Index, told: Mapping[str, Any]) -> ChunkedBy:
    if isinstance(index.chunker, CustomChunker) and plain(chunker_definition(index.chunker)) == told:
        return index.chunker
    made: ChunkedBy = _again(index, _CHUNKERS, told, "by", "chunker")
    return made


def _embedder(index: Index, told: Mapping[str, Any]) -> EmbeddedBy:
    if isinstance(index.embedder, CustomEmbedder) and plain(embedder_definition(index.embedder)) == told:
        return index.embedder
    made: EmbeddedBy = _again(index, _EMBEDDERS, told, "by", "embedder")
    return made


def _reranker(index: Index, told: Mapping[str, Any] | None) -> CustomReranker | None:
    """As it is declared; None for a version of another one, which is searched without."""
    declared = index.reranker
    return declared if told and declared is not None and plain(reranker_definition(declared)) == told else None


def _again(index: Index, known: Mapping[str, Callable[..., Any]], told: Mapping[str, Any], by: str, what: str) -> Any:
    make = known.get(told[by])
    if make is None:
        raise BadIndex(
            f"A version of index {index.name!r} has a {what} of one's own that is not declared any more.",
            hint="Declare it as it was, or release another version.",
        )
    return partial(make, **{name: value for name, value in told.items() if name != by})()
