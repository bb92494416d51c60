"""LanceDB's failures become ours, and a path's table has a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.core.errors import BadIndex, StoreError, StoreFull
from perdure.stores.vectors.lance_folder import lance_errors, table_name


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"), StoreFull),
        (OSError("Permission denied"), StoreError),
        (ValueError("Table was not found"), StoreError),
    ],
)
def test_what_the_library_raises_becomes_ours(raised, ours):
    with pytest.raises(ours), lance_errors(Path("folder")):
        raise raised


def test_what_is_ours_already_stays():
    with pytest.raises(BadIndex), lance_errors(Path("folder")):
        raise BadIndex("half a float")
    with pytest.raises(UnicodeEncodeError), lance_errors(Path("folder")):
        "\ud800".encode()


def test_a_legal_name_is_told_as_it_is_and_others_never_collide():
    assert table_name(Path("indexes/handbook/3f9a.db")) == "handbook-3f9a"
    odd = [table_name(Path(f"indexes/handbook/{stem}.db")) for stem in ("a b", "a_b", "a%b", "é", "è")]
    assert len(set(odd)) == len(odd)
