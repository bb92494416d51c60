"""What is given is what the store has: ghosts, damage and revoked readers are dropped, generations are never mixed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from retrieval_world import chunk_of, document_of, documents, search, write

from perdure import Team
from perdure.assets.version import Pointer
from perdure.core.clock import monotonic_s, sleep_s
from perdure.stores.vectors.protocols import Change
from perdure.stores.vectors.sqlite import SqliteIndex
from perdure.testing.careless import careless

WRITER = Path(__file__).parent / "generations_written.py"


def by_hand(world, version_path, statement, *values):
    """What somebody does to the file who knows nothing of generations."""
    connection = careless(sqlite3.connect(version_path))
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.fixture
def path(world, store):
    [file] = (world.root / "indexes").glob("*.db")
    return file


def test_a_change_is_found_within_a_second(gateway, store):
    """From the instant at which its generation is written."""
    write(store, {"news.md": "Zeppelins fly again."})
    began = monotonic_s()
    gateway.wait_for(lambda: documents(search(gateway, "zeppelins", mode="lexical")) == ["news.md"])
    assert monotonic_s() - began < 1.0


def test_a_document_that_was_deleted_is_never_given_again(gateway, store):
    """Not in the moment before memory follows, either: the guard asks the store."""
    for round_ in range(5):
        write(store, {f"{round_}.md": f"Zeppelin number {round_} flies."})
        gateway.wait_for(lambda n=round_: f"{n}.md" in documents(search(gateway, "zeppelin flies", mode="lexical")))
        number = store.generation().number
        store.apply(Change(9_000_000 + round_, 9_000_000, "gone", number, dead_documents=[f"{round_}.md"]))
        assert f"{round_}.md" not in documents(search(gateway, "zeppelin flies", k=50))


def test_a_row_that_somebody_deleted_is_dropped_and_told(gateway, store, path, world):
    """The next best moves up; memory that held it is read anew."""
    best, second = documents(search(gateway, "paid days", k=2))
    by_hand(world, path, "DELETE FROM chunks WHERE document = ?", best)
    told = search(gateway, "paid days", k=1)
    assert documents(told) == [second]
    assert told.json["dropped"] == [{"document": "", "reason": "missing"}]
    assert [each.reason for each in world.searches()[-1].dropped] == ["missing"]
    gateway.wait_for(lambda: search(gateway, "paid days", k=1).json["dropped"] == [])


def test_a_ghost_whose_document_is_not_in_the_record_is_dropped(gateway, store, path, world):
    """Its chunk stands there as if alive, and nobody vouches for it."""
    by_hand(world, path, "DELETE FROM documents WHERE id = 'refunds.md'")
    told = search(gateway, "refunds paid")
    assert "refunds.md" not in documents(told)
    assert {"document": "refunds.md", "reason": "ghost"} in told.json["dropped"]


@pytest.mark.parametrize(
    ("member", "value"),
    [("text", "Refunds are never paid."), ("context", "Lies"), ("vector", b"\0" * 256), ("text", 7)],
)
def test_a_damaged_row_is_dropped(gateway, store, path, world, member, value):
    """Text, context and vector: nothing that does not match its checksum is given."""
    by_hand(
        world, path, f"UPDATE chunks SET packed = changed(packed, '{member}', ?) WHERE document = 'refunds.md'", value
    )
    told = search(gateway, "refunds paid")
    assert "refunds.md" not in documents(told)
    assert {"document": "refunds.md", "reason": "corrupt"} in told.json["dropped"]
    metrics = gateway.ask("/metrics", None, method="GET").content.decode()
    assert 'perdure_search_dropped_total{index="handbook",reason="corrupt"} 1.0' in metrics


def test_a_forged_row_is_not_given_under_the_rank_of_another(gateway, store, path, world):
    """Text, digest and checksum fit each other, but memory ranked another vector."""
    from perdure.stores.vectors.packing import pack

    forged = chunk_of("refunds.md", "Zeppelins are free.")
    by_hand(world, path, "UPDATE chunks SET packed = ? WHERE document = 'refunds.md'", pack(forged))
    assert "refunds.md" not in documents(search(gateway, "refunds paid within days"))


def test_what_is_not_verified_is_marked_where_the_index_says_so(world):
    """`unverified="mark"`: it is given, with what is wrong with it."""
    version, store = world.index(unverified="mark")
    write(store, {"refunds.md": "Refunds are paid within 30 days."})
    with world.serving() as gateway:
        by_hand(
            world, world.path(version), "UPDATE chunks SET packed = changed(packed, 'text', 'Refunds are never paid.')"
        )
        [hit] = search(gateway, "refunds paid").json["hits"]
        assert (hit["checked"], hit["skew"], hit["text"]) == (False, "corrupt", "Refunds are never paid.")
        assert search(gateway, "refunds paid").json["dropped"] == []
    store.close()


def test_another_embedder_is_seen(gateway, store):
    """A vector that another model made is no neighbour of this question."""
    number = store.generation().number
    row = chunk_of("other.md", "Refunds of others", embedder="someone-else")
    store.apply(Change(9_000_000, 9_000_000, "by another", number, [document_of("other.md")], [row]))
    gateway.wait_for(lambda: search(gateway, "refunds").json["generation"] == 2)
    told = search(gateway, "refunds of others", mode="dense")
    assert {"document": "other.md", "reason": "wrong_embedder"} in told.json["dropped"]
    assert "other.md" in documents(search(gateway, "refunds of others", mode="lexical"))


def test_a_store_that_was_built_anew_in_its_place_is_searched(gateway, store, path):
    """Another file under the same name, as a repair of a damaged one leaves it; its generations count from one again."""
    beside = SqliteIndex(path.with_name("anew.db"))
    write(beside, {"anew.md": "Refunds are built anew."})
    beside.close()
    for log in path.parent.glob("*.db-*"):
        log.unlink()
    path.with_name("anew.db").replace(path)
    gateway.wait_for(lambda: documents(search(gateway, "refunds")) == ["anew.md"], 60.0)
    again = SqliteIndex(path)
    write(again, {"more.md": "Refunds are followed there."})
    gateway.wait_for(lambda: "more.md" in documents(search(gateway, "refunds")), 60.0)
    again.close()


def test_all_hits_of_an_answer_are_of_one_generation(world):
    """While the whole index is written anew again and again under searches of several threads."""
    _, store = world.index()

    def generation(number):
        return {f"{i}.md": f"trains of timetable t{number}x leave" for i in range(30)}

    write(store, generation(1))
    seen, failures, stop = set(), [], threading.Event()
    with world.serving() as gateway:

        def ask():
            while not stop.is_set():
                answer = search(gateway, "trains leave", k=10)
                texts = {hit["text"] for hit in answer.json["hits"]}
                if answer.status != 200 or len(texts) != 1 or len(answer.json["hits"]) != 10:
                    failures.append((answer.status, answer.json))
                seen.update(texts)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(2, 25):
            write(store, generation(number))
            sleep_s(0.05)
        stop.set()
        for thread in threads:
            thread.join()
    store.close()
    assert failures == []
    assert len(seen) > 5


def test_killing_the_writer_anywhere_leaves_one_whole_generation_to_be_searched(world):
    """kill -9 while it writes; the server goes on with the last generation that was made, and with the next writer's."""
    version, store = world.index()
    write(store, {f"{i}.md": "trains of timetable t1x leave" for i in range(60)})
    store.close()
    with world.serving() as gateway:
        for pause_s in (0.3, 0.45, 0.7):
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            writer = subprocess.Popen([sys.executable, WRITER, world.path(version)], env=environment, stdout=-1)
            assert writer.stdout.readline() == b"begun\n"
            sleep_s(pause_s)
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
            with_reader = SqliteIndex(world.path(version), read_only=True)
            newest = with_reader.generation().number
            [text] = {row.text for row in with_reader.chunks()}
            with_reader.close()
            found = gateway.wait_for(
                lambda n=newest: (
                    answer if (answer := search(gateway, "trains leave", k=20)).json["generation"] == n else 0
                )
            )
            assert {hit["text"] for hit in found.json["hits"]} == {text}
            assert len(found.json["hits"]) == 20


def test_groups_find_what_they_may_read(world):
    """By the team of the key; a request only narrows, and nobody learns what is not for him."""
    _, store = world.index()
    write(store, {"all.md": "rules for everybody"})
    write(store, {"staff.md": "rules for staff"}, readers=["staff"])
    write(store, {"board.md": "rules for the board"}, readers=["board"])
    world.teams = {
        "team": Team("team"),
        "office": Team("office", reads=["staff"]),
        "audit": Team("audit", reads=["*"], routes=["index:*"]),
        "none": Team("none", routes=["other"]),
    }
    keys = {team: world.key(team) for team in world.teams}
    with world.serving() as gateway:

        def found(team, **members):
            headers = {"authorization": f"Bearer {keys[team]}"}
            return sorted(documents(search(gateway, "rules", headers=headers, **members)))

        assert found("team") == ["all.md"]
        assert found("office") == ["all.md", "staff.md"]
        assert found("audit") == ["all.md", "board.md", "staff.md"]
        assert found("audit", groups=["board"]) == ["all.md", "board.md"]
        assert found("office", groups=["board"]) == ["all.md"]
        assert search(gateway, "rules", headers={"authorization": ""}).status == 401
        assert search(gateway, "rules", headers={"authorization": f"Bearer {keys['none']}"}).status == 404

        write(store, {"staff.md": "rules for staff"}, readers=["board"])
        assert found("office", k=50) == ["all.md"]
        assert found("office", as_of="1970-01-01T00:00:02Z") == ["all.md"]
        told = search(gateway, "rules", headers={"authorization": f"Bearer {keys['office']}"}).json
        assert "board.md" not in str(told)
    store.close()


def test_a_shadow_is_searched_and_recorded_and_never_answers(world):
    """Beside the champion, with the same question."""
    first, old = world.index()
    second, new = world.index(fields={"year": "number"}, pointer="shadow")
    write(old, {"a.md": "rules of old"})
    write(new, {"b.md": "rules of new"})
    with world.serving() as gateway:
        assert documents(search(gateway, "rules")) == ["a.md"]
        gateway.wait_for(lambda: len(world.searches()) == 2)
    found = {event.arm: (event.version, event.documents) for event in world.searches()}
    assert found == {"champion": (first, ["a.md"]), "shadow": (second, ["b.md"])}
    old.close()
    new.close()


def test_versions_share_callers_and_move_without_a_gap(world):
    """A share of callers gets the challenger, each always the same one; the champion moves while it is asked."""
    first, old = world.index()
    second, new = world.index(fields={"year": "number"}, pointer="challenger")
    write(old, {"a.md": "rules of old"})
    write(new, {"a.md": "rules of new"})
    world.point(Pointer("handbook", "challenger", second, share=0.5))
    with world.serving() as gateway:
        callers = [f"caller {i}" for i in range(24)]
        given = {who: search(gateway, "rules", user=who).json["version"] for who in callers}
        assert set(given.values()) == {first, second}
        assert {who: search(gateway, "rules", user=who).json["version"] for who in callers} == given

        world.point(Pointer("handbook", "champion", second))
        gateway.wait_for(lambda: {search(gateway, "rules", user=who).json["version"] for who in callers} == {second})
    arms = {(event.arm, event.version) for event in world.searches()}
    assert {("champion", first), ("challenger", second), ("champion", second)} <= arms
    old.close()
    new.close()
