"""Which paths of a folder or a repository are documents, and who may find them: patterns over relative paths with `/`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    told = pattern.strip("/")
    made = ""
    for part in re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", told):
        made += {"**/": r"(?:.*/)?", "/**": r"/.*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}.get(part) or re.escape(
            part
        )
    return re.compile(made)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a relative path fits one of the patterns whole; `**` stands for any folders.

    >>> matches("a/b/c.md", ["**/*.md"]), matches("c.md", ["**/*.md"]), matches("a/c.md", ["*.md"]), matches("a/b/c", ["a/**"])
    (True, True, False, True)
    """
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


def chosen(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path is a document; hidden files and folders are none."""
    if path.startswith(".") or "/." in path:
        return False
    return matches(path, include) and not matches(path, exclude)


def readers_of(path: str, readers: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """The groups that may find a path: of the first pattern that fits; None: everybody."""
    return next((tuple(groups) for pattern, groups in readers.items() if matches(path, [pattern])), None)
