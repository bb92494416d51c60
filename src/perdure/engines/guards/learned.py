"""A learned check at work: an artifact of plain bytes becomes a scorer of texts, in numpy alone.

`train_learned` (in `learned_training`) makes the artifact, `compile_guard` loads it here, and the loop scores held-out texts with it. The
artifact holds numbers and names only: nothing in it is run. A text's score is that of its most suspicious window, in the text
as it stands or in what it says when it is decoded.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.core.errors import BadGuard
from perdure.engines.guards.learned_text import N_BITS, N_SKETCH, Features, features, sketch, views
from perdure.engines.guards.learned_threshold import choose_threshold
from perdure.engines.guards.learned_windows import evidence, part, windows

FORMAT = 1
_LOUD = 30.0
"""Beyond, a probability is 0 or 1 in any number of digits that matters."""
_RARITY_STEP = 16.0
_MOST_HARMLESS_BYTES = 1 << 20


class Settings(msgspec.Struct, frozen=True):
    """What an artifact says beside its weights."""

    intercept: float
    slope: float
    offset: float
    """The score is the logistic function of `slope * evidence + offset`."""
    threshold: float
    max_false_block: float
    at_least: float
    """Below, a threshold would catch no attack that is known."""
    families: list[str]
    floors: list[float]
    """Least likeness at which a text is of each family."""


class _Artifact(msgspec.Struct, frozen=True):
    format: int
    settings: Settings
    weights: bytes
    rarity: bytes
    centroids: bytes
    harmless: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Everything that was learned."""

    settings: Settings
    weights: NDArray[np.float32]
    """Shape (2**N_BITS,)."""
    rarity: NDArray[np.float32]
    """Shape (2**N_BITS,): how rare an n-gram is, 1 on average over those of the training texts."""
    centroids: NDArray[np.float32]
    """Shape (families, N_SKETCH)."""
    harmless: NDArray[np.float32]
    """Scores of harmless texts by models that had not seen them: what a threshold is chosen from."""


def to_artifact(parts: Parts) -> bytes:
    """The parts as bytes; equal parts, equal bytes."""
    quantised = np.clip(np.round(parts.rarity * _RARITY_STEP), 0, 255).astype(np.uint8)
    return msgspec.msgpack.encode(
        _Artifact(
            FORMAT,
            parts.settings,
            _packed(parts.weights.astype("<f4")),
            _packed(quantised),
            _packed(parts.centroids.astype("<f4")),
            _packed(parts.harmless.astype("<f4")),
        )
    )


def from_artifact(artifact: bytes) -> Parts:
    """The parts of an artifact.

    Raises:
        BadGuard: the bytes are no artifact of this format.
    """
    try:
        found = msgspec.msgpack.decode(artifact, type=_Artifact)
        if found.format != FORMAT:
            raise _unreadable(f"it has the format {found.format}, and this perdure reads {FORMAT}")
        weights = _unpacked(found.weights, "<f4", 2**N_BITS)
        rarity = _unpacked(found.rarity, "u1", 2**N_BITS).astype(np.float32) / np.float32(_RARITY_STEP)
        centroids = _unpacked(found.centroids, "<f4", len(found.settings.families) * N_SKETCH)
        harmless = np.frombuffer(_inflated(found.harmless, _MOST_HARMLESS_BYTES), "<f4")
    except (msgspec.DecodeError, zlib.error, ValueError) as error:
        if isinstance(error, BadGuard):
            raise
        raise _unreadable(type(error).__name__) from error
    return Parts(found.settings, weights, rarity, centroids.reshape(-1, N_SKETCH), harmless)


def _packed(values: NDArray[Any]) -> bytes:
    return zlib.compress(values.tobytes(), 6)


def _unpacked(data: bytes, dtype: str, n: int) -> NDArray[Any]:
    values = np.frombuffer(_inflated(data, n * np.dtype(dtype).itemsize), dtype)
    if len(values) != n:
        raise ValueError(f"{len(values)} values instead of {n}")
    return values


def _inflated(data: bytes, limit: int) -> bytes:
    """Never more than is expected: a few bytes may unpack to gigabytes."""
    return zlib.decompressobj().decompress(data, limit) if limit else b""


def _unreadable(why: str) -> BadGuard:
    return BadGuard(f"A learned check's artifact cannot be read: {why}.", hint="Train the guard again.")


@dataclass(frozen=True, slots=True, eq=False)
class _Worst:
    """The window of a text that speaks most for an attack."""

    sum: float
    found: Features
    """Of the view that it is in."""
    start: int
    end: int


class LearnedScorer:
    """Scores texts. Safe to share between threads.

    Args:
        parts: what was learned.
        threshold: score from which on a text is to be caught; None: as it was learned.
    """

    def __init__(self, parts: Parts, threshold: float | None = None) -> None:
        self._parts = parts
        self.threshold = parts.settings.threshold if threshold is None else threshold

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Names of the families it was trained on."""
        return tuple(name for name in self._parts.settings.families if name)

    def score(self, text: str) -> float:
        """How sure it is that a text is to be caught, 0 to 1. Cost: below 1 ms for 1,000 characters, and linear."""
        settings = self._parts.settings
        raw = settings.slope * (self._worst(text).sum + settings.intercept) + settings.offset
        return 1.0 / (1.0 + math.exp(-max(-_LOUD, min(_LOUD, raw))))

    def _worst(self, text: str) -> _Worst:
        best: _Worst | None = None
        for view in views(text):
            found = features(view)
            spans = windows(found.n_chars)
            sums = evidence(found, self._parts.weights, spans)
            at = int(sums.argmax())
            if best is None or sums[at] > best.sum:
                best = _Worst(float(sums[at]), found, int(spans[at, 0]), int(spans[at, 1]))
        assert best is not None
        return best

    def family(self, text: str) -> str:
        """The family that a text resembles, by its most suspicious window; empty where it is like none.

        Cost: about twice that of a score.
        """
        nearest, likeness = self._nearest(text)
        if nearest is None or likeness < self._parts.settings.floors[nearest]:
            return ""
        return self._parts.settings.families[nearest]

    def knows(self, text: str) -> bool:
        """Whether a text is like the attacks that it was trained on, named or not."""
        nearest, likeness = self._nearest(text)
        return nearest is not None and likeness >= self._parts.settings.floors[nearest]

    def _nearest(self, text: str) -> tuple[int | None, float]:
        if not len(self._parts.centroids):
            return None, 0.0
        worst = self._worst(text)
        made = sketch(part(worst.found, worst.start, worst.end), self._parts.rarity)
        likenesses = (self._parts.centroids * made).sum(axis=1)
        at = int(likenesses.argmax())
        return at, float(likenesses[at])


def load_learned(settings: Mapping[str, Any], artifact: bytes) -> LearnedScorer:
    """The scorer of a learned check.

    Where the check allows another share of false blocks than it was trained for, the threshold is chosen anew from
    what the artifact kept of harmless texts.

    Args:
        settings: the check's definition; `max_false_block` is read.
        artifact: what `train_learned` made.

    Raises:
        BadGuard: the bytes are no artifact.

    Cost: some 2 ms.
    """
    parts = from_artifact(artifact)
    allowed = float(settings.get("max_false_block", parts.settings.max_false_block))
    if allowed == parts.settings.max_false_block or not len(parts.harmless):
        return LearnedScorer(parts)
    return LearnedScorer(parts, choose_threshold(parts.harmless, allowed, at_least=parts.settings.at_least).value)
