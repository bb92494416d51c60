"""Records as lines of text, to read and to compare: JSON in one order, and its unified difference."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from perdure.core.canonical import plain
from perdure.surface.words import number

_CONTEXT = 3


def json_lines(value: Any) -> list[str]:
    """A record as indented JSON, its members in order of name.

    >>> json_lines({"b": 1, "a": [2]})
    ['{', '  "a": [', '    2', '  ],', '  "b": 1', '}']
    """
    return json.dumps(plain(value), indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def unified(before: Sequence[str], after: Sequence[str], names: tuple[str, str]) -> tuple[str, ...]:
    """The difference of two texts as unified diff; empty where they are the same."""
    return tuple(difflib.unified_diff(before, after, *names, lineterm="", n=_CONTEXT))


def said(value: Any) -> str:
    """A value of a record in one line.

    >>> said({"start": None, "end": "2013"}), said(0.1), said(None), said(["a"]), said(True), said(31)
    ('start –, end 2013', '0.1', '–', 'a', 'yes', '31')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {said(each)}" for name, each in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(said(each) for each in value) or "–"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else number(value)
    return str(value)
