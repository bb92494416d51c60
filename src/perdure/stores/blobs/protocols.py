"""The blobs' Protocol: immutable bytes by their SHA-256."""

from __future__ import annotations

from typing import Protocol

from perdure.core.ids import Digest


class Blobs(Protocol):
    """Content-addressed. A `put` that returned survives kill −9; a half-written blob is never seen."""

    def put(self, data: bytes) -> Digest: ...

    def get(self, digest: Digest) -> bytes:
        """The bytes, verified on every read.

        :raises NotFound: no such blob.
        :raises Corrupt: the bytes do not match; they are set aside, and later reads raise NotFound.
        """
        ...

    def has(self, digest: Digest) -> bool: ...
    def list(self) -> list[Digest]: ...
