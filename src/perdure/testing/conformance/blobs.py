"""What every `Blobs` guarantees, as tests. Subclass it and give the fixtures `blobs` and `spoil`:

    class TestMyBlobs(BlobsConformance):
        @pytest.fixture
        def blobs(self, tmp_path):
            return MyBlobs(tmp_path)

        @pytest.fixture
        def spoil(self, tmp_path):
            return lambda digest: (tmp_path / digest).write_bytes(b"spoiled")

Needs pytest only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from perdure.core.errors import Corrupt, NotFound
from perdure.core.ids import Digest
from perdure.stores.blobs.protocols import Blobs

UNKNOWN = Digest("0" * 64)


class BlobsConformance:
    """All that blobs guarantee."""

    @pytest.fixture
    def blobs(self) -> Blobs:
        """An empty store."""
        pytest.fail("Override the fixture `blobs` with one that returns an empty store.")

    @pytest.fixture
    def spoil(self) -> Callable[[Digest], object]:
        """Changes the stored bytes of a blob behind the store's back."""
        pytest.fail("Override the fixture `spoil` with one that returns a function of a digest.")

    @pytest.mark.parametrize("data", [b"", b"\x00", b"model", bytes(range(256)) * 4096])
    def test_bytes_come_back_by_their_sha256(self, blobs: Blobs, data: bytes) -> None:
        """Empty and large ones too."""
        digest = blobs.put(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert blobs.get(digest) == data
        assert blobs.has(digest)

    def test_putting_again_is_no_change(self, blobs: Blobs) -> None:
        """Equal bytes are one blob."""
        assert blobs.put(b"model") == blobs.put(b"model")
        assert len(blobs.list()) == 1

    def test_blobs_are_listed(self, blobs: Blobs) -> None:
        """Each once, sorted; none in an empty store."""
        assert blobs.list() == []
        digests = [blobs.put(f"blob {number}".encode()) for number in range(20)]
        assert blobs.list() == sorted(digests)

    @pytest.mark.parametrize("digest", [UNKNOWN, "", "../ledger.sqlite", "A" * 64, "0" * 63])
    def test_an_unknown_digest_is_not_found(self, blobs: Blobs, digest: str) -> None:
        """Nor is anything that is no digest."""
        blobs.put(b"model")
        assert not blobs.has(Digest(digest))
        with pytest.raises(NotFound):
            blobs.get(Digest(digest))

    def test_a_spoiled_blob_is_reported_once_and_then_gone(
        self, blobs: Blobs, spoil: Callable[[Digest], object]
    ) -> None:
        """Its bytes are never returned; the others are not touched."""
        digest, other = blobs.put(b"model"), blobs.put(b"profile")
        spoil(digest)
        with pytest.raises(Corrupt, match=digest):
            blobs.get(digest)
        with pytest.raises(NotFound):
            blobs.get(digest)
        assert blobs.list() == [other]
        assert blobs.get(other) == b"profile"

    def test_a_spoiled_blob_is_healed_by_putting_it_again(
        self, blobs: Blobs, spoil: Callable[[Digest], object]
    ) -> None:
        """Found spoiled or not yet: what `put` returned can be read."""
        digest = blobs.put(b"model")
        spoil(digest)
        assert blobs.put(b"model") == digest
        assert blobs.get(digest) == b"model"

    def test_threads_may_put_the_same_blob(self, blobs: Blobs) -> None:
        """And all of them find it whole."""
        data = b"model" * 10_000
        with ThreadPoolExecutor(8) as threads:
            digests = set(threads.map(blobs.put, [data] * 16))
        assert len(digests) == 1
        assert blobs.get(digests.pop()) == data
