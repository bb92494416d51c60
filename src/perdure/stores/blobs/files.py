"""Blobs as files: `<root>/<first 2 hex digits>/<digest>`, written beside and renamed into place.

A crash leaves at worst a file under `incoming/`, which nobody reads. Every read is verified; bytes
that do not match are moved to `corrupt/`, where a person can look at them, and are gone for readers.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perdure.core.canonical import bytes_hash
from perdure.core.errors import Corrupt, NotFound, StoreError, StoreFull
from perdure.core.ids import Digest

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileBlobs:
    """Content-addressed files under one folder, which is made by the first `put`.

    Any number of processes may use it at once: equal content has equal names.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> Digest:
        """Keep the bytes; returns their SHA-256. Durable when it returns: file and folder are synced.

        Cost: one write and three syncs; one read when the blob is there already.

        Raises:
            StoreFull: no room left; nothing was kept.
            StoreError: the folder cannot be written.
        """
        digest = bytes_hash(data)
        path = self._path(digest)
        with _translated(path):
            if not _holds(path, data):
                self._write(path, data)
            _sync_folder(path.parent)
            _sync_folder(self._root)
        return digest

    def get(self, digest: Digest) -> bytes:
        """The bytes, verified.

        Raises:
            NotFound: no such blob.
            Corrupt: the bytes do not match; they were moved to `corrupt/`, and later reads raise `NotFound`.
        """
        path = self._path(digest)
        try:
            with _translated(path):
                data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no blob {digest!r} under {self._root}.",
                hint="It was never stored here, or was set aside as corrupt.",
                digest=digest,
            ) from error
        if bytes_hash(data) != digest:
            aside = self._set_aside(path)
            raise Corrupt(
                f"The blob {digest} does not match its digest; it is in {aside} now.",
                hint="Restore it from a backup, or make it again: train again, or prepare the dataset again.",
                digest=digest,
                aside=str(aside),
            )
        return data

    def has(self, digest: Digest) -> bool:
        """True when the blob is there; it is not read."""
        return _DIGEST.fullmatch(digest) is not None and self._path(digest).is_file()

    def list(self) -> list[Digest]:
        """Digests of all blobs, sorted."""
        return sorted(Digest(path.name) for path in self._root.glob("??/*") if _DIGEST.fullmatch(path.name))

    def _path(self, digest: str) -> Path:
        if _DIGEST.fullmatch(digest) is None:  # also keeps a path such as `../x` out of the file system
            raise NotFound(f"{digest!r} is no blob digest: 64 lower-case hex digits were expected.", digest=digest)
        return self._root / digest[:2] / digest

    def _write(self, path: Path, data: bytes) -> None:
        incoming = self._root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        beside = incoming / f"{path.name}.{secrets.token_hex(8)}"
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _set_aside(self, path: Path) -> Path:
        folder = self._root / "corrupt"
        # On a read-only disk the blob stays where it is: every read finds it corrupt again.
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            return path.replace(folder / path.name)
        return path


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Where folders cannot be opened, the file system has no such step."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"No room left to write the blob {path}.", hint="Free some disk space.") from error
        raise StoreError(f"The blob {path} failed: {error}.", hint="Check the folder and its permissions.") from error
