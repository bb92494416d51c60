"""Maps of an index: axes that keep their direction, clusters that are found again, questions that fall where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import TooFewRows
from perdure.engines.retrieval.mapping import find_clusters, fit_axes, nearest_cluster, telling_words


def three_topics(n: int = 60, width: int = 32, seed: int = 0):
    """Vectors of length 1 around three directions, with the direction of each."""
    chance = np.random.default_rng(seed)
    centres = np.eye(width)[[0, 5, 9]]
    topics = chance.choice(3, n, p=[0.6, 0.3, 0.1])
    rows = centres[topics] + chance.normal(0, 0.08, (n, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), topics


def test_the_axes_are_the_first_two_principal_components():
    from sklearn.decomposition import PCA

    rows, _ = three_topics()
    axes, known = fit_axes(rows), PCA(2).fit(rows)
    assert np.allclose(np.abs(axes.project(rows)), np.abs(known.transform(rows)))
    assert axes.explained == pytest.approx(known.explained_variance_ratio_.sum())


def test_one_document_more_does_not_turn_the_map_over():
    rows, _ = three_topics(n=300)
    before, after = fit_axes(rows[:-1]).project(rows), fit_axes(rows).project(rows)
    assert all(np.corrcoef(before[:, axis], after[:, axis])[0, 1] > 0.99 for axis in (0, 1))


def test_topics_are_found_and_numbered_by_size():
    rows, topics = three_topics(n=300)
    labels = find_clusters(rows, most=3)
    assert len(set(zip(labels.tolist(), topics.tolist(), strict=True))) == 3
    sizes = np.bincount(labels)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_the_same_vectors_make_the_same_clusters():
    rows, _ = three_topics()
    assert find_clusters(rows).tolist() == find_clusters(rows).tolist()


def test_few_vectors_make_few_clusters_and_equal_ones_a_single_one():
    assert set(find_clusters(np.eye(4)[:2]).tolist()) == {0}
    assert set(find_clusters(np.ones((50, 3))).tolist()) == {0}
    assert find_clusters(np.zeros((0, 3))).tolist() == []


def test_a_question_belongs_to_what_is_nearest_to_it():
    rows, topics = three_topics()
    labels = find_clusters(rows, most=3)
    found = nearest_cluster(np.eye(32)[[0, 5, 9]], rows, labels)
    assert found.tolist() == [labels[topics == topic][0] for topic in range(3)]
    assert nearest_cluster(np.zeros((0, 0)), rows, labels).tolist() == []


def test_words_that_stand_everywhere_tell_nothing():
    told = telling_words(["the parcel", "the parcel", "the shop", "the shop"], [0, 0, 1, 1], n=1)
    assert told == [["parcel"], ["shop"]]


@pytest.mark.parametrize("rows", [np.zeros((2, 8)), np.zeros((5, 1)), np.zeros((0, 0))])
def test_too_little_makes_no_map(rows):
    with pytest.raises(TooFewRows, match="make no map"):
        fit_axes(rows)


def test_vectors_that_are_all_the_same_have_a_map_that_explains_nothing():
    axes = fit_axes(np.ones((4, 3)))
    assert axes.explained == 0.0
    assert np.isfinite(axes.project(np.ones((1, 3)))).all()
