"""What commands of indexes say to a person: numbers with their nouns, what is old said to be old, what comes next."""

from __future__ import annotations

import pytest

from perdure.core.errors import NotReady
from perdure.surface.cli.show_health import serving
from perdure.surface.compose_retrieval import ServedIndexes
from perdure.surface.sdk import open_project

DECLARED = """
import hashlib
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Pushed, Whole, days, mae

def embed(contents):
    return np.array([np.frombuffer(hashlib.blake2b(str(each).encode(), digest_size=8).digest(), "u1") + 1.0 for each in contents])

handbook = Index("handbook", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 8))
mail = Index("mail", Pushed(), chunker=Whole(), embedder=CustomEmbedder(embed, 8))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared.py").write_text(DECLARED)
    (tmp_path / "docs").mkdir()
    return tmp_path


@pytest.fixture
def say(cli, folder):
    """What a command says, whole lines put together."""

    def said(command, expect=0):
        told = cli(f"perdure {command}", folder, expect=expect, COLUMNS="160")
        return told.out + told.err

    return said


def page(folder, name="a.md", text="# Page\n\n" + "words that go on " * 40):
    (folder / "docs" / name).write_text(text)


def test_apply_says_what_fills_a_new_index(say, folder):
    page(folder)
    assert "perdure up fills it, or perdure index build handbook" in say("apply")


def test_a_signal_of_other_kinds_is_refused_with_the_right_article(say, folder):
    (folder / "declared.py").write_text(DECLARED.replace('"docs")', '"docs"), healthy=[mae(over=days(1)) <= 1]'))
    told = say("check", expect=2)
    assert "Signals of an index:" in told
    assert "2 indexes" in told


def test_an_empty_folder_is_told_and_what_is_not_there_is_not_searched(say):
    say("apply")
    assert "its source has no documents" in say("index build handbook")
    assert "Nothing is in 'handbook' yet." in say("index search handbook words", expect=3)


def test_one_is_one_and_text_ends_with_a_word(say, folder):
    page(folder)
    built = say("index build handbook")
    assert "1 text embedded" in built
    assert "oldest change" not in built
    assert "1 document at the source" in say("index census handbook")
    found = say("index search handbook words")
    assert "…" in found
    (folder / "docs" / "a.md").write_text("# Page\n\nAnother text.\n")
    assert "oldest change" in say("index sync handbook")


def test_a_census_of_a_generation_that_is_no_more_says_so(say, folder):
    page(folder)
    say("index build handbook")
    page(folder, "b.md")
    assert "missing 1" in say("index census handbook")
    say("index sync handbook")
    for command in ("show handbook", "list"):
        assert "missing 1 at generation 1" in say(f"index {command}")
    say("index census handbook")
    assert "missing" not in say("index show handbook")


def test_what_no_record_has_is_among_the_troubles_that_a_census_points_to(say, folder):
    page(folder)
    page(folder, "empty.md", "")
    (folder / "docs" / "out.md").symlink_to("/etc/hostname")
    say("index build handbook")
    assert "2 documents cannot be indexed: perdure index show handbook" in say("index census handbook")
    shown = say("index show handbook")
    assert "  empty       empty.md" in shown
    assert "  unreadable  out.md" in shown


def test_pushes_are_counted_and_a_deletion_of_nothing_is_none(say, folder):
    page(folder)
    assert "1 document kept, and found in a second" in say("index push mail docs/a.md")
    assert "1 document deleted" in say("index push mail docs/a.md --delete")
    assert "nothing is deleted" in say("index push mail what --delete")


def test_a_damaged_store_is_told_beside_the_others_with_how_it_is_made_again(say, folder):
    page(folder)
    say("apply")
    say("index build handbook")
    [file] = (folder / ".perdure" / "indexes" / "handbook").glob("*.db")
    file.write_bytes(b"no database" * 1000)
    assert "damaged" in say("index list")
    for command in ("show handbook", "census handbook", "search handbook words", "sync handbook"):
        assert "perdure index build handbook --anew" in say(f"index {command}", expect=6)
    say("index build handbook --anew")
    assert "whole" in say("index census handbook")


def ill(folder):
    """The version that answers cannot be read, and another one is declared."""
    [file] = (folder / ".perdure" / "indexes" / "handbook").glob("*.db")
    file.write_bytes(b"no database" * 1000)
    (folder / "declared.py").write_text(DECLARED.replace('Folder("docs")', 'Folder("docs", exclude=["z/**"])'))


def test_apply_tells_of_an_index_that_was_refused_and_sends_nobody_to_evals(say, folder):
    page(folder)
    say("apply")
    say("index build handbook")
    ill(folder)
    told = say("apply")
    assert "blocked" in told
    assert "perdure index build handbook --anew" in told
    assert "perdure apply --unproven REASON" in told
    assert "eval" not in told


def test_apply_tells_of_a_proof_that_failed_and_does_not_break(say, folder, monkeypatch):
    page(folder)
    say("apply")
    say("index build handbook")
    ill(folder)

    def fail(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("perdure.loop.work.indexes.gates.ask", fail)
    assert "blocked" in say("apply")


def test_a_server_of_an_index_that_nothing_is_in_says_so(say, folder):
    say("apply")
    served = ServedIndexes(folder, folder / ".perdure", open_project(folder).project, "p")
    [version] = [each.declared for each in open_project(folder).list_indexes() if each.name == "handbook"]
    with pytest.raises(NotReady, match="Nothing is in the index 'handbook' yet"):
        served.store("handbook", version)


def test_who_serves_indexes_is_told_where_they_are_searched(folder, capsys):
    serving("http://127.0.0.1:8400", open_project(folder).project, as_json=False)
    assert "POST /v1/indexes/handbook/search" in capsys.readouterr().out
