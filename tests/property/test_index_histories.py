"""An index that followed any history of its source is, row by row, the one that is built from nothing at its end."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.assets.documents import Iterated
from perdure.assets.index import Index
from perdure.assets.project import Project
from perdure.core.documents import Chunk, DocumentRef, RawDocument, Trouble
from perdure.core.settings import ProjectSettings, Settings
from perdure.loop.work.indexes.counting import Look, take_census
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.loop.work.indexes.resyncing import resync
from perdure.stores.vectors.embedded import EmbeddingCache
from perdure.stores.vectors.manifest import manifest_digest
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.surface.sdk import Perdure

NAMES = ("a", "b", "c", "d")
PIECES = ("red", "blue", "green", "", "long long long")
TEXTS = st.lists(st.sampled_from(PIECES), max_size=4).map("\n".join)
EDITS = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | TEXTS), min_size=1, max_size=3)
HISTORIES = st.lists(EDITS, min_size=1, max_size=5)


class Kept:
    """Documents in a dict; a token is a count of writes."""

    def __init__(self):
        self.texts, self.tokens, self.n = {}, {}, 0

    def write(self, name, text):
        self.n += 1
        self.tokens[name] = str(self.n)
        if text is None:
            self.texts.pop(name, None)
        else:
            self.texts[name] = text

    def list(self):
        return iter([DocumentRef(name, self.tokens[name]) for name in sorted(self.texts)])

    def read(self, refs):
        for ref in refs:
            if ref.id in self.texts:
                yield RawDocument(ref, self.texts[ref.id].encode(), "text/plain")
            else:
                yield Trouble(ref.id, "vanished", "")

    def wait(self, seconds):
        return True

    def close(self):
        pass


class Lines:
    """Each line is a chunk; empty lines are none."""

    fingerprint = "lines-1"

    def chunk(self, document):
        lines = [line for line in document.data.decode().split("\n") if line]
        return "", [Chunk(document.ref.id, i, line, i, i + len(line)) for i, line in enumerate(lines)]


class Lengths:
    """Vectors of two dimensions."""

    fingerprint, dimensions = "lengths-1", 2

    def __init__(self):
        self.asked = []

    def embed(self, contents, use="document"):
        self.asked += contents
        angles = np.array([float(len(each)) for each in contents])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("f4")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES)
def test_an_index_equals_a_rebuild_whatever_happened_before_and_embeds_nothing_twice(history):
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        project = Perdure(root, Settings(project=ProjectSettings(name="p", actor="t")), project=Project("p"))
        place = project.place
        index = Index("words", Iterated(list), most_deleted=1.0)
        source, embedder = Kept(), Lengths()
        store, anew = SqliteIndex(root / "1.db"), SqliteIndex(root / "2.db")
        cache, other = EmbeddingCache(root / "1.cache"), EmbeddingCache(root / "2.cache")
        for each in (store, anew, cache, other):
            stack.callback(each.close)
        opened = OpenIndex(index, "words@1", source, Lines(), embedder, store, cache)
        for at, edits in enumerate(history, 1):
            for name, text in edits:
                source.write(name, text)
            _, _, report = resync(place, opened, at * 1_000_000)
            assert report.verified
            census = take_census(opened, at * 1_000_000, look=Look(n_sample=0))
            assert (census.skews, census.touched) == ([], [])
        assert len(embedder.asked) == len(set(embedder.asked))
        built = replace(opened, store=anew, embedder=Lengths(), cache=other)
        resync(place, built, 99_000_000)
        assert manifest_digest(anew) == manifest_digest(store)
