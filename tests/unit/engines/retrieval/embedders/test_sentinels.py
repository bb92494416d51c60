"""Sentences by which a silently changed embedder is seen."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.assets.embedders import CustomEmbedder, Endpoint, WordLlama
from perdure.core.ports import Embedded
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.embedders.sentinels import SENTINELS, SENTINELS_DIGEST, sentinel_vectors, shift


def test_there_are_32_different_ones() -> None:
    assert len(set(SENTINELS)) == len(SENTINELS) == 32
    assert len(SENTINELS[-1]) > 1500
    assert SENTINELS_DIGEST == "79503dcea642e2a631b60d2b68b94d62"


def test_each_is_embedded_alone() -> None:
    sizes = []

    def counted(contents):
        sizes.append(len(contents))
        return [[len(each), 1.0] for each in contents]

    assert sentinel_vectors(open_embedder(CustomEmbedder(counted, 2))).shape == (32, 2)
    assert sizes == [1] * 32


class Model:
    """An upstream whose vectors are WordLlama's, of texts that `seen` makes of what it is given."""

    def __init__(self, seen=str, noise=0.0):
        self.words = open_embedder(WordLlama())
        self.seen = seen
        self.noise = noise

    def embed(self, route, texts):
        rows = self.words.embed([self.seen(text) for text in texts])
        return Embedded(rows + self.noise * np.random.default_rng(1).normal(size=rows.shape).astype(np.float32))


def shift_to(changed, declared=None):
    before = open_embedder(Endpoint("small", 256, document_prefix="passage: "), Model())
    after = open_embedder(declared or Endpoint("small", 256, document_prefix="passage: "), changed)
    return shift(sentinel_vectors(before), sentinel_vectors(after))


def test_the_same_model_does_not_move() -> None:
    assert shift_to(Model()) == 0.0


def test_rounding_is_far_below_what_is_called_a_change() -> None:
    assert 0.0 < shift_to(Model(noise=1e-5)) < 1e-4


@pytest.mark.parametrize(
    "seen",
    [
        str.lower,
        lambda text: text[:1000],
        lambda text: text.removeprefix("passage: "),
        lambda text: text.encode("ascii", "ignore").decode(),
        lambda text: " ".join(text.split()),
        lambda text: text[::-1],
    ],
    ids=["cased", "cut", "unprefixed", "ascii", "spaces", "another"],
)
def test_each_change_of_what_a_model_reads_moves_one(seen) -> None:
    assert shift_to(Model(seen)) > 0.001


def test_vectors_of_another_shape_are_another_embedder() -> None:
    assert shift(np.eye(3, dtype=np.float32), np.eye(4, dtype=np.float32)) == 1.0


def test_zeros_stay_no_move_and_becoming_zeros_is_one() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    assert shift(rows, rows) == 0.0
    assert shift(rows, np.array([[0.999, 0.001], [0.0, 0.0]], np.float32)) == pytest.approx(0, abs=1e-5)
    assert shift(rows, np.zeros_like(rows)) == 1.0


def test_what_is_no_number_is_as_far_as_can_be() -> None:
    rows = np.eye(2, dtype=np.float32)
    assert shift(rows, np.array([[np.nan, 0.0], [0.0, 1.0]], np.float32)) == 2.0
