"""Ids of files: their relative paths in Unicode's composed form, so that one document has one id on every machine.

What surprised us: a name that was written on a Mac is often decomposed (`e` and an accent, two characters), and the same name from
Linux is not; a folder can hold both, and they look alike. They are one id, of which the composed one counts. And a name may be no
text at all: bytes that are no UTF-8 have no id that a store or an answer over HTTP could hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

from perdure.core.documents import Trouble

Found = TypeVar("Found")


def id_of(path: str) -> str:
    """The id of a path.

    >>> id_of("guide/re\u0301sume\u0301.md")
    'guide/résumé.md'
    """
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def printable(id_: str) -> str:
    r"""An id as it can be kept and shown: half characters, which no UTF-8 has, are written out.

    >>> printable("a/b"), printable("half \ud800")
    ('a/b', 'half \\ud800')
    """
    return id_ if id_.isascii() else id_.encode(errors="backslashreplace").decode()


def are_ids(paths: Sequence[str]) -> bool:
    """Whether each path is an id as it stands, and none is there twice; False also where nobody looked closely.

    >>> are_ids(["a.md", "b.md"]), are_ids(["a.md", "a.md"]), are_ids(["é.md"])
    (True, False, False)
    """
    return "".join(paths).isascii() and len({*paths}) == len(paths)


def by_id(found: Iterable[tuple[str, Found | Trouble]]) -> Iterator[tuple[str, str, Found | Trouble]]:
    """Id, path and what was found there, in the order of ids; a second path of an id is `twice`.

    A path of which the name is no text has a printable id that nothing can be read by.
    """
    found = list(found)
    if are_ids([path for path, _ in found]):
        for path, about in sorted(found, key=itemgetter(0)):
            yield path, path, about
        return
    previous = None
    named = [_named(each) for each in found]
    if not all(path.isascii() for _, path, _ in named):
        named.sort(key=lambda each: preferred(each[1]))
    for id_, path, about in sorted(named, key=itemgetter(0)):
        if id_ == previous:
            yield (
                id_,
                path,
                Trouble(id_, "twice", f"Another file is called {id_} too, but for how its accents are written."),
            )
        else:
            yield id_, path, about
        previous = id_


def preferred(path: str) -> tuple[tuple[bool, str], ...]:
    """Of several paths of one id that which is least counts: part by part the composed name, else the first."""
    return tuple((part != id_of(part), part) for part in path.split("/"))


def _named(each: tuple[str, Found | Trouble]) -> tuple[str, str, Found | Trouble]:
    path, about = each
    if path.isascii():
        return path, path, about
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        return shown, path, Trouble(shown, "encoding", "Its name is no UTF-8: rename it.")
    return id_of(path), path, about
