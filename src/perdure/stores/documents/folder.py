"""Files below a folder as documents.

A token is what the file system says of a file: size, times, inode. What surprised us is what surprised git: a file that is
written twice within the resolution of its times has one token for two contents. So a token of a file that changed within the last
seconds is used once: the next look has another, and reads the file again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from perdure.assets.documents import Folder
from perdure.core.clock import machine_us
from perdure.core.documents import DocumentRef, RawDocument, Scalar, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import chosen, readers_of
from perdure.stores.documents.media import media_type_of
from perdure.stores.documents.watching import Watching

_RACY_US = 2_000_000
"""Times of some file systems are no finer than this."""


class FolderDocuments:
    """The files of a folder. Safe to use from several threads.

    Args:
        declared: which files.
        root: of the project, which the folder's path is relative to.
    """

    def __init__(self, declared: Folder, root: Path) -> None:
        self._declared = declared
        self._folder = (root / declared.path).resolve()
        self._watching = Watching(self._folder)

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every file that is chosen, by path. Cost: some 5 µs CPU a file.

        Raises:
            StoreError: the folder is not there, or one below it cannot be listed: nobody may take its files for deleted.
        """
        now_us = machine_us()
        found = sorted(self._walk(self._folder, "", (os.path.realpath(self._folder),)), key=lambda pair: pair[0])
        for path, about in found:
            yield about if isinstance(about, Trouble) else _ref(path, about, now_us)

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The files as they are now, each read whole between two equal looks at its size and times."""
        for ref in refs:
            yield self._read(ref)

    def wait(self, seconds: float) -> bool:
        """Wait until a file may have changed; the system tells, nothing is polled."""
        return self._watching.wait(seconds)

    def close(self) -> None:
        """Stop watching."""
        self._watching.close()

    def _walk(
        self, folder: Path, prefix: str, above: tuple[str, ...]
    ) -> Iterator[tuple[str, os.stat_result | Trouble]]:
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            where = prefix.rstrip("/") or str(self._declared.path)
            raise StoreError(f"The folder {where} cannot be listed: {error.strerror}.", path=where) from error
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                yield from self._linked(Path(entry.path), path, above)
            elif entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path), path + "/", (*above, os.path.realpath(entry.path)))
            elif entry.is_file(follow_symlinks=False) and self._chosen(path):
                about = _stat(entry.path)
                if about is not None:
                    yield path, about

    def _linked(self, link: Path, path: str, above: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result | Trouble]]:
        """A link is followed within the folder, and never to a folder that it is in itself."""
        real = os.path.realpath(link)
        inside = real == above[0] or real.startswith(above[0] + os.sep)
        if Path(real).is_dir() and inside and real not in above:
            yield from self._walk(Path(real), path + "/", (*above, real))
        elif Path(real).is_dir() and inside:
            yield path, Trouble(path, "loop", f"The link {path} leads back to a folder that it is in.")
        elif self._chosen(path):
            about = _stat(real) if inside else None
            if about is not None and stat.S_ISREG(about.st_mode):
                yield path, about
            else:
                why = "leads out of the folder" if not inside else "leads nowhere"
                yield (
                    path,
                    Trouble(
                        path, "loop" if inside and os.path.lexists(real) else "unreadable", f"The link {path} {why}."
                    ),
                )

    def _chosen(self, path: str) -> bool:
        return chosen(path, self._declared.include, self._declared.exclude)

    def _read(self, ref: DocumentRef) -> RawDocument | Trouble:
        path = self._folder / ref.id
        try:
            for _ in range(2):
                now_us = machine_us()
                before = path.stat()
                if before.st_size > self._declared.most_bytes:
                    most = self._declared.most_bytes
                    return Trouble(
                        ref.id, "too_large", f"It has {before.st_size:,} bytes, and at most {most:,} are read."
                    )
                data = path.read_bytes()
                if _token(path.stat()) == _token(before):
                    return self._document(_ref(ref.id, before, now_us), data)
        except FileNotFoundError:
            return Trouble(ref.id, "vanished", "It was there when the folder was listed, and is no more.")
        except OSError as error:
            return Trouble(ref.id, "unreadable", f"It cannot be read: {error.strerror}.")
        return Trouble(ref.id, "vanished", "It changed each time while it was read.")

    def _document(self, ref: DocumentRef, data: bytes) -> RawDocument:
        folder, _, _ = ref.id.rpartition("/")
        own: dict[str, Scalar] = {"folder": folder.partition("/")[0], "suffix": Path(ref.id).suffix}
        readers = readers_of(ref.id, self._declared.readers)
        return RawDocument(ref, data, media_type_of(ref.id), {**own, **self._declared.metadata}, readers)


def _stat(path: str) -> os.stat_result | None:
    """What is known of a file; None: it vanished."""
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _token(about: os.stat_result) -> str:
    return f"{about.st_size}:{about.st_mtime_ns}:{about.st_ctime_ns}:{about.st_ino}"


def _ref(path: str, about: os.stat_result, now_us: int) -> DocumentRef:
    changed_us = max(about.st_mtime_ns, about.st_ctime_ns) // 1000
    token = _token(about) if changed_us < now_us - _RACY_US else f"{_token(about)}:{now_us}"
    return DocumentRef(path, token, about.st_mtime_ns // 1000)
