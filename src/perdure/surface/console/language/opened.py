"""Indexes that were opened to be searched, kept open: an embedder takes half a second to load, and a search some milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from perdure.assets.embedders import Endpoint
from perdure.assets.version import CHAMPION
from perdure.core.errors import MissingExtra, NotFound, NotReady
from perdure.surface.console.language.kept import Kept
from perdure.surface.console.records import Asked

if TYPE_CHECKING:
    from perdure.engines.retrieval.protocols import Embedder
    from perdure.serve.retrieval.held import ServedIndex
    from perdure.surface.compose_retrieval import ServedIndexes


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A version that can be searched, with what embeds questions for it."""

    served: ServedIndex
    embedder: Embedder | None
    """None: there is none here; it is found by its words alone."""


_OPENED: Kept[Opened] = Kept(4)


def version_of(asked: Asked, name: str) -> str:
    """The version that answers, else the one that is declared.

    Raises:
        NotFound: no such index.
    """
    asked.project.project.index(name)
    with asked.project.place.stores.ledger.read() as session:
        champion = next((each.version for each in session.pointers.list(name) if each.name == CHAMPION), "")
    return champion or asked.project.show_index(name).version


def costs(asked: Asked, name: str) -> bool:
    """Whether what embeds its questions is asked over the network, for money."""
    return isinstance(asked.project.project.index(name).embedder, Endpoint)


def open_index(asked: Asked, name: str, version: str) -> Opened:
    """A version, opened before or now, with the newest generation in force.

    Raises:
        NotFound: nothing was built of it.
        StoreError: its store cannot be read.
    """
    from perdure.surface.compose import stores_root
    from perdure.surface.compose_retrieval import ServedIndexes

    project = asked.project
    root = stores_root(project.folder, project.settings)
    opens = ServedIndexes(project.folder, root, project.project, project.settings.project.name)
    if not opens.path(name, version).exists():
        raise NotFound(f"Nothing was built of {version}.", hint=f"Build it: perdure index build {name}")
    found = _OPENED.get(project, (name, version), lambda: _opened(opens, name, version))
    found.served.follow()
    return found


def _opened(opens: ServedIndexes, name: str, version: str) -> Opened:
    from perdure.serve.retrieval.held import HeldParts, ServedIndex

    index = opens.index(name, version)
    embedder: Embedder | MissingExtra | NotReady
    try:
        embedder = opens.embedder(index)
    except (MissingExtra, NotReady) as error:
        embedder = error
    parts = HeldParts(index, version, partial(opens.store, name, version), embedder, path=opens.path(name, version))
    return Opened(ServedIndex(parts), None if isinstance(embedder, MissingExtra | NotReady) else embedder)
