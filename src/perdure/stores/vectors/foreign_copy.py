"""Copies of others' files, which are read instead of them: whatever a tool does to what it opens, it does to the copy.

A SQLite file is copied as its own reader sees it, so one that is being written meanwhile is copied whole. What surprised us: a file
in WAL mode cannot even be read without files being made beside it, so that one is copied byte by byte with its log.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from perdure.core.errors import StoreError, StoreFull
from perdure.stores.sqlite_errors import translated

_MODE_AT, _WAL = 18, 2
"""Byte of the header that names the journal's mode (SQLite, "Database File Format", 1.3)."""
_BUSY_S = 10.0
_SPARE_BYTES = 64_000_000


class Copied:
    """A temporary folder that goes with this.

    Args:
        folder: what is to be copied from.

    Raises:
        StoreFull: the copy would not fit.
    """

    def __init__(self, folder: Path) -> None:
        self._from = folder
        needed = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        self._temporary = tempfile.TemporaryDirectory(prefix="perdure-foreign-")
        self.folder = Path(self._temporary.name)
        free = shutil.disk_usage(self.folder).free
        if free < needed + _SPARE_BYTES:
            self.close()
            raise StoreFull(
                f"A copy of {folder} needs {needed:,} bytes, and {free:,} are free.",
                hint="Set TMPDIR to a larger disk.",
            )

    def files(self, *but: str) -> None:
        """Copy everything below, but names of these patterns; links are not followed.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            shutil.copytree(
                self._from, self.folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*but)
            )
        except (OSError, shutil.Error) as error:
            raise StoreError(f"{self._from} cannot be copied: {error}.", hint="Check that it may be read.") from error

    def database(self, name: str) -> Path:
        """Copy the SQLite file of that relative path; where it is now.

        Raises:
            StoreError: it cannot be read, is no database, or was left in the middle of a write.
        """
        source, target = self._from / name, self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with source.open("rb") as file:
                header = file.read(_MODE_AT + 1)
        except OSError as error:
            raise StoreError(
                f"{source} cannot be read: {error.strerror}.", hint="Check that it may be read."
            ) from error
        if header[_MODE_AT : _MODE_AT + 1] == bytes([_WAL]):
            for path in (source, source.with_name(f"{source.name}-wal")):
                if path.exists():
                    shutil.copyfile(path, target.with_name(path.name))
            return target
        address = f"file:{quote(str(source.resolve()))}?mode=ro"
        with (
            translated(source),
            closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            there.backup(here)
        return target

    def close(self) -> None:
        """Delete the copy."""
        self._temporary.cleanup()
