"""Another reranker is another version of an index, and nothing is embedded for it."""

from __future__ import annotations

import pytest

from perdure import CustomReranker, Index, Pushed
from perdure.assets.project import Project
from perdure.core.clock import machine_now
from perdure.core.errors import BadIndex
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.sdk import Perdure
from perdure.testing.indexes import DocumentsWorld


def by_length(query, texts):
    return [len(text) for text in texts]


def test_another_reranker_is_another_version_whose_vectors_are_known(tmp_path):
    documents = DocumentsWorld(tmp_path, 12)
    documents.write_all(machine_now())

    def opened(**declared):
        settings = Settings(project=ProjectSettings(name="indexed", actor="ana"))
        return Perdure(tmp_path, settings, project=Project.of("indexed", documents.index(**declared)))

    first = opened().build_index("handbook")
    assert first.n_embedded == 12
    project = opened(reranker=CustomReranker(by_length))
    second = project.build_index("handbook")
    assert second.version != first.version
    assert (second.n_embedded, second.n_chunks_made) == (0, first.n_chunks_made)
    project.apply()
    champion = project.show_index("handbook").version
    later = opened(reranker=CustomReranker(by_length, fingerprint="2"))._indexes.as_of_version("handbook", champion)
    assert later.reranker is None


def test_an_index_without_one_is_the_version_that_it_was():
    assert "reranker" not in Index("handbook", Pushed()).definition()


async def later(query, texts):
    return []


@pytest.mark.parametrize("reranker", [by_length, CustomReranker(later), CustomReranker("name")])
def test_what_is_no_reranker_is_refused(reranker):
    with pytest.raises(BadIndex):
        Index("handbook", Pushed(), reranker=reranker)
