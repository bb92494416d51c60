"""`perdure index` and its verbs on a project: built, followed, counted, mended, asked as of then; and followed by `perdure up`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from perdure import Folder
from perdure.core.clock import monotonic_s
from perdure.core.errors import BadIndex, NotFound, Refused, StoreError
from perdure.stores.documents.folder import FolderDocuments
from perdure.surface.sdk import open_project
from perdure.surface.serving import Listener, _following

DECLARED = """
import hashlib
import numpy as np
from perdure import CustomEmbedder, Folder, Index, Whole

def embed(contents):
    rows = [np.frombuffer(hashlib.blake2b(str(each).encode(), digest_size=8).digest(), "u1") + 1.0 for each in contents]
    return np.array([row / np.linalg.norm(row) for row in rows])

handbook = Index("handbook", Folder("docs"), chunker=Whole(), embedder=CustomEmbedder(embed, 8))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.stores.documents.folder._RACY_US", 0)
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared.py").write_text(DECLARED)
    (tmp_path / "docs").mkdir()
    for i in range(12):
        (tmp_path / "docs" / f"{i:02}.md").write_text(f"# Page {i}\n\nThe word{i} stands here.\n")
    return tmp_path


def told(cli, folder, command):
    return json.loads(cli(f"perdure index {command} --json", folder).out)


def test_an_index_is_built_counted_mended_and_searched_as_of_then(cli, folder):
    cli("perdure apply", folder)
    assert told(cli, folder, "list")[0]["generation"] == 0
    assert "not built" in cli("perdure index list", folder).out
    built = told(cli, folder, "build handbook --at 2013-03-01")
    assert (built["done"], built["n_embedded"], built["verified"]) == ({"add": 12}, 12, True)
    assert told(cli, folder, "census handbook")["skews"] == []
    assert "whole" in cli("perdure index list", folder).out
    [path] = (folder / ".perdure" / "indexes" / "handbook").glob("*.db")
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM chunks WHERE key = 3")
    connection.commit()
    connection.close()
    (folder / "docs" / "05.md").write_text("# Page 5\n\nAnother text.\n")
    assert "rechunk" in cli("perdure index plan handbook", folder).out
    assert "missing" in cli("perdure index census handbook", folder).out
    repaired = told(cli, folder, "repair handbook --at 2013-03-05")
    assert (repaired["done"], repaired["n_embedded"]) == ({"update": 1, "rechunk": 1, "mend": 1}, 1)
    assert told(cli, folder, "census handbook --deep")["skews"] == []
    assert [each["number"] for each in told(cli, folder, "history handbook")] == [1, 2]
    assert told(cli, folder, "search handbook word5 --first 1 --as-of 2013-03-03")[0]["document"] == "05.md"
    assert "word5" not in cli("perdure index search handbook word5", folder).out
    cli("perdure index search handbook word5 --as-of 2013-01-01", folder, expect=3)


def test_more_deletions_than_may_be_wait_for_a_yes(cli, folder):
    cli("perdure apply", folder)
    cli("perdure index build handbook", folder)
    for i in range(6):
        (folder / "docs" / f"{i:02}.md").unlink()
    assert "--allow-deletion" in cli("perdure index sync handbook", folder).out
    assert "source shrank" in cli("perdure incidents", folder).out
    assert told(cli, folder, "show handbook")["generation"]["n_documents"] == 12
    [report] = told(cli, folder, "sync handbook --allow-deletion")
    assert report["done"] == {"delete": 6}
    assert json.loads(cli("perdure incidents --json", folder).out) == []


def test_what_was_not_built_cannot_be_counted(folder):
    project = open_project(folder)
    with pytest.raises(NotFound, match="Nothing was built"):
        project.census_index("handbook")
    with pytest.raises(NotFound, match="handbok"):
        project.build_index("handbok")
    with pytest.raises(NotFound, match="answers yet"):
        project.show_index("handbook", "champion")


def test_a_version_before_is_opened_as_it_was_and_one_of_a_function_that_is_gone_is_refused(folder):
    project = open_project(folder)
    project.apply()
    project.build_index("handbook")
    first = project.show_index("handbook").version
    (folder / "declared.py").write_text(DECLARED.replace('Folder("docs")', 'Folder("docs", include=["0*.md"])'))
    again = open_project(folder)
    again.build_index("handbook")
    assert again.show_index("handbook", "declared").generation.n_documents == 10
    assert again.census_index("handbook", first, deep=True).skews == []
    assert again.show_index("handbook", first).generation.n_documents == 12
    (folder / "declared.py").write_text(DECLARED.replace("digest_size=8", "digest_size=8, key=b'other'"))
    other = open_project(folder)
    with pytest.raises(BadIndex, match="not declared any more"):
        other.census_index("handbook", first)


def test_up_fills_what_answers_and_follows_its_source(folder):
    project = open_project(folder)
    project.apply()
    errors, changed = [], folder / "docs" / "03.md"
    with _following(project, Listener(lambda _: None, lambda _: None, errors.append)):
        _until(lambda: project.show_index("handbook").generation.n_documents == 12)
        changed.write_text("# Page 3\n\nA newer text.\n")
        _until(lambda: project.show_index("handbook").generation.number == 2)
        assert project.search_index("handbook", "newer", k=1)[0].document == "03.md"
        shutil.rmtree(folder / "docs")
        _until(lambda: bool(errors))
    assert "does not answer" in errors[0].message or "cannot be listed" in errors[0].message
    assert project.show_index("handbook").generation.n_documents == 12
    assert not [each for each in threading.enumerate() if each.name.startswith("perdure-index")]


def _until(holds):
    until = monotonic_s() + 30.0
    while monotonic_s() < until:
        if holds():
            return
        threading.Event().wait(0.05)
    pytest.fail("It did not come to be.")


def test_progress_is_told_step_by_step(folder):
    project, told = open_project(folder), []
    project.build_index("handbook", progress=told.append)
    assert (told[-1].n_done, told[-1].n_steps, told[-1].n_embedded) == (12, 12, 12)
    assert Path(project.show_index("handbook", "declared").file).is_file()


def test_a_damaged_file_is_told_and_a_rebuild_takes_its_place_without_an_embedding(folder):
    project = open_project(folder)
    project.build_index("handbook")
    path = Path(project.show_index("handbook", "declared").file)
    data = bytearray(path.read_bytes())
    data[32768 : len(data)] = bytes(len(data) - 32768)
    path.write_bytes(bytes(data))
    census = project.census_index("handbook", "declared")
    assert ("corrupt", "store") in [(each.kind, each.part) for each in census.skews]
    report = project.build_index("handbook", anew=True)
    assert (report.done, report.n_embedded, report.verified) == ({"add": 12}, 0, True)
    assert project.census_index("handbook", "declared", deep=True).skews == []
    assert [each.name for each in path.parent.iterdir() if "anew" in each.name] == []


def test_a_file_of_an_older_format_is_built_anew(folder):
    project = open_project(folder)
    project.build_index("handbook")
    path = Path(project.show_index("handbook", "declared").file)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(StoreError, match="format 1") as refused:
        project.build_index("handbook")
    assert "--anew" in refused.value.hint
    report = project.build_index("handbook", anew=True)
    assert (report.done, report.n_embedded, report.verified) == ({"add": 12}, 0, True)


def test_a_rebuild_whose_source_is_gone_leaves_what_was_there(folder):
    project = open_project(folder)
    project.build_index("handbook")
    shutil.rmtree(folder / "docs")
    with pytest.raises(StoreError, match="does not answer"):
        project.build_index("handbook", anew=True)
    assert project.show_index("handbook", "declared").generation.n_documents == 12


def test_a_folder_that_is_not_there_is_told_with_what_to_do(cli, folder):
    cli("perdure apply", folder)
    cli("perdure index build handbook", folder)
    shutil.rmtree(folder / "docs")
    for command in ("build handbook", "sync handbook", "build handbook --anew"):
        told = cli(f"perdure index {command}", folder, expect=6)
        words = " ".join(f"{told.out} {told.err}".split())
        assert "cannot be listed: No such file or directory" in words
        assert "See that it is where the index declares it" in words
    with pytest.raises(StoreError) as missing:
        list(FolderDocuments(Folder("docs"), folder).list())
    assert "Mount it, make it, or declare" in missing.value.hint


def test_an_index_that_was_built_of_nothing_is_empty_and_one_that_was_not_is_not_built(cli, folder):
    for each in (folder / "docs").iterdir():
        each.unlink()
    cli("perdure apply", folder)
    assert "not built" in cli("perdure index list", folder).out
    cli("perdure index build handbook", folder)
    listed, shown = cli("perdure index list", folder).out, cli("perdure index show handbook", folder).out
    assert "empty" in listed
    assert "not built" not in listed
    assert "Nothing is in it: when it was built, its source had no documents" in shown


def test_files_are_pushed_found_and_deleted(cli, folder):
    (folder / "declared.py").write_text(DECLARED.replace("Folder", "Pushed").replace('Pushed("docs")', "Pushed()"))
    cli("perdure apply", folder)
    assert told(cli, folder, "push handbook docs/03.md docs/04.md") == ["docs/03.md", "docs/04.md"]
    assert told(cli, folder, "build handbook")["done"] == {"add": 2}
    assert told(cli, folder, "push handbook docs/03.md nobody.md --delete") == ["docs/03.md"]
    [report] = told(cli, folder, "sync handbook")
    assert report["done"] == {"delete": 1}
    assert told(cli, folder, "census handbook --deep")["skews"] == []


def test_nothing_is_pushed_to_an_index_with_a_source_of_its_own(folder):
    project = open_project(folder)
    with pytest.raises(Refused, match="come from Folder"):
        project.push_documents("handbook", ["docs/03.md"])
