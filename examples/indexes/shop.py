"""A shop that searches its papers: one index over a folder, and an embedder that somebody else runs."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from perdure import (
    CustomEmbedder,
    Folder,
    Index,
    Policy,
    Ramp,
    WordLlama,
    ghosts,
    golden_ndcg,
    hours,
    lag_s,
    sentinel_shift,
    skew_ratio,
)

HERE = Path(os.environ.get("SHOP", "."))
DIMENSIONS = 128


@lru_cache(maxsize=1)
def words():
    """Vectors of words, whose weights come with their package."""
    from perdure.engines.retrieval.embedders.opening import open_embedder

    return open_embedder(WordLlama(DIMENSIONS))


def embed(contents):
    """What the model behind the name says today; which one that is stands in a file that is not ours."""
    model = (HERE / "model.txt").read_text().strip()
    turned = np.random.default_rng(len(model)).permutation(DIMENSIONS)
    return words().embed([str(each) for each in contents])[:, turned]


handbook = Index(
    "handbook",
    Folder(str(HERE / "papers")),
    embedder=CustomEmbedder(embed, DIMENSIONS, fingerprint="words by name"),
    golden=HERE / "golden.jsonl",
    healthy=[
        (ghosts(over=hours(1)) <= 0).owed_to("help desk"),
        lag_s(quantile=0.99, over=hours(1)) <= 2 * 3600,
        skew_ratio(over=hours(1)) <= 0.001,
        sentinel_shift(over=hours(1)) <= 0.001,
        golden_ndcg(k=10, over=hours(1)) >= 0.7,
    ],
    policy=Policy.act(ramp=Ramp(canary=hours(1), share=0.3), watch=hours(1), cool_down=hours(1)),
)
