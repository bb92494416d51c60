"""Files of a git repository at a ref as documents, without a checkout.

A token is the blob's id, so nothing is read to know what changed, and a rewritten history of equal files changes nothing. Links and
submodules are no documents: what a link leads to is listed in its own place.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perdure.assets.documents import GitFiles
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import Chooser
from perdure.stores.documents.files import as_document, too_large, vanished
from perdure.stores.documents.git_commands import Blob, GitCommands
from perdure.stores.documents.naming import by_id
from perdure.stores.documents.polling import Polled

_LOOK_S = 0.1
_ASK_S = 1.0
_MOST_COMMITS = 1_000
"""Of which times are read: what changed before them has none, and nobody waits for it."""
_MOST_KEPT = 32


@dataclass(frozen=True, slots=True)
class _Tree:
    """The documents of a commit."""

    commit: str
    blobs: Mapping[str, Blob]
    listed: Sequence[tuple[str, str, Blob | Trouble]]
    """Id, path and blob, in order."""


class GitDocuments:
    """The files of a repository at a ref. Safe to use from several threads.

    Args:
        declared: which files.
        root: of the project, which the repository's path is relative to.
    """

    def __init__(self, declared: GitFiles, root: Path) -> None:
        self._declared = declared
        self._git = GitCommands(root / declared.path)
        self._chooser = Chooser(declared.include, declared.exclude)
        self._is_plain = not any(each in declared.ref for each in "~^@{:") or declared.ref == "@"
        self._polled = Polled(_LOOK_S if self._is_plain else _ASK_S, self._state)
        self._lock = threading.Lock()
        self._kept: _Tree | None = None
        self._folders: tuple[Path, Path] | None = None

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every file of the commit that the ref is now, by id. Cost: two processes of git, and 3 µs CPU a file.

        Raises:
            StoreError: no repository, or no such ref.
        """
        tree = self._tree()
        changed_us = _times_of(self._git, self._places()[1], tree.commit)
        for id_, path, blob in tree.listed:
            yield blob if isinstance(blob, Trouble) else DocumentRef(id_, blob.id, changed_us.get(path))

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The files as of the commit that the ref is now.

        Raises: StoreError, as `list`; git ended before it was through.
        """
        tree = self._tree()
        changed_us = _times_of(self._git, self._places()[1], tree.commit)
        paths = {id_: path for id_, path, blob in tree.listed if isinstance(blob, Blob)}
        most = self._declared.most_bytes
        wanted = [tree.blobs.get(ref.id) for ref in refs]
        data = self._git.read([blob.id for blob in wanted if blob is not None and blob.n_bytes <= most])
        for ref, blob in zip(refs, wanted, strict=True):
            if blob is None:
                yield vanished(ref.id)
            elif blob.n_bytes > most:
                yield too_large(ref.id, blob.n_bytes, most)
            else:
                now = DocumentRef(ref.id, blob.id, changed_us.get(paths[ref.id]))
                found = next(data)
                if found is None:
                    yield Trouble(ref.id, "unreadable", "The repository lacks its blob, as a partial clone may.")
                else:
                    yield as_document(self._declared, now, found)

    def wait(self, seconds: float) -> bool:
        """Wait until the ref may be another commit: its files are looked at ten times a second."""
        return self._polled.wait(seconds)

    def close(self) -> None:
        """Whoever waits stops."""
        self._polled.close()

    def _tree(self) -> _Tree:
        commit = self._git.commit(self._declared.ref)
        with self._lock:
            if self._kept is None or self._kept.commit != commit:
                chosen = [(path, blob) for path, blob in self._git.files(commit) if self._chooser.chosen(path)]
                listed = list(by_id(chosen))
                blobs = {id_: blob for id_, _, blob in listed if isinstance(blob, Blob)}
                self._kept = _Tree(commit, blobs, listed)
            return self._kept

    def _places(self) -> tuple[Path, Path]:
        with self._lock:
            if self._folders is None:
                self._folders = self._git.folders()
            return self._folders

    def _state(self) -> object:
        """What is another as soon as a ref is written: packed or loose, by this machine or by a push."""
        ref = self._declared.ref
        try:
            if not self._is_plain:
                return self._git.commit(ref)
            own, common = self._places()
        except StoreError:
            return None
        tried = [ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}", f"refs/remotes/{ref}"]
        files = [common / each for each in ("packed-refs", "reftable/tables.list", *tried)]
        if ref in ("HEAD", "@"):
            files += [own / "HEAD", common / _pointed(own)]
        return [_stamp(file) for file in files]


def _pointed(folder: Path) -> str:
    """The branch that HEAD is."""
    try:
        told = (folder / "HEAD").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return told.removeprefix("ref:").strip() if told.startswith("ref:") else ""


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino, about.st_size


_times: OrderedDict[tuple[Path, str], dict[str, int]] = OrderedDict()
"""Repository and commit → path → when it changed: kept for the process, since an index is opened anew for each census."""
_times_lock = threading.Lock()


def _times_of(git: GitCommands, folder: Path, commit: str) -> Mapping[str, int]:
    """When files changed, in microseconds: of the newest commits. Cost: a process a commit that was not seen before."""
    with _times_lock:
        found = _times.get((folder, commit))
        if found is not None:
            _times.move_to_end((folder, commit))
            return found
    found = {}
    with suppress(StoreError):  # of a partial clone, which lacks what it takes: then no times are known
        for seconds, paths in git.changes(commit, _MOST_COMMITS):
            for path in paths:
                found.setdefault(path, seconds * 1_000_000)
    with _times_lock:
        _times[folder, commit] = found
        while len(_times) > _MOST_KEPT:
            _times.popitem(last=False)
    return found
