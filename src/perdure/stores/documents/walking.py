"""Walks a folder: every file below it that is chosen, with what the file system says of it. The folder's adapter calls it.

Nothing here recurses: folders can be nested deeper than Python can. Links are followed within the folder only, and of links to folders
at most two in a row: a few folders full of links to each other have more paths than anybody can list.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perdure.core.documents import Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import Chooser

_MOST_LINKS = 2


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder on the way."""

    real: str
    """Its path without links."""
    prefix: str
    """What the ids of its files begin with."""
    above: tuple[str, ...]
    """The real paths of the folders with links that led here, and where they led."""


def walk(folder: str, chooser: Chooser, shown: str) -> Iterator[tuple[str, os.stat_result | Trouble]]:
    """Relative path and state of each file that is chosen, in no promised order; devices, sockets and pipes are none.

    Args:
        folder: real path.
        chooser: of the files.
        shown: the folder's name in errors.

    Raises:
        StoreError: it is not there, or a folder below it cannot be listed. One that went meanwhile is no error.
    """
    pending = [_Place(folder, "", ())]
    while pending:
        place = pending.pop()
        for entry in _entries(place, shown):
            name = entry.name
            if name.startswith("."):
                continue
            path = place.prefix + name
            if entry.is_symlink():
                yield from _linked(folder, place, path, chooser, pending)
            elif entry.is_dir(follow_symlinks=False):
                if not chooser.closed(path):
                    pending.append(_Place(f"{place.real}/{name}", path + "/", place.above))
            elif chooser.fits(path) and entry.is_file(follow_symlinks=False):
                about = _state(entry.path, path)
                if about is not None:
                    yield path, about


def inside(folder: str, real: str) -> bool:
    """Whether a real path is a folder or lies below it."""
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def _entries(place: _Place, shown: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place.real) as entries:
            return list(entries)
    except OSError as error:
        if place.prefix and isinstance(error, FileNotFoundError | NotADirectoryError):
            return []
        where = f"{shown}/{place.prefix}".rstrip("/")
        raise StoreError(
            f"The folder {_printable(where)} cannot be listed: {error.strerror}.",
            hint="Until it can be, none of its documents is taken for deleted. Exclude it, or let it be read.",
            path=_printable(where),
        ) from error


def _linked(
    folder: str, place: _Place, path: str, chooser: Chooser, pending: list[_Place]
) -> Iterator[tuple[str, os.stat_result | Trouble]]:
    """What a link leads to, within the folder; a link to a folder is pending."""
    real = os.path.realpath(f"{place.real}/{path[len(place.prefix) :]}")
    within = inside(folder, real)
    if within and Path(real).is_dir():
        if chooser.closed(path):
            return
        if inside(real, place.real) or any(inside(real, each) for each in place.above):
            yield path, _loop(path, "leads back to a folder that it is in")
        elif len(place.above) >= _MOST_LINKS:
            yield path, _loop(path, f"is one more than the {_MOST_LINKS} links in a row that are followed")
        else:
            pending.append(_Place(real, path + "/", (*place.above, place.real)))
    elif chooser.fits(path):
        if not within:
            yield path, Trouble(path, "unreadable", f"The link {_printable(path)} leads out of the folder.")
            return
        about = _state(real, path)
        if about is None and os.path.lexists(real):
            yield path, _loop(path, "leads to itself")
        elif about is None:
            yield path, Trouble(path, "unreadable", f"The link {_printable(path)} leads nowhere.")
        elif isinstance(about, Trouble) or stat.S_ISREG(about.st_mode):
            yield path, about


def _loop(path: str, why: str) -> Trouble:
    return Trouble(path, "loop", f"The link {_printable(path)} {why}.")


def _state(file: str, path: str) -> os.stat_result | Trouble | None:
    """What is known of a file; None: it is not there any more."""
    try:
        return os.stat(file)  # noqa: PTH116 - a Path costs as much as the look
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if Path(file).is_symlink():
            return None
        return Trouble(path, "unreadable", f"It cannot be looked at: {error.strerror}.")


def _printable(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
