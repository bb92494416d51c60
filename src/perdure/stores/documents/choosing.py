"""Which paths of a folder or a repository are documents, and who may find them: patterns over relative paths with `/`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_PARTS = re.compile(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[!?\]?[^\]/]*\])")
_MADE = {"**/": r"(?:.*/)?", "/**": r"/.*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


class Chooser:
    """Which paths are documents; hidden files and folders are none.

    Args:
        include: patterns, such as `**/*.md`.
        exclude: patterns that are stronger.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = _compiled(tuple(include))
        self._exclude = _compiled(tuple(exclude)) if exclude else None
        self._closed = _compiled(tuple(each[:-3] for each in exclude if each.endswith("/**")))

    def chosen(self, path: str) -> bool:
        """Whether a path is a document.

        >>> chooser = Chooser(["**/*.md"], ["drafts/**"])
        >>> [path for path in ("a.md", "b/c.md", "b/.git/d.md", "drafts/e.md", "f.png") if chooser.chosen(path)]
        ['a.md', 'b/c.md']
        """
        return not (path.startswith(".") or "/." in path) and self.fits(path)

    def fits(self, path: str) -> bool:
        """As `chosen`, of a path that is known not to be hidden."""
        if self._include.fullmatch(path) is None:
            return False
        return self._exclude is None or self._exclude.fullmatch(path) is None

    def closed(self, folder: str) -> bool:
        """Whether nothing below a folder can be a document, because all of it is excluded."""
        return self._closed.fullmatch(folder) is not None


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a relative path fits one of the patterns whole; `**` stands for any folders, `[ab]` for one of these.

    >>> matches("a/b/c.md", ["**/*.md"]), matches("c.md", ["**/*.md"]), matches("a/c.md", ["*.md"]), matches("a/b/c", ["a/**"])
    (True, True, False, True)
    """
    return _compiled(tuple(patterns)).fullmatch(path) is not None


def readers_of(path: str, readers: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """The groups that may find a path: of the first pattern that fits; None: everybody."""
    return next((tuple(groups) for pattern, groups in readers.items() if matches(path, [pattern])), None)


@lru_cache(1024)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all of them; of none, one that nothing fits."""
    return re.compile("|".join(f"(?:{_expression(each.strip('/'))})" for each in patterns) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    made = ""
    for part in _PARTS.split(pattern):
        if part[:1] == "[" and part[-1:] == "]" and len(part) > 2:
            made += _one_of(part[1:-1])
        else:
            made += _MADE.get(part) or re.escape(part)
    return made


def _one_of(members: str) -> str:
    negated = members.startswith("!")
    told = members[negated:].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
    return f"(?!/)[{'^' if negated else ''}{told}]"
