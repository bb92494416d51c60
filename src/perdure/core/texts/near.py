"""Which texts are nearly the same: by numbers that nearly equal texts share, so that nothing is compared with everything.

Near means that some nine in ten runs of five characters are shared. Guards keep what they were trained on apart from what they are
judged on by it; suites find cases that are there twice, and cases that stand in a prompt's examples. Texts are normalised by who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_N_BANDS, _N_ROWS = 12, 12
"""Of texts that share 90% of their runs 98% are found, of 80% 58%, of 60% 3%: texts of one template with other words in
it are no duplicates. With looser bands a hundred of them were one group, and a whole family fell on one side."""
_SIZE = 5
_RNG = np.random.default_rng(20_240_501)
_FACTORS = _RNG.integers(1, 2**32, _N_BANDS * _N_ROWS, dtype=np.uint32) | np.uint32(1)
_SHIFTS = _RNG.integers(0, 2**32, _N_BANDS * _N_ROWS, dtype=np.uint32)
_MIX = _RNG.integers(1, 2**63, _N_ROWS, dtype=np.uint64) | np.uint64(1)
_MOST_CHARS = 20_000

Keys = NDArray[np.uint64]


def keys_of(normalised: str) -> Keys:
    """Twelve numbers of a text: texts that share one are nearly the same. Cost: about 0.2 ms for 1,000 characters.

    Source: A. Broder, On the resemblance and containment of documents (1997); banding: Leskovec et al., Mining of
    Massive Datasets (2014), 3.4.
    """
    codes = np.frombuffer(f" {normalised[:_MOST_CHARS]} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    rolled = codes[: max(1, len(codes) - _SIZE + 1)].copy()
    for size in range(1, min(_SIZE, len(codes))):
        rolled = rolled * np.uint32(0x01000193) + codes[size : size + len(rolled)]
    rolled ^= rolled >> np.uint32(15)
    lowest = (np.unique(rolled)[None, :] * _FACTORS[:, None] + _SHIFTS[:, None]).min(axis=1)
    rows = lowest.reshape(_N_BANDS, _N_ROWS).astype(np.uint64)
    mixed = rows * _MIX
    bands: Keys = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(31)), axis=1)
    # The last bits name the band, so that only equal bands meet.
    return (bands & ~np.uint64(15)) | np.arange(_N_BANDS, dtype=np.uint64)


def groups(all_keys: Sequence[Keys]) -> NDArray[np.intp]:
    """The group of each text, as the place of its first member: those that are nearly the same as that first one.

    What is like a member but not like the first is in another group: else a chain of small changes would join everything.

    Cost: about 5 µs a text.
    """
    first: dict[int, int] = {}
    found = np.empty(len(all_keys), dtype=np.intp)
    for at, own in enumerate(all_keys):
        listed = own.tolist()
        leader = min((first[key] for key in listed if key in first), default=at)
        found[at] = leader
        if leader == at:
            first.update((key, at) for key in listed)
    return found


class Seen:
    """The texts of a set, to be asked whether one was among them; it holds what tells them apart, and not what they say."""

    def __init__(self, known: Iterable[int] = ()) -> None:
        self._known = frozenset(known)

    @classmethod
    def of(cls, all_keys: Sequence[Keys]) -> Seen:
        """Of the keys of each text."""
        return cls(key for found in all_keys for key in found.tolist())

    @classmethod
    def from_bytes(cls, data: bytes) -> Seen:
        """As `to_bytes` made it."""
        return cls(np.frombuffer(data, dtype="<u8").tolist())

    def with_keys(self, all_keys: Sequence[Keys]) -> Seen:
        """These texts and some more."""
        return Seen(self._known.union(key for found in all_keys for key in found.tolist()))

    def to_bytes(self) -> bytes:
        """96 bytes a text; equal sets, equal bytes."""
        return np.array(sorted(self._known), dtype="<u8").tobytes()

    def holds(self, found: Keys) -> bool:
        """Whether a text with such keys, or one that is nearly the same, was among them."""
        return not self._known.isdisjoint(found.tolist())
