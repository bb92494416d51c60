"""Routes made from pointers: who answers a key."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from perdure.assets.version import Pointer, Version
from perdure.core.errors import Corrupt, NotFound, StoreError
from perdure.serve.routing import RoutingTable, build_routes, share_point, version_ids
from perdure.serve.table_file import read_table, write_table


def version(name: str) -> Version:
    return Version(
        id=name,
        asset=name.partition("@")[0],
        kind="model",
        definition={"features": ["distance_mi"]},
        artifacts={"onnx": "ab" * 32},
        lineage={"seed": 1},
        metrics={"valid_mae": 9.5},
        created_at=datetime(2013, 3, 1, 5, 30, 0, 250, tzinfo=UTC),
    )


POINTERS = [
    Pointer("air_time", "champion", "air_time@1"),
    Pointer("air_time", "challenger", "air_time@2", 0.2),
    Pointer("air_time", "shadow", "air_time@3", 0.5),
    Pointer("weather_feed", "champion", "weather_feed@1"),
]


def test_a_route_has_the_champion_the_arms_and_the_shadow_of_a_served_model_only():
    routes = build_routes(POINTERS, ["air_time", "fares"])
    route = routes["air_time"]
    assert list(routes) == ["air_time"]
    assert (route.champion.version, route.arms[0].version) == ("air_time@1", "air_time@2")
    assert route.shadow is not None
    assert route.shadow.version == "air_time@3"
    assert version_ids(routes) == {"air_time@1", "air_time@2", "air_time@3"}


def test_a_model_without_a_champion_has_no_route():
    assert build_routes([Pointer("air_time", "challenger", "air_time@2", 0.5)], ["air_time"]) == {}


def test_an_arm_gets_its_share_of_the_keys():
    route = build_routes(POINTERS, ["air_time"])["air_time"]
    keys = [f"flight-{n}" for n in range(20_000)]
    assert sum(route.choose(key).name == "challenger" for key in keys) / len(keys) == pytest.approx(0.2, abs=0.01)
    assert sum(route.shadows(key) for key in keys) / len(keys) == pytest.approx(0.5, abs=0.015)


def test_a_share_of_zero_gets_nothing_and_shares_over_one_leave_nothing_to_the_champion():
    none = build_routes([*POINTERS[:1], Pointer("air_time", "challenger", "air_time@2", 0.0)], ["air_time"])
    all_of_it = [
        *POINTERS[:1],
        Pointer("air_time", "a", "air_time@2", 0.7),
        Pointer("air_time", "b", "air_time@3", 0.7),
    ]
    full = build_routes(all_of_it, ["air_time"])["air_time"]
    assert {none["air_time"].choose(f"{n}").name for n in range(200)} == {"champion"}
    assert {full.choose(f"{n}").name for n in range(200)} == {"a", "b"}


def test_a_key_keeps_its_point_over_processes_and_releases():
    assert share_point("air_time", "challenger", "2013-03-01/UA/1545") == 0.3737543700422514
    assert (
        len({share_point("air_time", "a", "x"), share_point("air_time", "b", "x"), share_point("fares", "a", "x")}) == 3
    )


def test_arms_say_what_they_really_get():
    shares = {"a": 0.1, "b": 0.2, "c": 0.7, "d": 0.4}
    route = build_routes(
        [POINTERS[0], *(Pointer("air_time", name, f"air_time@{name}", share) for name, share in shares.items())],
        ["air_time"],
    )["air_time"]
    assert [(arm.name, arm.share) for arm in route.arms] == [("a", 0.1), ("b", 0.2), ("c", pytest.approx(0.7))]
    assert route.champion.share == 0.0, "what rounding leaves is not a share"
    assert {route.choose(f"{n}").name for n in range(300)} == {"a", "b", "c"}


def test_the_shadow_sees_keys_of_every_arm():
    route = build_routes(POINTERS, ["air_time"])["air_time"]
    seen = [route.choose(key).name for key in map(str, range(4000)) if route.shadows(key)]
    assert seen.count("challenger") / len(seen) == pytest.approx(0.2, abs=0.03)


def table() -> RoutingTable:
    routes = build_routes(POINTERS, ["air_time"])
    return RoutingTable(12, routes, {name: version(name) for name in version_ids(routes)})


def test_a_table_comes_back_from_disk_as_it_was(tmp_path):
    path = tmp_path / "serve" / "routing.json"
    write_table(path, table())
    assert read_table(path, ["air_time"]) == table()
    assert [each.name for each in path.parent.iterdir()] == ["routing.json"]


def test_a_model_that_is_no_longer_declared_is_left_out_of_a_kept_table(tmp_path):
    write_table(tmp_path / "routing.json", table())
    kept = read_table(tmp_path / "routing.json", ["fares"])
    assert (kept.generation, kept.routes, kept.versions) == (12, {}, {})


def test_a_table_that_was_changed_on_disk_is_refused(tmp_path):
    path = tmp_path / "routing.json"
    write_table(path, table())
    path.write_text(path.read_text().replace('"share": 0.2', '"share": 0.9'))
    with pytest.raises(Corrupt, match="checksum"):
        read_table(path, ["air_time"])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"digest": 1, "table"', b"\xff\xfe"])
def test_a_file_that_is_no_table_is_corrupt(tmp_path, content):
    path = tmp_path / "routing.json"
    path.write_bytes(content)
    with pytest.raises(Corrupt):
        read_table(path, ["air_time"])


def test_a_table_that_was_never_kept_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="no routing table"):
        read_table(tmp_path / "routing.json", ["air_time"])


def test_a_disk_that_refuses_is_told_and_leaves_the_old_table(tmp_path):
    path = tmp_path / "routing.json"
    write_table(path, table())
    path.with_name(f".routing.json.{os.getpid()}").mkdir()
    with pytest.raises(StoreError, match="cannot be kept"):
        write_table(path, RoutingTable(13))
    assert read_table(path, ["air_time"]).generation == 12
