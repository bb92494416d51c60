"""Serving goes on: ledger locked, gone, corrupt or replaced; blobs and versions that cannot be loaded; restarts."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scoring_world
from scoring_world import MOODY, AirTime, Client, Fares, World, hammering, trip

from perdure import Contract
from perdure.assets.version import Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.ids import Digest
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.capture.events import Predictions
from perdure.stores.ledger.sqlite import SqliteLedger

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = " + sys.argv[2])
connection.execute("BEGIN EXCLUSIVE")
connection.execute("CREATE TABLE planted (x)")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def champion(world) -> tuple[World, str]:
    """A world with one released version."""
    one, _ = world.found(0, 1)
    world.point(Pointer("air_time", "champion", one.id))
    return world, one.id


def remove_ledger(world: World) -> None:
    for path in world.root.glob("ledger.db*"):
        path.unlink()


@contextmanager
def locked(world: World, mode: str) -> Iterator[None]:
    """Another process holds the ledger: `NORMAL` keeps writers out, `EXCLUSIVE` everybody."""
    command = [sys.executable, "-c", LOCK, str(world.ledger_path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


def test_serving_goes_on_while_another_process_holds_the_ledger(champion):
    world, version = champion
    with world.serving() as client:
        with locked(world, "NORMAL"), hammering(client.url, 2) as hammer:
            client.wait_until(lambda _: len(hammer.answers) > 100)
        assert {(status, found) for _, status, _, found in hammer.answers} == {(200, version)}
        assert client.get("/readyz").status == 200


def test_a_server_that_starts_while_the_ledger_is_locked_serves_the_kept_table_and_follows_later(champion):
    world, version = champion
    with world.serving():
        pass
    with ExitStack() as stack:
        with locked(world, "EXCLUSIVE"):
            client = stack.enter_context(world.serving())
            ready = client.get("/readyz").json
            assert (ready["source"], ready["last_error"]["code"]) == ("disk", "store.conflict")
            assert client.predict(trip()).first["version"] == version
        client.wait_until(lambda ready: ready["ledger_reachable"] and ready["source"] == "ledger")


def test_serving_goes_on_when_the_ledger_is_removed_and_follows_it_when_it_is_back(champion):
    world, version = champion
    with world.serving() as client:
        kept = {path: path.read_bytes() for path in world.root.glob("ledger.db*")}
        remove_ledger(world)
        ready = client.wait_until(lambda ready: not ready["ledger_reachable"])
        assert (ready["ready"], ready["last_error"]["code"]) == (True, "store")
        assert client.predict(trip()).first["version"] == version
        assert client.metric("perdure_ledger_reachable") == 0
        assert client.metric("perdure_swap_errors_total") >= 1
        for path, content in kept.items():
            path.write_bytes(content)
        client.wait_until(lambda ready: ready["ledger_reachable"] and ready["last_error"] is None)
        other = world.found(1)[0]
        client.wait_for_generation(world.point(Pointer("air_time", "champion", other.id)))
        assert client.predict(trip()).first["version"] == other.id


def test_serving_goes_on_when_the_ledger_is_corrupt(champion):
    world, version = champion
    with world.serving() as client:
        remove_ledger(world)
        world.ledger_path.write_bytes(b"no database, but long enough to be taken for one " * 200)
        ready = client.wait_until(lambda ready: ready["last_error"] is not None)
        assert ready["last_error"]["code"] == "store.corrupt"
        assert client.predict(trip()).first["version"] == version


@pytest.mark.parametrize("spoil", [remove_ledger, lambda world: world.ledger_path.write_bytes(b"x" * 9_000)])
def test_a_server_that_starts_without_a_ledger_serves_the_kept_table(champion, spoil):
    world, version = champion
    with world.serving() as client:
        before = client.predict(trip()).first
    spoil(world)
    with world.serving() as client:
        after = client.predict(trip()).first
        assert (after["version"], after["value"]) == (version, before["value"])
        ready = client.get("/readyz")
        assert (ready.status, ready.json["source"], ready.json["ledger_reachable"]) == (200, "disk", False)


def forge(world: World, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit every version of the kept table, with a checksum that matches."""
    kept = json.loads(world.table_path.read_text())
    for version in kept["table"]["versions"].values():
        change(version)
    kept["digest"] = content_hash(kept["table"])
    world.table_path.write_text(json.dumps(kept))


class Planted:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def planted(champion) -> tuple[World, Path, str]:
    """A world whose blobs hold a pickle that no version names; the file it touches; its digest."""
    world, _ = champion
    with world.serving():
        pass
    proof = world.root / "ran"
    return world, proof, FileBlobs(world.root / "blobs").put(pickle.dumps(Planted(proof)))


def test_a_pickle_that_was_written_into_the_kept_table_is_not_opened(planted):
    world, proof, digest = planted

    def as_pickle(version: dict[str, Any]) -> None:
        version["definition"] |= {"runtime": "native", "native_format": "pickle"}
        version["artifacts"]["native"] = digest

    forge(world, as_pickle)
    remove_ledger(world)
    with world.serving() as client:
        ready = client.get("/readyz")
        assert (ready.status, ready.json["left_out"]["air_time"]["code"]) == (503, "refused.untrusted_artifact")
        answer = client.predict(trip())
        assert (answer.status, "pickle" in answer.error["message"]) == (503, True)
    assert not proof.exists()


def test_a_pickle_that_was_written_into_the_kept_table_explains_nothing(planted):
    world, proof, digest = planted

    def as_pickle(version: dict[str, Any]) -> None:
        version["definition"]["native_format"] = "pickle"
        version["artifacts"]["native"] = digest

    forge(world, as_pickle)
    remove_ledger(world)
    with world.serving() as client:
        assert client.predict(trip()).status == 200, "ONNX needs no pickle"
        answer = client.predict(trip(), query="?explain=true")
        assert (answer.status, answer.error["code"]) == (403, "refused.untrusted_artifact")
    assert not proof.exists()


def test_what_was_written_into_the_kept_table_is_gone_once_the_ledger_can_be_read(champion):
    world, version = champion
    (other,) = world.found(1)
    with world.serving() as client:
        before = client.predict(trip()).first["value"]
    forge(world, lambda version: version.update(artifacts=dict(other.artifacts)))
    with ExitStack() as stack:
        with locked(world, "EXCLUSIVE"):
            client = stack.enter_context(world.serving())
            assert client.predict(trip()).first["value"] != before
        client.wait_until(lambda ready: ready["source"] == "ledger")
        assert client.predict(trip()).first["value"] == before
        assert client.predict(trip(), query="?explain=true").status == 200
    assert list(json.loads(world.table_path.read_text())["table"]["versions"]) == [version]
    assert json.loads(world.table_path.read_text())["table"]["versions"][version]["artifacts"] != other.artifacts


def test_a_version_that_runs_from_a_pickle_is_served_as_long_as_the_ledger_vouched_for_it_once(world):
    """In the process that read the ledger it stays; from disk it waits, and other models do not wait with it."""
    models = {"air_time": AirTime, "fares": Fares}
    (moody,), (fares,) = world.found(MOODY), world.found(0, model=Fares)
    world.point(Pointer("air_time", "champion", moody.id), Pointer("fares", "champion", fares.id))
    kept = {}
    with world.serving(models=models) as client:
        kept = {path: path.read_bytes() for path in world.root.glob("ledger.db*")}
        remove_ledger(world)
        client.wait_until(lambda ready: not ready["ledger_reachable"])
        assert client.predict(trip()).status == 200
    with world.serving(models=models) as client:
        ready = client.get("/readyz")
        assert (ready.status, ready.json["without_champion"]) == (503, ["air_time"])
        assert moody.id in ready.json["left_out"]["air_time"]["message"]
        assert client.predict(trip(), model="fares").status == 200
        for path, content in kept.items():
            path.write_bytes(content)
        client.wait_until(lambda ready: ready["ready"] and ready["source"] == "ledger" and not ready["left_out"])
        assert client.predict(trip()).status == 200


def test_a_kept_table_is_served_with_its_pickles_when_the_ledger_knows_them_but_names_what_cannot_be_loaded(world):
    moody, other = world.found(MOODY, 1)
    world.point(Pointer("air_time", "champion", moody.id))
    with world.serving():
        pass
    world.point(Pointer("air_time", "champion", other.id))
    blob = next(path for path in (world.root / "blobs").rglob(other.artifacts["onnx"]) if path.is_file())
    blob.unlink()
    with world.serving() as client:
        ready = client.get("/readyz").json
        assert (ready["ready"], ready["source"], list(ready["held_back"])) == (True, "ledger", ["air_time"])
        assert client.predict(trip()).first["version"] == moody.id
    kept = {path: path.read_bytes() for path in world.root.glob("ledger.db*")}
    remove_ledger(world)
    with world.serving() as client:
        assert client.get("/readyz").json["without_champion"] == ["air_time"]
        for path, content in kept.items():
            path.write_bytes(content)
        client.wait_until(lambda ready: ready["ready"] and ready["source"] == "ledger" and not ready["left_out"])
        assert client.predict(trip()).first["version"] == moody.id


def test_a_server_without_ledger_and_table_answers_503_and_serves_as_soon_as_there_is_a_release(world):
    with world.serving() as client:
        assert client.get("/healthz").status == 200
        assert client.get("/readyz").status == 503
        answer = client.predict(trip())
        assert (answer.status, answer.error["code"]) == (503, "not_ready")
        assert int(answer.headers["retry-after"]) >= 1
        (one,) = world.found(0)
        client.wait_for_generation(world.point(Pointer("air_time", "champion", one.id)))
        assert client.predict(trip()).status == 200


def test_a_corrupt_blob_leaves_the_old_version_in_force_until_it_is_whole_again(champion):
    world, version = champion
    (other,) = world.found(1)
    blob = next(path for path in (world.root / "blobs").rglob(other.artifacts["onnx"]) if path.is_file())
    whole = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(whole[:-1] + b"\0")
    with world.serving() as client:
        generation = world.point(Pointer("air_time", "champion", other.id))
        ready = client.wait_until(lambda ready: ready["held_back"])
        assert (ready["ready"], ready["ledger_reachable"], ready["models"]["air_time"]) == (
            True,
            True,
            {"champion": version},
        )
        assert ready["last_error"] == ready["held_back"]["air_time"]
        assert ready["last_error"]["code"] in ("store.corrupt", "not_found")
        assert client.predict(trip()).first["version"] == version
        assert client.metric("perdure_models_held_back") == 1
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(whole)
        ready = client.wait_until(lambda ready: not ready["held_back"])
        assert client.predict(trip()).first["version"] == other.id
        assert (ready["generation"], client.get("/readyz").json["last_error"]) == (generation, None)
        assert client.metric("perdure_models_held_back") == 0


def test_a_kept_table_whose_blob_is_damaged_is_not_served(champion):
    world, _ = champion
    with world.serving():
        pass
    remove_ledger(world)
    kept = json.loads(world.table_path.read_text())["table"]
    digest = Digest(next(iter(kept["versions"].values()))["artifacts"]["onnx"])
    blob = next(path for path in (world.root / "blobs").rglob(digest) if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(b"planted")
    with world.serving() as client:
        assert client.predict(trip()).status == 503


def test_a_table_that_cannot_be_kept_on_disk_is_in_force_all_the_same_and_kept_later(champion):
    world, version = champion
    world.table_path.parent.write_text("a file where the folder should be")
    with world.serving() as client:
        assert client.predict(trip()).first["version"] == version
        assert client.get("/readyz").json["last_error"]["code"] == "store"
        world.table_path.parent.unlink()
        client.wait_until(lambda ready: ready["last_error"] is None)
    assert world.table_path.exists()


def test_a_version_of_another_contract_is_not_put_in_force(champion):
    class Trip(Contract):
        trip_id: str
        origin: str  # any text now
        distance_mi: float
        scheduled_at: scoring_world.datetime
        seats: int | None = None

    world, _ = champion
    changed = type("Changed", (AirTime,), {"name": "air_time", "contract": Trip, "fit": AirTime.fit})
    with world.serving(models={"air_time": changed}) as client:
        ready = client.get("/readyz")
        assert (ready.status, ready.json["last_error"]["code"]) == (503, "declaration.model")
        assert "contract" in ready.json["last_error"]["message"]


def broken(world: World, version: Version) -> Version:
    """A registered version whose model is nowhere."""
    name = f"{version.asset}@bbbbbbbbbbbb"
    made = replace(version, id=name, artifacts={**version.artifacts, "onnx": "cd" * 32})
    ledger = SqliteLedger(world.ledger_path, project="test")
    with ledger.transaction(actor="test", at=scoring_world.SERVED_AT) as session:
        session.registry.put_version(made)
    ledger.close()
    return made


def test_an_unloadable_shadow_holds_back_the_release_of_its_model(champion):
    world, version = champion
    (one, other) = world.found(0, 1)
    lost = broken(world, other)
    with world.serving() as client:
        world.point(Pointer("air_time", "champion", other.id), Pointer("air_time", "shadow", lost.id))
        ready = client.wait_until(lambda ready: ready["held_back"])
        assert ready["models"]["air_time"] == {"champion": version}
        generation = world.point(Pointer("air_time", "shadow", one.id))
        ready = client.wait_until(lambda ready: ready["generation"] == generation and not ready["held_back"])
        assert ready["models"]["air_time"] == {"champion": other.id, "shadow": version}
        assert client.predict(trip()).first["version"] == other.id


BOTH = {"air_time": AirTime, "fares": Fares}


def test_an_unloadable_release_of_one_model_holds_back_no_other_also_over_a_restart_without_the_ledger(world):
    one, other = world.found(0, 1)
    fares, dearer = world.found(0, 1, model=Fares)
    lost = broken(world, other)
    world.point(Pointer("air_time", "champion", one.id), Pointer("fares", "champion", fares.id))
    with world.serving(models=BOTH) as client:
        world.point(Pointer("air_time", "champion", lost.id))
        client.wait_until(lambda ready: list(ready["held_back"]) == ["air_time"])
        generation = world.point(Pointer("fares", "champion", dearer.id))
        ready = client.wait_for_generation(generation)
        assert (ready["ready"], list(ready["held_back"]), ready["left_out"]) == (True, ["air_time"], {})
        assert client.predict(trip()).first["version"] == one.id
        assert client.predict(trip(), model="fares").first["version"] == dearer.id
        swaps = client.metric("perdure_swaps_total")
        client.wait_until(lambda _: client.metric("perdure_swap_errors_total") >= 3)
        assert client.metric("perdure_swaps_total") == swaps, "trying again swaps nothing"
    remove_ledger(world)
    with world.serving(models=BOTH) as client:
        assert client.predict(trip()).first["version"] == one.id
        assert client.predict(trip(), model="fares").first["version"] == dearer.id


def test_a_model_whose_only_release_cannot_be_loaded_is_left_out_alone(world):
    (other,), (fares,) = world.found(1), world.found(0, model=Fares)
    lost = broken(world, other)
    world.point(Pointer("air_time", "champion", lost.id), Pointer("fares", "champion", fares.id))
    with world.serving(models=BOTH) as client:
        ready = client.get("/readyz")
        assert (ready.status, ready.json["without_champion"], ready.json["held_back"]) == (503, ["air_time"], {})
        assert ready.json["left_out"]["air_time"]["code"] == "not_found"
        assert client.metric("perdure_models_left_out") == 1
        assert client.predict(trip(), model="fares").status == 200
        answer = client.predict(trip())
        assert (answer.status, "cd" * 32 in answer.error["message"]) == (503, True)


def test_a_blob_that_is_damaged_for_a_while_does_not_drop_its_model_from_the_table_on_disk(champion):
    world, version = champion
    with world.serving():
        pass
    (other,) = world.found(1)
    world.point(Pointer("air_time", "champion", other.id))
    hidden = world.root / "hidden"
    (world.root / "blobs").rename(hidden)
    with world.serving() as client:
        assert list(client.get("/readyz").json["left_out"]) == ["air_time"]
    shutil.rmtree(world.root / "blobs", ignore_errors=True)
    hidden.rename(world.root / "blobs")
    remove_ledger(world)
    with world.serving() as client:
        assert client.predict(trip()).first["version"] == version


def test_a_version_that_only_the_table_on_disk_knows_does_not_stand_in_for_one_of_the_ledger(champion):
    """Held back, a model answers by versions that the ledger knows, as the ledger has them."""
    world, version = champion
    other, third = world.found(1, 2)
    with world.serving() as client:
        before = client.predict(trip()).first["value"]
    world.point(Pointer("air_time", "champion", broken(world, third).id))
    forge(world, lambda version: version.update(artifacts=dict(other.artifacts)))
    with world.serving() as client:
        found = client.predict(trip()).first
        assert (found["version"], found["value"]) == (version, before)
    kept = json.loads(world.table_path.read_text())
    forged = kept["table"]["versions"][version] | {"id": "air_time@cccccccccccc"}
    kept["table"]["versions"] = {"air_time@cccccccccccc": forged}
    kept["table"]["pointers"][0]["version"] = "air_time@cccccccccccc"
    kept["digest"] = content_hash(kept["table"])
    world.table_path.write_text(json.dumps(kept))
    with world.serving() as client:
        assert list(client.get("/readyz").json["left_out"]) == ["air_time"]
        assert client.predict(trip()).status == 503


def serve_in_a_process(world: World) -> tuple[subprocess.Popen[bytes], Client]:
    command = [sys.executable, str(Path(scoring_world.__file__)), str(world.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    client = Client(process.stdout.readline().decode().strip())
    client.wait_until(lambda ready: ready["ready"])
    return process, client


def test_every_answered_prediction_is_in_the_log_after_kill_9_under_load(champion):
    world, _ = champion
    process, client = serve_in_a_process(world)
    answered: list[str] = []

    def ask() -> None:
        own, number = Client(client.url), 0
        while True:
            number += 1
            try:
                found = own.predict(trip(number), trip(number + 1)).json["predictions"]
            except (OSError, scoring_world.http.client.HTTPException):
                own.close()
                return
            answered.extend(each["id"] for each in found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    client.wait_until(lambda _: len(answered) > 300)
    os.kill(process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    process.communicate()
    client.close()
    recorded = [row.id for event in world.captured() if isinstance(event, Predictions) for row in event.rows]
    assert set(answered) <= set(recorded)
    assert len(recorded) == len(set(recorded))


def test_a_signal_stops_a_server_of_its_own_cleanly(champion):
    world, _ = champion
    process, client = serve_in_a_process(world)
    assert client.predict(trip()).status == 200
    client.close()
    process.terminate()
    assert process.wait(60) in (0, -signal.SIGTERM)
    process.communicate()
    assert len(world.captured()) == 1
