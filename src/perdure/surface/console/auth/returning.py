"""Where somebody goes after signing in: a page of this console that was asked for before, else the start. Never another site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from perdure.surface.console import areas

START = "/"
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")
"""Visible ASCII without a backslash, which browsers take for a slash: everything else is quoted in an address."""
_MOST = 2000


def returning_to(wanted: str) -> str:
    r"""`wanted` where it is the address of a page that is registered, else the start.

    >>> [returning_to(each) for each in ("//evil.example", "/\\evil.example", "https:evil", "/%0d%0a", "")]
    ['/', '/', '/', '/', '/']
    """
    if len(wanted) > _MOST or not _LOCAL.fullmatch(wanted):
        return START
    path = re.split(r"[?#]", wanted, maxsplit=1)[0]
    return (
        wanted if any(each.fullmatch(path) for each in _shapes(tuple(page.path for page in areas.pages()))) else START
    )


@cache
def _shapes(paths: tuple[str, ...]) -> Sequence[re.Pattern[str]]:
    return [re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))) for path in paths]
