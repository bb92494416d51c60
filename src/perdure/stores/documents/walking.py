"""Walks a folder: every file below it that is chosen, with what the file system says of it. The folder's adapter calls it.

Nothing here recurses: folders can be nested deeper than Python can. Links are followed within the folder only, and of links to folders
at most two in a row: a few folders full of links to each other have more paths than anybody can list. So have many such folders by
two links already, of which some are followed.

A folder that may not be read is a trouble of its own, and stands for all below it. Any other failure to list one is the source's: a
share that hangs has lost nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from perdure.core.documents import DocumentRef, Trouble
from perdure.core.errors import StoreError
from perdure.stores.documents.choosing import Chooser
from perdure.stores.documents.naming import id_of

_MOST_LINKS = 2
_MOST_NESTED = 1_000
"""Links behind a link that are followed in one walk."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder on the way."""

    real: str
    """Its path without links."""
    prefix: str
    """What the ids of its files begin with."""
    above: tuple[str, ...]
    """The real paths of the folders with links that led here, and where they led."""


@dataclass(slots=True)
class _Links:
    """What was made of links so far."""

    n_nested: int = 0
    told: set[str] = field(default_factory=set)
    """Real paths of links that are not followed: each is told by the first path that leads to it."""


Reads = Callable[[str, os.stat_result], DocumentRef]
"""What is kept of a file, by its relative path."""


@dataclass(frozen=True, slots=True)
class _There:
    """What is in a folder, but for what is hidden or not chosen."""

    files: list[tuple[str, DocumentRef | Trouble]] = field(default_factory=list)
    """Their relative paths."""
    links: list[str] = field(default_factory=list)
    """Their relative paths."""
    folders: list[str] = field(default_factory=list)
    """Their names."""


class _NotListed(Exception):
    """A folder below that may not be listed."""


def walk(folder: str, chooser: Chooser, shown: str, reads: Reads) -> Iterator[tuple[str, DocumentRef | Trouble]]:
    """Relative path of each file, and what is kept of it, for each that is chosen, in no promised order; devices, sockets and pipes are none.

    Args:
        folder: real path.
        chooser: of the files.
        shown: the folder's name in errors.
        reads: what a look at a file tells; what the system says of thousands of files is not kept, which would cost a sixth more.

    Raises:
        StoreError: it is not there, or a folder below it cannot be listed, but for one that may not be. One that went meanwhile is no
            error.
    """
    pending, links = [_Place(folder, "", ())], _Links()
    while pending:
        place = pending.pop()
        try:
            there = _looked_through(place, shown, chooser, reads)
        except _NotListed:
            path = place.prefix[:-1]
            yield path, Trouble(id_of(path), "unreadable", f"The folder {_printable(path)} may not be listed.")
            continue
        yield from there.files
        for path in there.links:
            yield from _linked((folder, chooser, links, reads), place, path, pending)
        pending += (_Place(f"{place.real}/{name}", f"{place.prefix}{name}/", place.above) for name in there.folders)


def inside(folder: str, real: str) -> bool:
    """Whether a real path is a folder or lies below it."""
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def _looked_through(place: _Place, shown: str, chooser: Chooser, reads: Reads) -> _There:
    """What is in a folder. It is held open meanwhile: a look at a name in it costs less than one along its whole path.

    Raises:
        _NotListed: it lies below, and may not be listed.
        StoreError: it cannot be.
    """
    prefix, fits, there = place.prefix, chooser.fits, _There()
    found = there.files.append
    with ExitStack() as stack:
        for entry in _entries(stack, place, shown):
            name = entry.name
            if name[0] == ".":
                continue
            path = prefix + name
            if entry.is_file(follow_symlinks=False):
                if fits(path):
                    try:
                        found((path, reads(path, entry.stat(follow_symlinks=False))))
                    except OSError as error:
                        there.files.extend((path, each) for each in _not_looked_at(error, path))
            elif entry.is_symlink():
                there.links.append(path)
            elif entry.is_dir(follow_symlinks=False) and not chooser.closed(path):
                there.folders.append(name)
    return there


def _entries(stack: ExitStack, place: _Place, shown: str) -> list[os.DirEntry[str]]:
    try:
        opened = os.open(place.real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, opened)
        with os.scandir(opened) as entries:
            return list(entries)
    except OSError as error:
        if place.prefix and isinstance(error, FileNotFoundError | NotADirectoryError):
            return []
        if place.prefix and isinstance(error, PermissionError):
            raise _NotListed from error
        where = f"{shown}/{place.prefix}".rstrip("/")
        is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        mend = (
            "Mount it, make it, or declare the folder that is meant." if is_gone else "Exclude it, or let it be read."
        )
        raise StoreError(
            f"The folder {_printable(where)} cannot be listed: {error.strerror}.",
            hint=f"Until it can be, none of its documents is taken for deleted. {mend}",
            path=_printable(where),
        ) from error


def _linked(
    of: tuple[str, Chooser, _Links, Reads], place: _Place, path: str, pending: list[_Place]
) -> Iterator[tuple[str, DocumentRef | Trouble]]:
    """What a link leads to, within the folder; a link to a folder is pending."""
    folder, chooser, links, reads = of
    link = f"{place.real}/{path[len(place.prefix) :]}"
    real = os.path.realpath(link)
    within = inside(folder, real)
    if within and Path(real).is_dir():
        if chooser.closed(path):
            return
        why = _not_followed(place, real, links)
        if not why:
            links.n_nested += bool(place.above)
            pending.append(_Place(real, path + "/", (*place.above, place.real)))
        elif link not in links.told:
            links.told.add(link)
            yield path, _loop(path, why)
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
            yield path, about if isinstance(about, Trouble) else reads(path, about)


def _not_followed(place: _Place, real: str, links: _Links) -> str:
    """Why a link to a folder is not followed; empty: it is."""
    if inside(real, place.real) or any(inside(real, each) for each in place.above):
        return "leads back to a folder that it is in"
    if len(place.above) >= _MOST_LINKS:
        return f"is one more than the {_MOST_LINKS} links in a row that are followed"
    if place.above and links.n_nested >= _MOST_NESTED:
        return f"is one more than the {_MOST_NESTED:,} links behind links that are followed"
    return ""


def _loop(path: str, why: str) -> Trouble:
    return Trouble(path, "loop", f"The link {_printable(path)} {why}.")


def _state(file: str, path: str) -> os.stat_result | Trouble | None:
    """What is known of a file that a link leads to; None: it is not there any more."""
    try:
        return os.stat(file)  # noqa: PTH116 - a Path costs as much as the look
    except OSError as error:
        if Path(file).is_symlink():
            return None
        return next(iter(_not_looked_at(error, path)), None)


def _not_looked_at(error: OSError, path: str) -> Sequence[Trouble]:
    """The trouble of a file that could not be looked at; none where it is not there any more."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ()
    return (Trouble(path, "unreadable", f"It cannot be looked at: {error.strerror}."),)


def _printable(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
