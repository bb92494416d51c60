"""What a resync does: as little as can be, what it may, and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.core.clock import machine_us
from perdure.core.errors import StoreError, UpstreamError
from perdure.engines.retrieval.planning import make_plan
from perdure.loop.work.indexes import building, resyncing
from perdure.loop.work.indexes.counting import take_census
from perdure.loop.work.indexes.following import SOURCE_SHRANK, follow_once
from perdure.loop.work.indexes.kept import newest_resync, texts_generation
from perdure.loop.work.indexes.resyncing import resync, run_plan
from perdure.stores.vectors.manifest import manifest_digest


def open_incidents(place):
    with place.stores.ledger.read() as session:
        return [each.kind for each in session.incidents.list(open_only=True)]


def names(world):
    return [row.id for row in world.opened.store.documents()]


def audited(place, action):
    with place.stores.ledger.read() as session:
        return [each for each in session.audit.list() if each.action == action]


def test_nothing_changed_is_nothing_done_and_nothing_told(built, place):
    before = len(audited(place, "index.resync"))
    report = follow_once(place, built.opened, 2_000_000)
    assert (report.done, report.generation, report.before) == ({}, 1, 1)
    assert len(audited(place, "index.resync")) == before


def test_a_plan_that_is_run_again_does_nothing_more(built, place):
    built.write("a0/00.md", "other words")
    built.remove("a1/01.md")
    plan = make_plan(take_census(built.opened, 2_000_000), most_deleted=0.2)
    first = run_plan(place, built.opened, plan, 2_000_000, "run:mend")
    again = run_plan(place, built.opened, plan, 2_000_000, "run:mend")
    assert (first.generation, again.generation) == (2, 2)
    assert (again.n_chunks_made, again.n_chunks_dropped, again.n_embedded, again.verified) == (0, 0, 0, True)


def test_a_document_that_came_back_after_the_plan_is_not_deleted(built, place):
    text = (built.folder / "a1/01.md").read_text()
    built.remove("a1/01.md")
    plan = make_plan(take_census(built.opened, 2_000_000), most_deleted=0.2)
    built.write("a1/01.md", text)
    run_plan(place, built.opened, plan, 3_000_000)
    assert "a1/01.md" in names(built)


def test_chunks_that_stay_keep_their_rows_and_texts_that_move_their_vectors(built, place):
    built.write("a0/00.md", "new first\n\n" + (built.folder / "a0/00.md").read_text())
    built.write("a0/04.md", (built.folder / "a0/04.md").read_text() + "\n\nnew last")
    report = follow_once(place, built.opened, 2_000_000)
    assert (report.n_embedded, report.n_chunks_made, report.n_chunks_dropped) == (2, 5, 3)


def test_detection_and_repair_are_timed_and_kept(built, place):
    built.write("a0/00.md", "other words", old=False)
    report = follow_once(place, built.opened, machine_us() + 60_000_000)
    assert report.detect_s == pytest.approx(60.0, abs=5.0)
    assert 0.0 < report.repair_s < 30.0
    assert newest_resync(place, "handbook", "handbook@1") == report
    with place.stores.ledger.read() as session:
        assert texts_generation(session, "handbook", "handbook@1") == report.generation == 2


def test_a_mended_row_is_no_change_of_what_documents_say(built, place):
    with built.damage() as connection:
        connection.execute("DELETE FROM chunks WHERE key = 5")
    run_plan(place, built.opened, make_plan(take_census(built.opened, 2_000_000), most_deleted=0.2), 2_000_000)
    with place.stores.ledger.read() as session:
        assert texts_generation(session, "handbook", "handbook@1") == 1


# ------------------------------------------------------------------------------------------------- deletions


def test_more_deletions_than_may_be_at_once_are_held_back_and_a_person_is_asked(built, place):
    for i in range(20):
        built.remove(f"a{i % 4}/{i:02}.md")
    built.write("a0/24.md", "changed")
    report = follow_once(place, built.opened, 2_000_000)
    assert (report.done, report.held_back, len(names(built))) == ({"update": 1}, 20, 40)
    assert open_incidents(place) == [SOURCE_SHRANK]
    follow_once(place, built.opened, 3_000_000)
    assert open_incidents(place) == [SOURCE_SHRANK]
    allowed = follow_once(place, built.opened, 4_000_000, allow_deletion=True)
    assert (allowed.done, len(names(built)), open_incidents(place)) == ({"delete": 20}, 20, [])


def test_the_incident_ends_when_the_documents_are_back(built, place):
    texts = {path: path.read_text() for path in sorted(built.folder.rglob("*.md"))[:30]}
    for path in texts:
        path.unlink()
    follow_once(place, built.opened, 2_000_000)
    for path, text in texts.items():
        built.write(str(path.relative_to(built.folder)), text)
    report = follow_once(place, built.opened, 3_000_000)
    assert (open_incidents(place), report.n_embedded, len(names(built))) == ([], 0, 40)


def test_an_empty_folder_deletes_nothing(built, place):
    for path in sorted(built.folder.rglob("*.md")):
        path.unlink()
    report = follow_once(place, built.opened, 2_000_000)
    assert (report.held_back, len(names(built))) == (40, 40)


def test_a_source_that_is_down_changes_nothing(built, place):
    built.folder.rename(built.folder.with_name("elsewhere"))
    with pytest.raises(StoreError, match="does not answer"):
        follow_once(place, built.opened, 2_000_000, allow_deletion=True)
    assert (len(names(built)), open_incidents(place)) == (40, [])


# ------------------------------------------------------------------------------------------------- bad input


def test_a_document_that_cannot_be_read_is_told_and_the_rest_is_indexed(world, place):
    world.write("bad.md", b"\xff\xfe\xff")
    world.write("good.md", "words")
    report = follow_once(place, world.opened, 1_000_000)
    assert (report.troubles, report.verified) == ({"bad.md": "encoding"}, True)
    census = take_census(world.opened, 2_000_000)
    assert (census.skews, census.troubles) == ([], {"bad.md": "encoding"})
    assert {row.document for row in world.rows()} == {"good.md"}


def test_a_document_that_becomes_unreadable_keeps_what_was_indexed_and_is_marked(built, place):
    text = (built.folder / "a0/00.md").read_text()
    built.write("a0/00.md", b"\xff\xff")
    report = follow_once(place, built.opened, 2_000_000)
    assert report.troubles == {"a0/00.md": "encoding"}
    assert len([row for row in built.rows() if row.document == "a0/00.md"]) == 3
    assert take_census(built.opened, 3_000_000).skews == []
    built.write("a0/00.md", text)
    report = follow_once(place, built.opened, 4_000_000)
    assert (report.troubles, report.n_embedded) == ({}, 0)
    assert take_census(built.opened, 5_000_000).troubles == {}


def test_a_document_that_became_too_large_is_a_trouble_and_no_skew_after_it_was_told(built, place, monkeypatch):
    from dataclasses import replace

    from perdure.stores.documents.folder import FolderDocuments

    small = replace(built.opened.index.documents, most_bytes=200)
    built.with_(documents=FolderDocuments(small, built.folder.parent))
    built.write("a0/00.md", "x" * 500)
    assert take_census(built.opened, 2_000_000).counts()["stale"] == 1
    assert follow_once(place, built.opened, 2_000_000).troubles == {"a0/00.md": "too_large"}
    assert take_census(built.opened, 3_000_000).skews == []


# --------------------------------------------------------------------------------------- what breaks on its way


def test_a_build_whose_embedder_breaks_goes_on_where_it_was(world, place, monkeypatch):
    monkeypatch.setattr(resyncing, "SLICE", 10)
    monkeypatch.setattr(building, "_EMBED_AT_ONCE", 8)
    for i in range(40):
        world.write(f"{i:02}.md", f"text {i}\n\nmore {i}")
    embedder = world.opened.embedder

    class Breaking:
        fingerprint, dimensions = embedder.fingerprint, embedder.dimensions

        def embed(self, contents, use="document"):
            if embedder.n_embedded >= 48:
                raise UpstreamError("It is down.")
            return embedder.embed(contents, use)

    world.with_(embedder=Breaking())
    with pytest.raises(UpstreamError):
        follow_once(place, world.opened, 1_000_000)
    assert (embedder.n_embedded, len(names(world))) == (48, 20)
    assert take_census(world.opened, 1_500_000).counts()["missing"] == 20
    world.with_(embedder=embedder)
    assert follow_once(place, world.opened, 2_000_000).n_embedded == 80 - 48


_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from perdure.assets.project import Project
from perdure.core.settings import ProjectSettings, Settings
from perdure.loop.work.indexes import building, resyncing
from perdure.surface.sdk import Perdure
resyncing.SLICE, building._EMBED_AT_ONCE = 7, 3
root = Path(sys.argv[2])
place = Perdure(root, Settings(project=ProjectSettings(name="toys", actor="test")), project=Project("toys")).place
world = conftest.open_world(root / "world")
def told(at):
    print(at.n_embedded, flush=True)
    sys.stdin.readline()
resyncing.resync(place, world.opened, 1_000_000, told=told)
"""


@pytest.mark.parametrize("lines", [3, 20])
def test_a_build_that_is_killed_leaves_whole_documents_and_goes_on_from_there(tmp_path, place, lines):
    from perdure.stores.vectors.sqlite import SqliteIndex

    here = Path(__file__).parent
    folder = tmp_path / "world" / "docs"
    folder.mkdir(parents=True)
    for i in range(60):
        (folder / f"{i:02}.md").write_text(f"document {i}\n\nsays {i} and {i * i}")
        os.utime(folder / f"{i:02}.md", (1_000, 1_000))
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(here), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdin.write("\n" * (lines - 1))
    process.stdin.flush()
    for _ in range(lines):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdin.close()
    process.stdout.close()
    store = SqliteIndex(tmp_path / "world" / "index" / "v1.db")
    whole = {row.id: row.n_chunks for row in store.documents()}
    there = {}
    for row in store.chunks():
        there[row.document] = there.get(row.document, 0) + 1
    assert there == whole
    assert len(whole) % 7 == 0
    assert len(whole) < 60
    store.close()
    again = subprocess.run(
        [sys.executable, "-c", _KILLED, str(here), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    n_embedded = int(again.stdout.split()[-1])
    assert n_embedded <= 2 * (60 - len(whole))
    store = SqliteIndex(tmp_path / "world" / "index" / "v1.db")
    assert store.generation().n_documents == 60
    store.close()


def test_two_writers_do_not_undo_one_another(built, place, monkeypatch):
    """The other one writes after the first has drafted: the draft is made anew from what is there then."""
    other = built.opened.store
    for i in (0, 4):
        built.write(f"a0/{i:02}.md", f"changed {i}")
    apply, done = other.apply, []

    def beaten(change):
        if not done:
            done.append(True)
            monkeypatch.setattr(other, "apply", apply)
            resync(place, built.opened, 1_500_000)
        return apply(change)

    monkeypatch.setattr(other, "apply", beaten)
    follow_once(place, built.opened, 2_000_000)
    assert take_census(built.opened, 3_000_000).skews == []
    assert built.opened.store.generation().n_chunks == 120 - 4


def test_an_index_equals_one_that_was_built_from_nothing(built, place, tmp_path):
    built.write("a0/00.md", "other\n\nwords")
    built.remove("a3/03.md")
    built.write("b.md", (built.folder / "a1/01.md").read_text())
    follow_once(place, built.opened, 2_000_000)
    from perdure.loop.work.indexes.opening import OpenIndex
    from perdure.stores.vectors.sqlite import SqliteIndex

    anew = SqliteIndex(tmp_path / "anew.db")
    opened = built.opened
    resync(
        place,
        OpenIndex(opened.index, "handbook@2", opened.documents, opened.chunker, opened.embedder, anew, opened.cache),
        3_000_000,
    )
    assert manifest_digest(anew) == manifest_digest(opened.store)
    assert manifest_digest(opened.store, 1) != manifest_digest(opened.store)
    anew.close()


# ------------------------------------------------------------------------------- what would hold up the others


def test_a_folder_that_may_not_be_listed_keeps_its_documents_and_holds_nothing_up(built, place, monkeypatch):
    """It is told as one trouble; what changed elsewhere is followed."""
    really = os.open

    def refused(path, *how):
        if str(path).endswith("a1"):
            raise PermissionError(13, "Permission denied")
        return really(path, *how)

    before = names(built)
    monkeypatch.setattr("perdure.stores.documents.walking.os.open", refused)
    built.write("a0/00.md", "other words")
    report = follow_once(place, built.opened, 2_000_000)
    assert (report.changed, names(built)) == (1, before)
    census = take_census(built.opened, 2_000_000)
    assert (census.whole, census.troubles, list(census.skews)) == (True, {"a1": "unreadable"}, [])


@pytest.mark.parametrize(
    ("metadata", "title", "code"),
    [({"n": 2**63}, "t", "unparsable"), ({"n": -(2**64)}, "t", "unparsable"), ({"n": "\ud800"}, "t", "encoding"),
     ({"\udfff": 1}, "t", "encoding"), ({}, "half \ud800", "encoding")],
)  # fmt: skip
def test_a_document_that_no_store_can_keep_is_told_and_the_rest_is_indexed(
    built, place, monkeypatch, metadata, title, code
):
    """One number of more than 64 bits, or one half of a character, kept every document of its generation out."""
    chunker = built.opened.chunker
    chunk = type(chunker).chunk

    def odd(self, raw):
        if raw.ref.id != "a0/00.md":
            return chunk(self, raw)
        raw.metadata.update(metadata)
        return title, chunk(self, raw)[1]

    monkeypatch.setattr(type(chunker), "chunk", odd)
    built.write("a0/00.md", "other words")
    built.write("a0/04.md", "other words, too")
    report = follow_once(place, built.opened, 2_000_000)
    assert report.troubles == {"a0/00.md": code}
    assert report.changed == 1
