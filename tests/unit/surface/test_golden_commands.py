"""`perdure index golden`, `score`, `sample` and `accept`, as they are said; a picture on the command line; cases told outdated."""

from __future__ import annotations

import json

import pytest

from perdure.core.clock import parse_at
from perdure.surface.cli.show_evals import eval_json, show_summary
from perdure.surface.eval_told import EvalTold

DECLARED = """
import hashlib
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Whole

def embed(contents):
    told = [each if isinstance(each, bytes) else each.encode() for each in contents]
    rows = [np.frombuffer(hashlib.blake2b(each, digest_size=8).digest(), "u1") + 1.0 for each in told]
    return np.array([row / np.linalg.norm(row) for row in rows])

handbook = Index("handbook", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 8), golden="golden.jsonl")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, cli):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared.py").write_text(DECLARED)
    (tmp_path / "docs").mkdir()
    rows = []
    for i in range(12):
        text = f"Page {i} has the word{i}."
        (tmp_path / "docs" / f"{i:02}.md").write_text(text)
        relevant = [{"document": f"{i:02}.md", "start": 0, "end": len(text), "text": text}] if i else ["00.md"]
        rows.append({"query": f"word{i}", "relevant": relevant, "provenance": {"from": "searches"} if i == 1 else {}})
    (tmp_path / "golden.jsonl").write_text("\n".join(map(json.dumps, rows)))
    cli("perdure apply", tmp_path)
    cli("perdure index build handbook", tmp_path)
    return tmp_path


def test_golden_questions_are_listed_with_whether_their_texts_still_stand(folder, cli):
    (folder / "docs" / "02.md").write_text("Above.\n\nPage 2 has the word2.")
    (folder / "docs" / "03.md").write_text("All is new.")
    (folder / "docs" / "04.md").unlink()
    cli("perdure index sync handbook", folder)
    rows = json.loads(cli("perdure index golden handbook --json", folder).out)
    assert [each["state"] for each in rows[:6]] == ["unknown", "stands", "moved", "changed", "gone", "stands"]
    assert [each["origin"] for each in rows[:3]] == ["people", "searches", "people"]
    assert "moved" in cli("perdure index golden handbook", folder).out


def test_a_version_is_scored_on_the_command_line(folder, cli):
    alone = cli("perdure index score handbook --first 1", folder).out
    assert "12 golden questions in 12 clusters" in alone
    assert "hit_rate" in alone
    assert "verdict" not in alone
    said = cli("perdure index score handbook --version declared --against champion", folder).out
    assert "equivalent" in said
    told = json.loads(cli("perdure index score handbook --json", folder).out)
    assert told["measures"]["recall"]["value"] == 1.0


def test_where_nothing_was_searched_nobody_is_asked(folder, cli):
    assert "Nothing was searched" in cli("perdure index sample handbook", folder).out
    assert "0 golden questions" in cli("perdure index accept handbook --as ana", folder).out


def test_a_picture_is_searched_from_a_file(folder, cli):
    (folder / "example").write_bytes((folder / "docs" / "07.md").read_bytes())
    [found] = json.loads(cli("perdure index search handbook --picture example --first 1 --json", folder).out)
    assert found["document"] == "07.md"
    cli("perdure index search handbook", folder, expect=2)


def test_a_run_says_how_many_of_its_cases_rest_on_documents_that_changed(capsys):
    told = EvalTold("refunds", "s1", "r1", parse_at("2026-05-01T10:00:00Z"), (), (), n_outdated=2)
    assert eval_json(told)["n_outdated"] == 2
    show_summary(told)
    assert "2 cases rest on documents that changed" in " ".join(capsys.readouterr().out.split())
