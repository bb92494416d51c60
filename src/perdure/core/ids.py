"""Names and ids, each its own type, and the id generators.

Ids sort by the time they were made: the first part is milliseconds of the machine's clock.
"""

from __future__ import annotations

import os
import secrets
from typing import NewType

from perdure.core.clock import machine_us

AssetName = NewType("AssetName", str)
"""Name of a declared asset, `[a-z][a-z0-9_]*`."""
VersionId = NewType("VersionId", str)
"""`name@` and the first 12 hex digits of the version's content hash."""
PredictionId = NewType("PredictionId", str)
RunId = NewType("RunId", str)
IncidentId = NewType("IncidentId", str)
Digest = NewType("Digest", str)
"""64 hex digits of SHA-256."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return "".join(reversed(digits))


def new_id(prefix: str) -> str:
    """A new unique id such as `run_01k3…`: `prefix`, 9 characters of time, 8 of randomness."""
    return f"{prefix}_{_base32(machine_us() // 1000, 9)}{_base32(secrets.randbits(40), 8)}"


def version_id(asset: str, digest: str) -> VersionId:
    """`air_time@3f2a9c1b7d40`: the asset and 12 hex digits of the content hash."""
    return VersionId(f"{asset}@{digest[:12]}")


class PredictionIds:
    """Makes prediction ids without a system call each: a prefix a process and a counter.

    Unique over processes and restarts: the prefix holds the machine's time and 40 random bits.
    Cost: about 0.3 µs an id.
    """

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = f"{_base32(machine_us() // 1000, 9)}{_base32(secrets.randbits(25), 5)}{_base32(os.getpid(), 4)}"
        self._count = 0

    def next(self) -> PredictionId:
        """The next id."""
        self._count += 1
        return PredictionId(f"p_{self._prefix}_{self._count:x}")
