"""Values and texts as a review shows them: short, without secrets, without folders of this machine.

A summary of a pull request is read by many and kept for long. A value whose name says that it is a
secret is never shown, nor are a user and a password within an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from perdure.core.canonical import canonical_json

HIDDEN = "(hidden)"
_SECRET = re.compile(r"passw|pwd|secret|token|api_?key|access_?key|private_?key|credential", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/\s@]+(?=@)")
# A folder and what lies in it; not the rest of an address, nor a fraction.
_FOLDERS = re.compile(r"(?<![\w.:/*])(?:[A-Za-z]:[\\/]|/)(?:[^\s/\\:'\"]+[\\/])+")
_LONGEST = 160


def shown(value: Any, name: str = "") -> str:
    """A value as text; `name` says what it is of.

    >>> shown(["60d", "30d"]), shown(0.9), shown("x", "params.db_password"), shown("sql://ann:pw@host/db")
    ('60d, 30d', '0.9', '(hidden)', 'sql://…@host/db')
    """
    if _SECRET.search(name):
        return HIDDEN
    return shortened(trimmed(_text(value)))


def trimmed(text: str) -> str:
    """Text without the folders of absolute paths, and without users in addresses.

    >>> trimmed("/home/ann/orders/model.py:3: https://host/a/b serves 24/7")
    'model.py:3: https://host/a/b serves 24/7'
    """
    return _FOLDERS.sub("", _USER.sub("…", text))


def shortened(text: str) -> str:
    """Text of at most 160 characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_text(each) for each in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(each, key)}" for key, each in value.items()) or "none"
    return canonical_json(value).decode()
