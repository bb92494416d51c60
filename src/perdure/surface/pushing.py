"""Verbs of documents that are pushed to an index: what a person or program has, kept durably, and found within a second.

Over HTTP it is `PUT` and `DELETE /v1/indexes/{name}/documents/{id}`; both keep them in one file, which the index follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound, Refused
from perdure.surface.opened import Opened

if TYPE_CHECKING:
    from perdure.core.documents import RawDocument
    from perdure.stores.documents.pushed import PushedDocuments


class Pushing(Opened):
    """Documents that are pushed to indexes."""

    def push_documents(self, name: str, documents: Sequence[RawDocument | str | Path]) -> list[str]:
        """Keep documents for an index, each in the place of what was under its id before; their ids.

        Args:
            name: of an index whose documents are `Pushed()`.
            documents: each as it is, or a file, whose id is its path as it is given.

        Raises:
            NotFound: no such index or file.
            Refused: the index has another source.
            DeclarationError: an id or a member of the metadata that cannot be kept.
            StoreError: nothing was kept.
        """
        pushed = self._pushed(name)
        try:
            raw = [_of_file(Path(each)) if isinstance(each, str | Path) else each for each in documents]
            pushed.put(raw)
        finally:
            pushed.close()
        return [each.ref.id for each in raw]

    def delete_documents(self, name: str, ids: Sequence[str]) -> list[str]:
        """Delete documents that were pushed to an index; the ids of those that were there.

        Raises: as `push_documents`.
        """
        pushed = self._pushed(name)
        try:
            return list(pushed.delete(ids))
        finally:
            pushed.close()

    def _pushed(self, name: str) -> PushedDocuments:
        from perdure.assets.documents import Pushed
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_retrieval import open_pushed

        index = self.project.index(name)
        if not isinstance(index.documents, Pushed):
            raise Refused(
                f"The documents of index {name!r} come from {type(index.documents).__name__}, and are not pushed.",
                hint="Declare it with Pushed(), or change its source.",
            )
        root = stores_root(self.folder, self.settings)
        (root / "indexes" / name).mkdir(parents=True, exist_ok=True)
        return open_pushed(root, name)


def _of_file(path: Path) -> RawDocument:
    from perdure.core.documents import DocumentRef, RawDocument
    from perdure.stores.documents.media import media_type_of

    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"The file {str(path)!r} cannot be read: {error.strerror}.", hint="Check its path.") from error
    return RawDocument(DocumentRef(path.as_posix(), ""), data, media_type_of(path.name))
