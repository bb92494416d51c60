"""Pushes and deletions lead to one state, whatever order they come in: that which each document's newest change says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from perdure.core.documents import DocumentRef, RawDocument
from perdure.stores.documents.pushed import PushedDocuments

CHANGES = st.lists(
    st.tuples(st.integers(1, 50), st.sampled_from("ab"), st.sampled_from([None, b"one", b"two"])),
    unique_by=lambda change: change[0],
    max_size=8,
)


def state(changes: Sequence[tuple[int, str, bytes | None]], batch: int) -> dict[str, bytes]:
    """What is kept after changes that came in this order, so many documents a push."""
    with tempfile.TemporaryDirectory() as folder:
        pushed = PushedDocuments(Path(folder) / "pushed.db")
        waiting: list[RawDocument] = []
        for at_us, id_, data in changes:
            if data is not None:
                waiting.append(RawDocument(DocumentRef(id_, "", at_us), data, "text/plain"))
            if data is None or len(waiting) >= batch:
                pushed.put(waiting)
                waiting = []
            if data is None:
                pushed.delete([id_], changed_us=at_us)
        pushed.put(waiting)
        found = {raw.ref.id: raw.data for raw in pushed.read(list(pushed.list())) if isinstance(raw, RawDocument)}
        pushed.close()
        return found


@given(CHANGES, st.integers(1, 3))
def test_the_newest_change_of_each_document_counts(changes, batch):
    newest = {id_: data for _, id_, data in sorted(changes, key=lambda change: change[0])}
    assert state(changes, batch) == {id_: data for id_, data in newest.items() if data is not None}
