"""Many contents: in batches, in order, with progress, on workers."""

from __future__ import annotations

import importlib
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import pytest

from perdure.assets.embedders import CustomEmbedder, WordLlama
from perdure.core.errors import BadIndex, NotReady, UpstreamBad
from perdure.engines.retrieval.embedders.batching import EmbeddingProgress, Refusal, Workers, embed_all, embedded
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
    assert next(parts).code == "not_embedded"


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


@pytest.mark.parametrize("n", [1, 3])
def test_what_cannot_be_embedded_is_told_in_its_place_and_the_rest_goes_on(n) -> None:
    here, contents = open_embedder(WordLlama(64)), ["a", b"\x89PNG", "c"]
    with ThreadPoolExecutor(n) as pool:
        workers = Workers(pool, WordLlama(64))
        first, refused, last = embedded(here, contents, batch=1, workers=workers)
        with pytest.raises(Unparsable, match="text"):
            embed_all(here, contents, batch=1, workers=workers)
    assert (first.shape, last.shape) == ((1, 64), (1, 64))
    assert isinstance(refused, Refusal)


def test_what_was_under_way_beside_a_batch_that_fails_is_given_before_its_error() -> None:
    begun = threading.Event()

    def picky(contents):
        if "d" in contents:
            begun.set()
        if "bad" in contents:
            begun.wait(10.0)
            raise UpstreamBad("It does not answer.")
        return [[1.0] for _ in contents]

    contents, given, told = ["a", "bad", "c", "d"], [], []
    with ThreadPoolExecutor(4) as pool:
        rows = embedded(
            open_embedder(CustomEmbedder(picky, 1)),
            contents,
            batch=1,
            on_progress=told.append,
            workers=Workers(pool, None),
        )
        with pytest.raises(UpstreamBad):
            given.extend(rows)
    assert [each is None for each in given] == [False, True, False, False]
    assert told[-1].n_done == 3


MODULE = """
import os
from multiprocessing import parent_process

def lengths(contents):
    if "die" in contents and parent_process() is not None:
        os.kill(os.getpid(), 9)
    return [[float(len(each)), 1.0] for each in contents]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function in a module that other processes can import, and its file."""
    path = tmp_path / "embeds_lengths.py"
    path.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("embeds_lengths"), path
    del sys.modules["embeds_lengths"]


@contextmanager
def _processes(declared, n=1):
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        yield Workers(pool, declared)


def test_a_function_of_the_project_embeds_in_other_processes_and_one_that_is_killed_is_told(module) -> None:
    declared = CustomEmbedder(module[0].lengths, 2)
    here = open_embedder(declared)
    with _processes(declared) as workers:
        assert embed_all(here, TEXTS, batch=50, workers=workers).tobytes() == here.embed(TEXTS).tobytes()
        given = []
        with pytest.raises(NotReady, match="ended before its time"):
            given.extend(embedded(here, ["a", "b", "c", "die", "e"], batch=1, workers=workers))
        assert len(given) == 5
        assert given[3] is None
        with pytest.raises(NotReady, match="ended before its time"):
            embed_all(here, TEXTS, batch=50, workers=workers)


def test_a_module_that_changed_meanwhile_embeds_nothing(module) -> None:
    declared = CustomEmbedder(module[0].lengths, 2)
    here = open_embedder(declared)
    module[1].write_text(MODULE.replace("1.0]", "2.0]"))
    with _processes(declared) as workers, pytest.raises(NotReady, match="code changed"):
        embed_all(here, TEXTS, batch=50, workers=workers)


def test_a_module_that_is_gone_is_told(module) -> None:
    declared = CustomEmbedder(module[0].lengths, 2)
    here = open_embedder(declared)
    module[1].unlink()
    with _processes(declared) as workers, pytest.raises(NotReady, match="cannot open"):
        embed_all(here, TEXTS, batch=50, workers=workers)


def test_a_function_without_a_name_is_refused_for_other_processes() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(BadIndex, match="found by a name"):
        Workers(pool, CustomEmbedder(lambda contents: [[1.0] for _ in contents], 1))


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
