"""Thresholds of meaning from judged pairs: the bound is kept, and too few pairs are said to be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perdure.core.errors import DeclarationError, Refused, TooFewRows
from perdure.engines.semantics import calibrate, same_numbers


def world(same, different):
    """Pairs at given cosines, with an embedder that makes them so; texts are letters alone."""
    cosines = [*same, *different]
    names = ["b" * (place + 1) for place in range(len(cosines))]
    at = dict(zip(names, cosines, strict=True)) | {"a": 1.0}
    pairs = [("a", name, place < len(same)) for place, name in enumerate(names)]
    return pairs, lambda texts: np.array([(at[text], math.sqrt(1 - at[text] ** 2)) for text in texts]) * 7.0


def test_the_threshold_is_the_lowest_that_keeps_the_bound():
    """At 5% and 95% of 100 different pairs one may be a hit: its upper bound is 4.66%, that of two 6.16%."""
    different = [0.95, 0.90, *np.linspace(-0.5, 0.8, 98)]
    found = calibrate(*world([0.99] * 30 + [0.91] * 10 + [0.85] * 10, different), false_hits=0.05)
    assert found.threshold == pytest.approx(0.9001)
    assert (found.false_hits.value, found.false_hits.n) == (0.01, 100)
    assert found.false_hits.high == pytest.approx(0.0466, abs=1e-4)
    assert found.hits.value == 0.8
    assert 0.66 < found.hits.low < 0.8 < found.hits.high < 0.91


def test_too_few_pairs_are_refused_with_how_many_more_it_takes():
    with pytest.raises(TooFewRows, match="not enough pairs: about 199 more") as error:
        calibrate(*world([0.99] * 500, np.linspace(-0.5, 0.5, 100)))
    assert error.value.facts == {"n": 100, "n_needed": 299}
    assert calibrate(*world([], np.linspace(-0.5, 0.5, 299))).hits is None


def test_pairs_of_different_numbers_neither_help_nor_harm():
    """They are never hits, so they say nothing of the threshold."""
    pairs, embed = world([0.99] * 10, np.linspace(-0.5, 0.5, 299))
    numbered = [(f"order {n}", f"order {n + 1}", False) for n in range(500)]

    def both(texts):
        return np.array([embed([text])[0] if "order" not in text else (1.0, 0.0) for text in texts])

    assert calibrate(pairs + numbered, both) == calibrate(pairs, embed)
    with pytest.raises(TooFewRows):
        calibrate(numbered, both)


def test_the_threshold_is_never_lower_than_it_must_be_to_hit_all_that_mean_the_same():
    """Random pairs are far apart: their bound alone would let everything in."""
    found = calibrate(*world([0.93, 0.97], np.linspace(-0.2, 0.2, 400)))
    assert found.threshold == pytest.approx(0.93)
    assert found.hits.value == 1.0


def test_different_questions_with_one_vector_are_refused():
    with pytest.raises(Refused, match="no threshold"):
        calibrate(*world([0.9], [1.0] * 50 + [0.1] * 300))


def test_vectors_without_a_direction_are_refused():
    pairs, _ = world([0.9], [0.1] * 299)
    with pytest.raises(DeclarationError, match="direction"):
        calibrate(pairs, lambda texts: np.zeros((len(texts), 2)))
    with pytest.raises(DeclarationError, match="of 301 texts"):
        calibrate(pairs, lambda texts: np.zeros((3, 2)))


@pytest.mark.parametrize(("limit", "confidence"), [(0.0, 0.95), (1.0, 0.95), (0.01, 1.0), (0.01, 0.0)])
def test_a_limit_that_means_nothing_is_refused(limit, confidence):
    with pytest.raises(DeclarationError, match="means nothing"):
        calibrate(*world([0.9], [0.1] * 299), false_hits=limit, confidence=confidence)


def test_the_bound_holds_as_often_as_it_says():
    """Many judged samples of one world: the true rate at the chosen threshold exceeds the limit in at most 1 of 20."""
    rng = np.random.default_rng(7)
    limit, wrong, n_worlds = 0.05, 0, 200
    for _ in range(n_worlds):
        found = calibrate(*world([], rng.uniform(-1.0, 1.0, 120)), false_hits=limit)
        wrong += (1.0 - found.threshold) / 2.0 > limit
    assert wrong <= 18, "binomial(200, .05) exceeds 18 once in 200"
    assert wrong >= 1, "a bound that never errs is too wide"


def test_numbers_are_told_apart_and_their_order_is_not():
    assert same_numbers("on 2024-05-01 at 10:30", "At 10:30 on 2024-05-01?")
    assert not same_numbers("version 1.2", "version 1.3")
    assert not same_numbers("top 5", "top")
    assert same_numbers("no number", "none here")
