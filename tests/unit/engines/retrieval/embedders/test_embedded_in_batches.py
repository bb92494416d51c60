"""Many contents: in batches, in order, with progress, on workers."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from perdure.assets.embedders import CustomEmbedder, WordLlama
from perdure.engines.retrieval.embedders.batching import EmbeddingProgress, Workers, embed_all, embedded
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Unparsable

TEXTS = [f"Sentence number {number}, of {'many ' * (number % 7)}words." for number in range(150)]


def test_batches_come_in_order_and_progress_is_told_after_each() -> None:
    embedder = open_embedder(WordLlama(64))
    told = []
    rows = embed_all(embedder, TEXTS, batch=64, on_progress=told.append)
    assert rows.tobytes() == embedder.embed(TEXTS).tobytes()
    assert [(each.n_done, each.n_all) for each in told] == [(64, 150), (128, 150), (150, 150)]
    assert all(each.per_s > 0 for each in told)
    assert told[-1].left_s == 0.0


def test_what_came_is_given_before_the_rest_is_done() -> None:
    def picky(contents):
        return [[1.0 / (each != "bad")] for each in contents]

    parts = embedded(open_embedder(CustomEmbedder(picky, 1)), ["a", "b", "bad"], batch=2)
    assert next(parts).shape == (2, 1)
    with pytest.raises(Unparsable):
        next(parts)


def test_no_contents_are_no_rows() -> None:
    assert embed_all(open_embedder(WordLlama(64)), []).shape == (0, 64)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t \n", "\u00a0"])
def test_a_blank_text_is_all_zeros_whatever_its_spaces_are(blank) -> None:
    rows = open_embedder(WordLlama(64)).embed([blank, "pay"], "query")
    assert (bool(rows[0].any()), bool(rows[1].any())) == (False, True)


def test_a_rate_before_the_first_second_is_none() -> None:
    assert EmbeddingProgress(0, 10, 0.0).per_s == 0.0
    assert EmbeddingProgress(0, 10, 2.0).left_s is None
    assert EmbeddingProgress(5, 10, 2.0).left_s == 2.0


@pytest.mark.parametrize(
    "executor",
    [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(1, mp_context=get_context("spawn"))],
    ids=["threads", "processes"],
)
def test_workers_give_the_same_bits_in_the_same_order(executor) -> None:
    here = open_embedder(WordLlama(64))
    with executor() as pool:
        rows = embed_all(here, TEXTS, batch=7, workers=Workers(pool, WordLlama(64)))
    assert rows.tobytes() == here.embed(TEXTS).tobytes()


def test_what_a_worker_raises_comes_through_and_the_rest_is_called_off() -> None:
    with ThreadPoolExecutor(1) as pool:
        parts = embedded(
            open_embedder(WordLlama(64)), ["a", b"\x89PNG", "c"], batch=1, workers=Workers(pool, WordLlama(64))
        )
        assert next(parts).shape == (1, 64)
        with pytest.raises(Unparsable):
            next(parts)


def test_a_batch_waits_for_who_takes_it() -> None:
    class Counting(ThreadPoolExecutor):
        sent = 0

        def submit(self, *args, **settings):
            self.sent += 1
            return super().submit(*args, **settings)

    with Counting(2) as pool:
        parts = embedded(open_embedder(WordLlama(64)), TEXTS, batch=2, workers=Workers(pool, WordLlama(64)))
        assert np.isfinite(next(parts)).all()
        assert pool.sent < 12
        parts.close()
