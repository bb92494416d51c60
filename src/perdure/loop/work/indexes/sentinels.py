"""Whether an embedder is still what a version was built by: fixed sentences are embedded anew on schedule, and compared.

`Sentinels` looks behind the censuses, before a round measures: where most of what a census embedded anew differs, the sentences are looked at in
the same round, so that a hand that wrote and a model that was swapped are told apart. A version's own vectors of the sentences are kept
when it is first filled; what is found later is held against them. Its questions are measured by them too: what sentences about anything
find is how near lies what answers nothing (`near`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from perdure.assets.embedders import Endpoint
from perdure.assets.index import Index
from perdure.core.clock import from_us, to_us
from perdure.core.errors import Corrupt, NotFound
from perdure.core.ids import Digest
from perdure.core.units import hours
from perdure.engines.retrieval.embedders.sentinels import SENTINELS_DIGEST, sentinel_vectors, shift
from perdure.engines.retrieval.protocols import Unparsable
from perdure.engines.retrieval.skew import Census
from perdure.loop.failures import Failures
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.kept import census_instants, newest_census
from perdure.loop.work.indexes.opening import OpenIndex, OpensIndexes

EVERY = hours(1)
MOVED = 0.001
"""A shift above it is another embedder. An upstream's rounding moves a cosine by some 1e-5."""
SENTINELS_SEEN = "index.sentinels"
"""Action of the audit's entries: the first look at a version, and every other figure than before."""
_AT_ONCE = 2_000
_FEWEST_EMBEDDED = 3


@dataclass(frozen=True, slots=True)
class SentinelsSeen:
    """The sentences as a version's embedder gave them, when it was built and last."""

    version: str
    before: NDArray[np.float32]
    """When it was built; shape (32, dimensions)."""
    before_us: int
    now: NDArray[np.float32]
    now_us: int
    near: float
    """Cosine below which what is found answers nothing: what half of the sentences find at best."""

    @property
    def shift(self) -> float:
        """1 less the worst cosine."""
        return shift(self.before, self.now)

    @property
    def behaviour(self) -> str:
        """What the embedder does now, 16 hex digits: equal digests gave equal vectors."""
        return behaviour_of(self.now)


def behaviour_of(vectors: NDArray[np.float32]) -> str:
    """A digest of vectors of the sentinels."""
    return hashlib.blake2b(_bytes(vectors), digest_size=8).hexdigest()


def find_sentinels(place: Workplace, index: str, version: str) -> SentinelsSeen | None:
    """What was kept of a version; None: nothing, or of another set of sentences."""
    with place.stores.ledger.read() as session:
        kept = session.cursors.get(_cursor(index, version))
    if kept is None or kept["texts"] != SENTINELS_DIGEST:
        return None
    try:
        before, now = (_vectors(place, kept[name]) for name in ("before", "now"))
    except (NotFound, Corrupt):
        return None
    return SentinelsSeen(version, before, kept["before_us"], now, kept["now_us"], kept["near"])


def has_moved(place: Workplace, index: str, version: str) -> bool:
    """Whether the embedder of a version was last seen to be another than it was built by; False where nothing is kept."""
    seen = find_sentinels(place, index, version)
    return seen is not None and seen.shift > MOVED


def most_differ(census: Census) -> bool:
    """Whether most chunks that a census embedded anew have other vectors: rather another model than a hand that wrote."""
    n_wrong = sum(each.kind == "wrong_embedder" for each in census.skews)
    return census.n_embedded >= _FEWEST_EMBEDDED and 2 * n_wrong > census.n_embedded


def look_at_sentinels(place: Workplace, opened: OpenIndex, at_us: int) -> SentinelsSeen | None:
    """Embed the sentences now and keep what came of it; None of an embedder that embeds no texts, or is not to be asked.

    Raises:
        UpstreamError, NotReady: the embedder does not answer.
    """
    if not _asked(opened.index):
        return None
    try:
        now = sentinel_vectors(opened.embedder)
    except Unparsable:
        return None
    kept = find_sentinels(place, opened.index.name, opened.version)
    if kept is None:
        seen = SentinelsSeen(opened.version, now, at_us, now, at_us, _near(opened, now))
    else:
        seen = SentinelsSeen(opened.version, kept.before, kept.before_us, now, at_us, kept.near)
    _keep(place, opened.index.name, seen, tell=kept is None or round(kept.shift, 6) != round(seen.shift, 6))
    return seen


class Sentinels:
    """Looks at the sentences of every version that is kept filled, hourly.

    Args:
        indexes: those that are declared.
        opens: opens their versions.
    """

    def __init__(self, indexes: Sequence[Index], opens: OpensIndexes) -> None:
        self._indexes = indexes
        self._opens = opens

    def run(self, place: Workplace, now: datetime) -> None:
        """Look at what is due. Cost: a look at the ledger where nothing is.

        Raises:
            Exception: the first embedder that does not answer, when the others were asked; the next round tries again.
        """
        failures = Failures()
        for index in self._indexes:
            if not _asked(index):
                continue
            for version in self._opens.versions(index.name):
                if self._due(place, index.name, version, now):
                    with failures.kept(), self._opens.open(index.name, version) as opened:
                        if opened.store.generation().number:
                            look_at_sentinels(place, opened, to_us(now))
        failures.raise_first()

    def _due(self, place: Workplace, index: str, version: str, now: datetime) -> bool:
        with place.stores.ledger.read() as session:
            kept = session.cursors.get(_cursor(index, version))
        if kept is None or kept["texts"] != SENTINELS_DIGEST:
            return True
        if to_us(now) - kept["now_us"] >= EVERY.total_seconds() * 1e6:
            return True
        counted_us, _ = census_instants(place, index, version)
        if counted_us is None or counted_us <= kept["now_us"]:
            return False
        counted = newest_census(place, index, version)
        return counted is not None and most_differ(counted)


def _asked(index: Index) -> bool:
    return not isinstance(index.embedder, Endpoint) or index.embedder.sentinels


def _near(opened: OpenIndex, vectors: NDArray[np.float32]) -> float:
    """The median over the sentences of the best cosine that any chunk has to them."""
    best = np.zeros(len(vectors), np.float32)
    standing = (row for row in opened.store.chunks() if len(row.vector) == 4 * vectors.shape[1])
    while rows := list(islice(standing, _AT_ONCE)):
        found = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), -1)
        best = np.maximum(best, (vectors @ found.T).max(axis=1))
    return float(np.median(best))


def _keep(place: Workplace, index: str, seen: SentinelsSeen, *, tell: bool) -> None:
    blobs = place.stores.blobs
    told = {
        "texts": SENTINELS_DIGEST,
        "before": blobs.put(_bytes(seen.before)),
        "before_us": seen.before_us,
        "now": blobs.put(_bytes(seen.now)),
        "now_us": seen.now_us,
        "near": seen.near,
    }
    with place.transaction(from_us(seen.now_us), "sentinels") as session:
        session.cursors.put(_cursor(index, seen.version), told)
        if tell:
            facts = {"version": seen.version, "shift": seen.shift, "near": seen.near, "behaviour": seen.behaviour}
            session.audit.append(SENTINELS_SEEN, index, facts)


def _bytes(vectors: NDArray[np.float32]) -> bytes:
    target = io.BytesIO()
    np.save(target, vectors.astype("<f4"), allow_pickle=False)
    return target.getvalue()


def _vectors(place: Workplace, digest: str) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.load(io.BytesIO(place.stores.blobs.get(Digest(digest))), allow_pickle=False)
    return found


def _cursor(index: str, version: str) -> str:
    return f"index/{index}/sentinels/{version}"
