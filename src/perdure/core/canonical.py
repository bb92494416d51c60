"""One byte string for one value: what content hashes and the ledger's chain are computed over."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from perdure.core.clock import iso
from perdure.core.errors import DeclarationError
from perdure.core.ids import Digest

_AS_IT_IS = frozenset((str, int, bool, type(None)))
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
"""Made once: `json.dumps` makes an encoder each time, which costs as much as what it writes of a small value."""


def plain(value: Any) -> Any:
    """`value` as JSON-compatible data: dataclasses to objects, instants to ISO 8601, sets sorted.

    Raises:
        DeclarationError: something in it has no plain form (NaN and infinities included).
    """
    kind = type(value)
    if kind in _AS_IT_IS or isinstance(value, int | str):
        return value
    if kind is dict:
        return {
            key if type(key) is str else str(key): item if type(item) in _AS_IT_IS else plain(item)
            for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return [item if type(item) in _AS_IT_IS else plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DeclarationError(f"{value!r} has no canonical form.", hint="Use null for a missing number.")
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise DeclarationError(f"A {type(value).__name__} has no canonical form: {value!r}.")


def canonical_json(value: Any) -> bytes:
    """The canonical JSON of `value`: keys sorted, no spaces, UTF-8. Equal values, equal bytes.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return _encode(plain(value)).encode()


def content_hash(value: Any) -> Digest:
    """SHA-256 of the canonical JSON of `value`, 64 hex digits."""
    return Digest(hashlib.sha256(canonical_json(value)).hexdigest())


def bytes_hash(data: bytes) -> Digest:
    """SHA-256 of bytes, 64 hex digits."""
    return Digest(hashlib.sha256(data).hexdigest())
