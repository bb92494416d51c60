"""Spaces of vectors against a plain dictionary searched by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perdure.stores.cache.protocols import Entry
from perdure.stores.cache.vectors import VectorSpaces

spaces = st.sampled_from(["one", "two", "three"])
keys = st.integers(0, 12).map(str)
numbers = st.integers(-3, 3)
steps = st.lists(
    st.tuples(st.just("add"), spaces, keys, numbers, numbers) | st.tuples(st.just("forget"), spaces, keys),
    max_size=60,
)
_ENTRY = Entry(b"", "", 0, None)


def best(kept, vector, dead):
    """Cosine of the nearest vector that is kept and alive, by hand."""
    found = [
        float(np.dot(each, vector) / np.linalg.norm(each) / np.linalg.norm(vector))
        for key, each in kept.items()
        if key not in dead
    ]
    return max(found, default=None)


@given(steps, st.tuples(numbers, numbers).filter(any), st.sets(keys))
def test_the_nearest_is_what_a_search_by_hand_finds(done, asked, dead):
    found, kept = VectorSpaces(), {"one": {}, "two": {}, "three": {}}
    for what, space, key, *vector in done:
        if what == "forget":
            found.forget(space, [key])
            kept[space].pop(key, None)
        else:
            found.add(space, [(key, np.float32(vector))])
            if any(vector):
                kept[space][key] = np.array(vector, dtype=float)
    for space, own in kept.items():
        near = found.nearest(space, np.float32(asked), lambda some: [None if key in dead else _ENTRY for key in some])
        expected = best(own, np.array(asked, dtype=float), dead)
        assert (near is None) == (expected is None)
        assert near is None or abs(near.similarity - expected) < 1e-6


@given(steps, st.integers(1, 5), st.integers(1, 8))
def test_no_more_is_kept_than_is_allowed(done, a_space, total):
    found = VectorSpaces(a_space=a_space, total=total)
    for what, space, key, *vector in done:
        if what == "add":
            found.add(space, [(key, np.float32(vector))])
            sizes = [len(each.keys) for each in found._spaces.values()]
            assert max(sizes, default=0) <= a_space
            assert sum(sizes) == found._n_vectors <= total


def test_a_vector_of_another_length_begins_its_space_anew():
    found = VectorSpaces()
    found.add("s", [("a", np.float32([1, 0])), ("b", np.float32([1, 0, 0]))], seen=7)
    near = found.nearest("s", np.float32([1, 0, 0]), lambda keys: [_ENTRY] * len(keys))
    assert (near.key, found.seen("s"), found.seen("other")) == ("b", 7, None)
    assert found.nearest("s", np.float32([1, 0]), lambda keys: [_ENTRY] * len(keys)) is None
