"""Blobs in files: what lies where, and what a crash, a full disk or a spoiled file does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perdure.core.errors import Corrupt, StoreError, StoreFull
from perdure.stores.blobs.files import FileBlobs


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root):
    return FileBlobs(root)


def whole_files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_opening_makes_nothing(blobs, root):
    assert blobs.list() == []
    assert not root.exists()


def test_a_blob_lies_under_its_first_two_digits(blobs, root):
    digest = blobs.put(b"model")
    assert whole_files(root) == [f"{digest[:2]}/{digest}"]
    assert (root / digest[:2] / digest).read_bytes() == b"model"


def test_what_a_crash_left_half_written_is_never_seen(blobs, root):
    digest = blobs.put(b"model")
    (root / "incoming" / f"{'ab' * 32}.0123456789abcdef").write_bytes(b"mod")
    (root / digest[:2] / "notes.txt").write_text("by a person")
    assert blobs.list() == [digest]
    assert not blobs.has("ab" * 32)


def test_the_file_and_its_folder_are_synced_before_put_returns(blobs, root, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(name_of(descriptor)), real(descriptor)))
    digest = blobs.put(b"model")
    assert synced[0].startswith(str(root / "incoming" / digest))
    assert synced[1:] == [str(root / digest[:2]), str(root)]


def name_of(descriptor):
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def test_a_spoiled_blob_is_set_aside_for_a_person(blobs, root):
    digest = blobs.put(b"model")
    (root / digest[:2] / digest).write_bytes(b"spoiled")
    with pytest.raises(Corrupt) as caught:
        blobs.get(digest)
    assert whole_files(root) == [f"corrupt/{digest}"]
    assert Path(caught.value.facts["aside"]).read_bytes() == b"spoiled"
    assert blobs.put(b"model") == digest
    assert blobs.get(digest) == b"model"


def test_a_spoiled_blob_that_cannot_be_moved_is_still_refused(blobs, root, monkeypatch):
    digest = blobs.put(b"model")
    (root / digest[:2] / digest).write_bytes(b"spoiled")

    def read_only(*arguments):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "replace", read_only)
    for _ in range(2):
        with pytest.raises(Corrupt):
            blobs.get(digest)


@pytest.mark.parametrize(
    ("code", "leaf"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)]
)
def test_a_failed_write_leaves_nothing(blobs, root, monkeypatch, code, leaf):
    kept = blobs.put(b"model")

    def failing(descriptor):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(StoreError) as caught:
            blobs.put(b"profile")
    assert type(caught.value) is leaf
    assert blobs.list() == [kept]
    assert whole_files(root) == [f"{kept[:2]}/{kept}"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        FileBlobs(tmp_path / "file").put(b"model")
