"""What stands between two lines of `---` at the top of a Markdown file.

Members with one value are metadata. Lists and tables of values are content, as in a base of facts that is kept there: they are blocks.
What surprised us: a loader of YAML falls over nested brackets and takes long for large lists, so only lines with one plain value are
given to it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from perdure.core.documents import Scalar
from perdure.engines.retrieval.parsing.decoding import clean
from perdure.engines.retrieval.protocols import Block

_WHOLE = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_MEMBER = re.compile(r"^([A-Za-z_][\w.-]*):(.*)$")
_NOT_PLAIN = ("[", "{", "|", ">", "&", "*", "!", "%", "@", "`")
_MOST_MEMBERS = 200
_WIDE = 2**63
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A file's members, and where what follows begins."""

    end: int = 0
    members: Mapping[str, Scalar] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    warnings: tuple[str, ...] = ()


def front_matter(text: str) -> FrontMatter:
    r"""The front matter of `text`; an empty one where there is none.

    >>> front_matter("---\ntitle: Returns\nday: 2026-01-02\n---\nWithin 30 days.").members
    {'title': 'Returns', 'day': '2026-01-02'}
    """
    found = _WHOLE.match(text)
    if found is None:
        return FrontMatter()
    plain: list[str] = []
    blocks: list[Block] = []
    at = found.start(1)
    nested: tuple[int, int] | None = None
    for line in (found[1] or "").split("\n"):
        member = _MEMBER.match(line)
        if member is not None:
            _close(text, nested, blocks)
            nested = None
            value = member[2].strip()
            if value.startswith("#"):
                value = ""
            if not value or value.startswith(("|", ">")):
                nested = (at, at + len(line))
            elif not value.startswith(_NOT_PLAIN) and member[2].startswith((" ", "\t")):
                plain.append(line)
        elif nested is not None and line.strip():
            nested = (nested[0], at + len(line))
        at += len(line) + 1
    _close(text, nested, blocks)
    members, warnings = _loaded(plain[:_MOST_MEMBERS])
    return FrontMatter(found.end(), members, tuple(blocks), warnings)


def _close(text: str, nested: tuple[int, int] | None, blocks: list[Block]) -> None:
    """A member that holds more than its name is a block."""
    if nested is not None and "\n" in text[nested[0] : nested[1]]:
        blocks.append(Block("list", *nested))


def _loaded(lines: list[str]) -> tuple[dict[str, Scalar], tuple[str, ...]]:
    members: dict[str, Scalar] = {}
    n_wrong = 0
    for line in lines:
        try:
            loaded = yaml.load(line, _LOADER)  # noqa: S506 - the safe loader, in C where it is there
        except (yaml.YAMLError, ValueError, OverflowError):
            n_wrong += 1
            continue
        for name, value in loaded.items() if isinstance(loaded, dict) else ():
            if value is not None:
                members[clean(str(name))] = _scalar(value)
    return members, (f"{n_wrong} lines of its front matter are no YAML",) if n_wrong else ()


def _scalar(value: Any) -> Scalar:
    """A value as databases and JSON keep it: no infinity, no number of more than 64 bits."""
    if isinstance(value, dt.date):  # an instant is one too
        return value.isoformat()
    if (isinstance(value, int) and abs(value) < _WIDE) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return clean(str(value))
