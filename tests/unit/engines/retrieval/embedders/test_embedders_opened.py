"""Embedders that need no model of sentences: words, routes, functions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from perdure.assets.embedders import CustomEmbedder, Endpoint, WordLlama
from perdure.core.errors import BadIndex, MissingExtra, NotReady, UpstreamBad
from perdure.core.ports import Embedded
from perdure.engines.retrieval.embedders import words
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Unparsable

TEXTS = [
    "Returns are taken back within 30 days.",
    "",
    "The engine was out of fuel. " * 200,
    "Größe und Maß",
    "x",
    "How long may I send it back?",
    "\U0001f600 \x00",
]


class Letters:
    """An upstream whose vectors say how often each letter stands in a text."""

    def __init__(self, width=26):
        self.asked = []
        self.width = width

    def embed(self, route, texts):
        self.asked.append((route, list(texts)))
        return Embedded(np.array([[t.lower().count(chr(97 + at)) for at in range(self.width)] for t in texts]))


def lengths(contents):
    """Length, and how many spaces."""
    return [[len(each), each.count(" ")] for each in contents]


@pytest.mark.parametrize("dimensions", [64, 128, 256])
def test_words_are_unit_rows_and_an_empty_text_is_zeros(dimensions) -> None:
    rows = open_embedder(WordLlama(dimensions=dimensions)).embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), dimensions)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1, 1, 1, 1, 1], abs=1e-6)


def test_words_near_in_meaning_are_near() -> None:
    rows = open_embedder(WordLlama()).embed(["How do I return a parcel?", "Sending goods back", "The turbine's blades"])
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_words_are_the_vectors_of_the_package_itself() -> None:
    from pathlib import Path

    import wordllama

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    kept = [*(text for text in TEXTS if text), " ".join(f"word {number}" for number in range(3000))]
    theirs = np.asarray(model.embed(kept, norm=True))
    # Of thousands of tokens both sums are rounded.
    assert np.abs(open_embedder(WordLlama()).embed(kept) - theirs).max(axis=1) == pytest.approx(0, abs=2e-5)


def test_a_whole_book_takes_little_memory() -> None:
    embedder = open_embedder(WordLlama())
    book = "some words of a book " * 40_000
    tracemalloc.start()
    try:
        embedder.embed([book])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 60e6  # its tokens' vectors would be 200 MB


def test_a_vector_is_the_same_to_the_bit_alone_and_in_any_batch() -> None:
    embedder = open_embedder(WordLlama())
    whole = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    turned = embedder.embed(TEXTS[::-1])[::-1]
    assert whole.tobytes() == alone.tobytes() == turned.tobytes()


def test_nothing_to_embed_is_no_rows() -> None:
    for declared in (WordLlama(), Endpoint("small", 26), CustomEmbedder(lengths, 2)):
        embedder = open_embedder(declared, Letters())
        assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_words_that_are_not_installed_name_the_extra(monkeypatch) -> None:
    words._installed.cache_clear()
    monkeypatch.setattr(words.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"perdure\[similarity\]"):
        open_embedder(WordLlama())
    words._installed.cache_clear()


@pytest.mark.parametrize("declared", [WordLlama(), Endpoint("small", 26)])
def test_bytes_are_no_text(declared) -> None:
    with pytest.raises(Unparsable) as caught:
        open_embedder(declared, Letters()).embed(["a", b"\x89PNG"])
    assert caught.value.code == "not_embedded"


def test_a_route_is_asked_with_the_prefix_of_the_use() -> None:
    port = Letters()
    embedder = open_embedder(Endpoint("small", 26, query_prefix="q: ", document_prefix="d: "), port)
    embedder.embed(["ab"], "query")
    rows = embedder.embed(["ab", " \n", "c"])
    assert port.asked == [("small", ["q: ab"]), ("small", ["d: ab", "d: c"])]
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1])


def test_a_route_of_other_dimensions_is_told() -> None:
    with pytest.raises(UpstreamBad, match=r"\(1, 26\).*\(1, 8\) was declared"):
        open_embedder(Endpoint("small", 8), Letters()).embed(["a"])


def test_a_route_that_gives_no_numbers_is_told() -> None:
    class Broken:
        def embed(self, route, texts):
            return Embedded(np.full((len(texts), 8), np.nan, np.float32))

    with pytest.raises(UpstreamBad, match="finite: False"):
        open_embedder(Endpoint("small", 8), Broken()).embed(["a"])


def test_a_route_with_nobody_to_ask_is_not_ready() -> None:
    with pytest.raises(NotReady, match="small"):
        open_embedder(Endpoint("small", 8))


def test_a_function_is_called_in_batches_with_whatever_is_embedded() -> None:
    seen = []

    def counted(contents):
        seen.append(len(contents))
        return [[len(each), 1.0] for each in contents]

    rows = open_embedder(CustomEmbedder(counted, 2, batch=2)).embed([b"\x89PNG", "a b", "c"])
    assert seen == [2, 1]
    assert rows[0] == pytest.approx(np.array([4, 1]) / np.sqrt(17))


@pytest.mark.parametrize(
    ("function", "error", "says"),
    [
        (lambda contents: [[1.0]], BadIndex, r"\(1, 1\)"),
        (lambda contents: [[1.0, float("nan")]], Unparsable, "no finite number"),
        (lambda contents: "abc", Unparsable, "raised ValueError"),
        (lambda contents: 1 // 0, Unparsable, "raised ZeroDivisionError"),
    ],
)
def test_what_a_function_may_not_is_told(function, error, says) -> None:
    with pytest.raises(error, match=says):
        open_embedder(CustomEmbedder(function, 2)).embed(["a"])


def test_an_upstream_that_a_function_asks_may_be_away() -> None:
    def away(contents):
        raise NotReady("Not now.")

    with pytest.raises(NotReady):
        open_embedder(CustomEmbedder(away, 2)).embed(["a"])


def test_a_function_that_is_none_is_refused_when_it_is_opened() -> None:
    async def later(contents):
        return []

    with pytest.raises(BadIndex, match="no plain function"):
        open_embedder(CustomEmbedder(later, 2))
    with pytest.raises(BadIndex, match="batch"):
        open_embedder(CustomEmbedder(lengths, 2, batch=0))


def test_fingerprints_move_with_all_that_vectors_depend_on() -> None:
    declared = [
        WordLlama(),
        WordLlama(64),
        Endpoint("small", 8),
        Endpoint("large", 8),
        Endpoint("small", 16),
        Endpoint("small", 8, query_prefix="q"),
        Endpoint("small", 8, document_prefix="q"),
        CustomEmbedder(lengths, 2),
        CustomEmbedder(lengths, 3),
        CustomEmbedder(lengths, 2, "v2"),
        CustomEmbedder(lambda contents: [], 2),
    ]
    assert len({open_embedder(each, Letters()).fingerprint for each in declared}) == len(declared)


def test_fingerprints_stand_for_what_no_vector_depends_on() -> None:
    once, again = (open_embedder(Endpoint("small", 8, sentinels=each), Letters()).fingerprint for each in (True, False))
    assert once == again
    assert (
        open_embedder(CustomEmbedder(lengths, 2, batch=1)).fingerprint
        == open_embedder(CustomEmbedder(lengths, 2)).fingerprint
    )
