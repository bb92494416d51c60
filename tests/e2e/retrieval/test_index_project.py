"""A project with an index and a route, from its declaration to an answer: applied, built, served, followed."""

from __future__ import annotations

import pytest
from gateway_upstream import Said, recorded
from retrieval_world import post, wait_for

from perdure.core.clock import monotonic_s
from perdure.core.errors import NotFound, UpstreamError
from perdure.surface.sdk import open_project

DECLARED = """
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Route, Target, Team, Upstream, Whole

def embed(contents):
    rows = np.zeros((len(contents), 64))
    for row, content in zip(rows, contents):
        for word in content.lower().split():
            row += np.random.default_rng(sum(map(ord, word.strip(".?")))).standard_normal(64)
    return rows

handbook = Index(
    "handbook", Folder("docs", readers={"staff/**": ["staff"]}), chunker=Whole(), embedder=CustomEmbedder(embed, 64)
)
main = Route("main", [Target(Upstream("up", "URL/v1"), "m-1")], source="handbook")
office = Team("office", reads=["staff"])
guests = Team("guests")
"""


@pytest.fixture
def folder(tmp_path, upstreams):
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared.py").write_text(DECLARED.replace("URL", upstreams.url))
    (tmp_path / "docs" / "staff").mkdir(parents=True)
    (tmp_path / "docs" / "refunds.md").write_text("Refunds are paid within 30 days.")
    (tmp_path / "docs" / "staff" / "pay.md").write_text("Salaries are paid on the last day.")
    return tmp_path


def found(url, secret, query="paid"):
    status, told = post(url, "/v1/indexes/handbook/search", {"query": query}, secret)
    return sorted(hit["text"] for hit in told["hits"]) if status == 200 else []


def test_a_project_is_searched_and_follows_its_files(folder, upstreams):
    """By keys of its teams; another process syncs, the server follows within a second of its generation."""
    project = open_project(folder)
    project.apply()
    project.build_index("handbook")
    office, guests = (project.create_key(team).secret for team in ("office", "guests"))
    server = project.server(port=0)
    url = server.start()
    try:
        wait_for(lambda: len(found(url, office)) == 2)
        assert found(url, guests) == ["Refunds are paid within 30 days."]
        upstreams.then(recorded(Said(words=("Refunds are paid within 30 days [1].",))))
        asked = {"question": "When are refunds paid?", "route": "main"}
        status, told = post(url, "/v1/indexes/handbook/answer", asked, guests)
        assert (status, told["grounded"], told["citations"][0]["source"]["document"]) == (200, True, "refunds.md")

        (folder / "docs" / "refunds.md").write_text("Refunds are paid within 14 days, as of now.")
        project.sync_index("handbook")
        began = monotonic_s()
        wait_for(lambda: found(url, guests) == ["Refunds are paid within 14 days, as of now."])
        assert monotonic_s() - began < 1.0
    finally:
        server.stop()


def test_a_question_is_answered_without_a_server(folder, upstreams, cli):
    """By the SDK and the command: what was found, what a model said, what nothing bears."""
    project = open_project(folder)
    project.apply()
    with pytest.raises(NotFound, match="built"):
        project.answer_index("handbook", "When?", route="main")
    project.build_index("handbook")
    upstreams.usual = recorded(Said(words=("Refunds are paid within 30 days [1]. Salaries are paid on 9 May [2].",)))
    answer = project.answer_index("handbook", "When are refunds paid?", route="main")
    assert [each["claim"].split()[0] for each in answer.citations] == ["Refunds"]
    assert [each["lacks"] for each in answer.unsupported] == ["numbers"]
    assert (answer.grounded, answer.generation, len(answer.sources)) == (False, 1, 2)
    told = cli('perdure index answer handbook "When are refunds paid?" --route main', folder).out
    assert "unsupported" in told
    assert "refunds.md" in told
    with pytest.raises(NotFound, match="main"):
        project.answer_index("handbook", "When?", route="mian")
    from gateway_upstream import status

    upstreams.usual = status(400)
    with pytest.raises(UpstreamError):
        project.answer_index("handbook", "When are refunds paid?", route="main")
