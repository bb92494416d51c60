"""Two control planes at once: one works, the other waits, and takes over when the first is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import planes

from perdure.core.errors import LeaseHeld
from perdure.loop.damage import BLOB_MISSING, CAPTURE_CORRUPT, CAPTURE_LOSS
from perdure.testing.world import START

_LOSSES = {CAPTURE_LOSS, CAPTURE_CORRUPT, BLOB_MISSING}
_PROGRAM = Path(__file__).parent / "planes.py"


@pytest.mark.slow
def test_planes_that_are_killed_at_random_instants_lose_and_double_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, _PROGRAM, tmp_path, "7"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    n_kills, n_events = map(int, done.stdout.split())
    assert n_kills == 12
    stores, world = planes.open_project(tmp_path).place.stores, planes.world()
    lake = stores.lake
    for name, key, rows in (
        ("orders", ["order_id"], world.orders),
        ("arrivals", ["order_id"], world.arrivals),
        ("sky", ["shop", "seen_at"], world.sky),
    ):
        kept = lake.read(f"sources/{name}").select(rows.columns)
        assert kept.sort(key).equals(rows.sort(key)), name
    ids = sorted(f"p_{number}_{row}" for number in range(n_events) for row in (0, 1))
    assert sorted(lake.read("captures/minutes")["prediction_id"]) == ids
    assert stores.capture.segments() == []
    with stores.ledger.read() as session:
        # The world's data ends days before the last round, so its objectives may be broken: nothing was lost or damaged.
        assert {incident.kind for incident in session.incidents.list()}.isdisjoint(_LOSSES)
        assert session.cursors.get("drain")["intent"] == []
        assert [cursor["intent"] for cursor in session.cursors.list("intake/").values()] == [None] * 3
    [view] = stores.online.views()
    newest = stores.online.get(view, ["north"])["north"]
    assert newest.event_us == int((planes.END.timestamp() - 3600) * 1e6)
    assert stores.ledger.verify().intact


def test_a_second_plane_of_the_same_process_waits_too(tmp_path: Path) -> None:
    """`up` in a thread and a `tick` beside it are two workers, not one."""
    first, second = planes.open_project(tmp_path), planes.open_project(tmp_path)
    with first.hold_lease(), pytest.raises(LeaseHeld):
        second.tick(at=START, wait_s=0.0)
    assert second.tick(at=START, wait_s=0.0).now == START
