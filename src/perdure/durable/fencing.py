"""The lease's fence where a store has none of its own.

The ledger compares the lease's epoch in each transaction, and the online store keeps the highest epoch
that it has seen. Blobs are content addressed: what a stale worker still puts harms nobody, as no version
names it. `FencedBlobs` stops such a worker before it writes anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from perdure.core.ids import Digest
from perdure.stores.blobs.protocols import Blobs


class FencedBlobs:
    """Blobs that are put only while a lease is held.

    Args:
        blobs: where they are kept.
        check: raises `LostLease` once the lease is lost, as `HeldLease.check` does.
    """

    def __init__(self, blobs: Blobs, check: Callable[[], None]) -> None:
        self._blobs = blobs
        self._check = check

    def put(self, data: bytes) -> Digest:
        """Keep the bytes; returns their SHA-256.

        Raises:
            LostLease: the lease is lost; nothing was kept.
        """
        self._check()
        return self._blobs.put(data)

    def get(self, digest: Digest) -> bytes:
        """The bytes, verified; needs no lease."""
        return self._blobs.get(digest)

    def has(self, digest: Digest) -> bool:
        """True when the blob is there."""
        return self._blobs.has(digest)

    def list(self) -> list[Digest]:
        """Digests of all blobs, sorted."""
        return self._blobs.list()
