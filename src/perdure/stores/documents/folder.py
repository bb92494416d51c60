"""Files below a folder as documents.

A token is what the file system says of a file: size, times, inode. What surprised us is what surprised git: a file that is
written twice within the resolution of its times has one token for two contents. So a token of a file that changed within the last
seconds is used once: the next look has another, and reads the file again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

from perdure.assets.documents import Folder
from perdure.core.clock import machine_us
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import Chooser
from perdure.stores.documents.files import as_document, too_large, vanished
from perdure.stores.documents.naming import are_ids, by_id, id_of
from perdure.stores.documents.walking import inside, walk
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
        self._folder = root / declared.path
        self._chooser = Chooser(declared.include, declared.exclude)
        self._watching = Watching(self._folder)

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every file that is chosen, by id. Cost: some 4 µs CPU a file.

        Raises:
            StoreError: the folder is not there, or one below it cannot be listed: nobody may take its files for deleted.
        """
        now_us = machine_us()
        folder, reads = os.path.realpath(self._folder), partial(_ref, now_us)
        found = list(walk(folder, self._chooser, str(self._declared.path), reads))
        if are_ids([path for path, _ in found]):
            found.sort(key=itemgetter(0))
            yield from map(itemgetter(1), found)
            return
        for id_, _, about in by_id(found):
            yield about if isinstance(about, Trouble) else DocumentRef(id_, about.token, about.changed_us)

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The files as they are now, each read whole between two equal looks at its size and times.

        Raises:
            StoreError: the folder is not there.
        """
        folder = os.path.realpath(self._folder)
        for ref in refs:
            found = self._read(folder, ref.id)
            if isinstance(found, Trouble) and not Path(folder).is_dir():
                raise StoreError(f"The folder {self._declared.path} is not there any more.", hint="Is it mounted?")
            yield found

    def wait(self, seconds: float) -> bool:
        """Wait until a file may have changed; the system tells, nothing is polled."""
        return self._watching.wait(seconds)

    def close(self) -> None:
        """Stop watching."""
        self._watching.close()

    def _read(self, folder: str, id_: str) -> RawDocument | Trouble:
        if not self._chooser.chosen(id_):
            return vanished(id_)
        try:
            file = os.path.realpath(_file_of(folder, id_))
            if not inside(folder, file):
                return Trouble(id_, "unreadable", "It leads out of the folder.")
            for _ in range(2):
                found = self._read_file(file, id_)
                if found is not None:
                    return found
        except (FileNotFoundError, NotADirectoryError):
            return vanished(id_)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return vanished(id_)
            return Trouble(id_, "unreadable", f"It cannot be read: {error.strerror}.")
        return Trouble(id_, "vanished", "It changed each time while it was read.")

    def _read_file(self, file: str, id_: str) -> RawDocument | Trouble | None:
        """None: it changed while it was read. Opening never waits, which it would for a pipe that stands in a file's place."""
        most = self._declared.most_bytes
        now_us = machine_us()
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            before = os.fstat(opened.fileno())
            if not stat.S_ISREG(before.st_mode):
                return vanished(id_)
            if before.st_size > most:
                return too_large(id_, before.st_size, most)
            data = opened.read(before.st_size + 1)
            same = _token(os.fstat(opened.fileno())) == _token(before) and len(data) == before.st_size
        return as_document(self._declared, _ref(now_us, id_, before), data) if same else None


def _file_of(folder: str, id_: str) -> str:
    """Where the file of an id is: usually there, else where the names are written in another form of Unicode."""
    path = f"{folder}/{id_}"
    if id_.isascii() or os.path.lexists(path):
        return path
    found = [folder]
    for part in id_.split("/"):
        found = [f"{above}/{name}" for above in found for name in _forms(above, part)]
    return found[0] if found else path


def _forms(folder: str, part: str) -> list[str]:
    """Names in a folder that are that name, the composed one first."""
    if not Path(folder).is_dir():
        return []
    names = (each.name for each in Path(folder).iterdir() if id_of(each.name) == part)
    return sorted(names, key=lambda name: (name != part, name))


def _token(about: os.stat_result) -> str:
    return f"{about.st_size}:{about.st_mtime_ns}:{about.st_ctime_ns}:{about.st_ino}"


def _ref(now_us: int, id_: str, about: os.stat_result) -> DocumentRef:
    """A time of change that lies ahead was set by somebody: it says nothing of when the file was written."""
    written_ns, changed_ns = about.st_mtime_ns, about.st_ctime_ns
    token = f"{about.st_size}:{written_ns}:{changed_ns}:{about.st_ino}"
    last_us = changed_ns // 1000
    if written_ns > changed_ns and (written_us := written_ns // 1000) <= now_us:
        last_us = written_us
    return DocumentRef(id_, token if last_us < now_us - _RACY_US else f"{token}:{now_us}", last_us)
