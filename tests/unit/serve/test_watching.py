"""One watcher for assets of every kind, and for callers' keys: each look by hand, without its thread."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.clock import machine_now, parse_at
from perdure.core.errors import Corrupt, NotFound, NotReady
from perdure.serve.live import Live
from perdure.serve.loader import Loader
from perdure.serve.routing import RoutingTable
from perdure.serve.table_file import read_kept, read_table, write_table
from perdure.serve.watcher import Watcher, WatcherParts
from perdure.stores.ledger.protocols import Key
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.keys import a_key

AT = parse_at("2026-01-01")
NEVER = None


@dataclass
class Plain:
    """Loads versions of a kind: `kind id`, with what it was told of trust; refuses what is marked as broken."""

    loaded: list[tuple[str, bool]] = field(default_factory=list)

    def load(self, version: Version, *, trusted: bool) -> str:
        if version.definition.get("broken"):
            raise Corrupt(f"{version.id} is broken.")
        self.loaded.append((version.id, trusted))
        return f"{version.kind} {version.id}"


@dataclass
class World:
    """A ledger, and watchers of it over one table file."""

    root: Path
    kinds: dict[str, Plain] = field(default_factory=lambda: {"route": Plain(), "guard": Plain()})
    away: bool = False

    def __post_init__(self) -> None:
        self.ledger = SqliteLedger(self.root / "ledger.db", project="p")
        self.table_path = self.root / "routing.json"

    def watcher(self, **declared: str) -> tuple[Watcher, Live]:
        """A new process."""
        live = Live()
        loader = Loader(self.kinds, declared or None)
        parts = WatcherParts(self._open, loader, live, {"support", "pii"}, self.table_path, 0.2)
        return Watcher(parts), live

    def _open(self) -> SqliteLedger:
        if self.away:
            raise NotReady("The ledger is away.")
        return SqliteLedger.open_read_only(self.root / "ledger.db", project="p")

    def release(self, kind: str, asset: str, number: int, artifacts: dict[str, str] | None = None, **told: Any) -> str:
        definition = {"number": number, **told}
        version = Version(f"{asset}@{number}", asset, kind, definition, artifacts or {}, {}, {}, AT)
        with self.ledger.transaction(actor="ann", at=AT) as session:
            session.registry.put_version(version)
            session.pointers.set([Pointer(asset, CHAMPION, version.id)])
        return version.id

    def keep(self, *keys: Key) -> None:
        with self.ledger.transaction(actor="ann", at=AT) as session:
            for key in keys:
                session.keys.put(key)


def good(number: int, **changes: Any) -> Key:
    return a_key(number, **{"expires_at": NEVER, **changes})


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.ledger.close()


def test_a_version_is_loaded_by_the_loader_of_its_kind(world: World) -> None:
    world.release("route", "support", 1)
    world.release("guard", "pii", 1)
    watcher, live = world.watcher()

    watcher.look()

    assert live.serving is not None
    assert live.serving.servables == {"support@1": "route support@1", "pii@1": "guard pii@1"}
    assert (world.kinds["route"].loaded, world.kinds["guard"].loaded) == ([("support@1", True)], [("pii@1", True)])


def test_a_move_loads_only_what_is_new(world: World) -> None:
    world.release("route", "support", 1)
    world.release("guard", "pii", 1)
    watcher, live = world.watcher()
    watcher.look()
    world.release("guard", "pii", 2)

    watcher.look()

    assert live.serving is not None
    assert live.serving.servables == {"support@1": "route support@1", "pii@2": "guard pii@2"}
    assert world.kinds["route"].loaded == [("support@1", True)]


def test_a_guard_that_cannot_be_loaded_is_held_back_alone(world: World) -> None:
    world.release("route", "support", 1)
    world.release("guard", "pii", 1)
    watcher, live = world.watcher()
    watcher.look()
    world.release("guard", "pii", 2, broken=True)
    world.release("route", "support", 2)

    watcher.look()

    assert live.serving is not None
    assert sorted(live.serving.servables) == ["pii@1", "support@2"]
    assert live.status.held_back["pii"]["code"] == "store.corrupt"


def test_a_version_of_an_unknown_kind_is_left_out(world: World) -> None:
    world.release("prompt", "support", 1)
    world.release("guard", "pii", 1)
    watcher, live = world.watcher()

    watcher.look()

    assert live.serving is not None
    assert list(live.serving.servables) == ["pii@1"]
    assert "kind of asset" in live.status.left_out["support"]["message"]


def test_no_version_of_another_kind_is_served_under_a_declared_name(world: World) -> None:
    world.release("guard", "support", 1)
    watcher, live = world.watcher(support="route", pii="guard")

    watcher.look()

    assert live.serving is not None
    assert live.serving.servables == {}
    assert live.status.left_out["support"]["message"] == (
        "Version support@1 is of a guard, but 'support' is declared as a route."
    )


def test_artifacts_are_trusted_while_the_ledger_vouches_for_them(world: World) -> None:
    world.release("guard", "pii", 1, artifacts={"learned": "ab" * 32})
    world.release("route", "support", 1)
    world.watcher()[0].look()
    world.kinds["guard"].loaded.clear()
    world.kinds["route"].loaded.clear()
    world.away = True
    watcher, live = world.watcher()
    watcher.look()
    assert live.status.source == "disk"
    assert (world.kinds["guard"].loaded, world.kinds["route"].loaded) == ([("pii@1", False)], [("support@1", True)])

    world.away = False
    watcher.look()

    assert live.status.source == "ledger"
    assert world.kinds["guard"].loaded == [("pii@1", False), ("pii@1", True)]


def test_keys_are_known_as_soon_as_the_ledger_has_them_and_gone_once_revoked(world: World) -> None:
    watcher, live = world.watcher()
    watcher.look()
    assert live.keys == {}
    world.keep(good(1), good(2))

    watcher.look()
    assert live.keys == {good(1).digest: good(1), good(2).digest: good(2)}

    world.keep(good(1, revoked_at=AT))
    watcher.look()
    assert live.keys == {good(2).digest: good(2)}


def test_a_key_that_is_over_is_no_key(world: World) -> None:
    over = good(2, expires_at=machine_now() - timedelta(seconds=1))
    later = good(3, expires_at=machine_now() + timedelta(days=1))
    world.keep(good(1), over, later)
    watcher, live = world.watcher()

    watcher.look()

    assert set(live.keys) == {good(1).digest, later.digest}


def test_keys_are_read_again_only_when_one_changed(world: World) -> None:
    world.keep(good(1))
    watcher, live = world.watcher()
    watcher.look()
    before = live.keys

    with world.ledger.transaction(actor="ann", at=AT) as session:
        session.audit.append("note", "support", {})
    watcher.look()

    assert live.keys is before


def test_known_keys_go_on_while_the_ledger_is_away_also_over_a_restart(world: World) -> None:
    world.release("route", "support", 1)
    world.keep(good(1, limits={"requests": 5}, admin=True), good(2, revoked_at=AT))
    watcher, live = world.watcher()
    watcher.look()
    moved = world.root / "ledger.db"
    for file in sorted(world.root.glob("ledger.db*")):
        file.rename(file.with_name(file.name.replace("ledger", "gone")))

    watcher.look()
    restarted, live_again = world.watcher()
    restarted.look()

    expected = {good(1).digest: good(1, limits={"requests": 5}, admin=True)}
    assert (live.status.ledger_reachable, live.keys) == (False, expected)
    assert (live_again.status.source, live_again.keys) == ("disk", expected)
    assert not moved.exists()


def test_a_key_that_was_revoked_meanwhile_is_gone_when_the_ledger_is_back(world: World) -> None:
    world.release("route", "support", 1)
    world.keep(good(1), good(2))
    world.watcher()[0].look()
    world.away = True
    watcher, live = world.watcher()
    watcher.look()
    assert set(live.keys) == {good(1).digest, good(2).digest}
    world.keep(good(1, revoked_at=AT))

    world.away = False
    watcher.look()

    assert set(live.keys) == {good(2).digest}
    assert set(read_kept(world.table_path, ["support"])[1]) == {good(2).digest}


def test_a_change_of_a_key_is_kept_on_disk_though_no_pointer_moved(world: World) -> None:
    world.release("route", "support", 1)
    watcher, _ = world.watcher()
    watcher.look()
    world.keep(good(1))

    watcher.look()

    table, keys = read_kept(world.table_path, ["support"])
    assert (list(table.routes), list(keys)) == (["support"], [good(1).digest])


def test_a_key_that_was_written_into_the_file_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "routing.json"
    write_table(path, RoutingTable(3), [good(1)])
    kept = json.loads(path.read_text())
    kept["table"]["keys"].append({**kept["table"]["keys"][0], "digest": "cd" * 32})
    path.write_text(json.dumps(kept))

    with pytest.raises(Corrupt, match="checksum"):
        read_kept(path, [])


def test_a_file_of_before_has_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "routing.json"
    data = {"generation": 3, "pointers": [], "versions": {}}
    path.write_text(json.dumps({"digest": content_hash(data), "table": data}))

    assert read_kept(path, []) == (read_table(path, []), {})


@pytest.mark.parametrize("keys", [7, [7], [{"id": "k"}], {"a": 1}])
def test_keys_that_are_none_make_the_file_corrupt(tmp_path: Path, keys: Any) -> None:
    path = tmp_path / "routing.json"
    data = {"generation": 3, "pointers": [], "versions": {}, "keys": keys}
    path.write_text(json.dumps({"digest": content_hash(data), "table": data}))

    with pytest.raises(Corrupt):
        read_kept(path, [])


def test_every_field_of_a_key_comes_back_from_disk(tmp_path: Path) -> None:
    keys = [good(1), replace(a_key(2), admin=True), good(3, revoked_at=AT)]
    write_table(tmp_path / "routing.json", RoutingTable(3), keys)

    assert list(read_kept(tmp_path / "routing.json", [])[1].values()) == keys
    with pytest.raises(NotFound):
        read_kept(tmp_path / "none.json", [])
