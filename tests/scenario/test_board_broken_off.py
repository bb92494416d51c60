"""What breaks off half way, in the lake or in the readings: the board goes on with the rest, and passes nothing over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from perdure import Perdure, Project
from perdure.assets.health import Reading
from perdure.core.clock import iso
from perdure.core.errors import StoreError
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.tiling import Tiles

AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path) -> Perdure:
    made = Perdure(tmp_path, project=Project.of("p"), actor="ann")
    written(made, "decay")
    return made


def written(project: Perdure, kind: str) -> None:
    with project.place.stores.ledger.transaction(actor="ann", at=AT, reason="so") as session:
        session.incidents.open("eta", kind, "it broke", {})
        session.cursors.put("round", iso(AT + timedelta(hours=1)))


def served(n: int) -> pl.DataFrame:
    at = [AT + timedelta(minutes=minute) for minute in range(n)]
    columns = {"served_at": at, "arm": ["champion"] * n, "prediction_id": [str(each) for each in at]}
    return pl.DataFrame(columns, schema_overrides={"served_at": pl.Datetime("us", "UTC")})


def requests(board) -> dict[str, int]:
    return {name: hours[0].n for name, hours in board.hours.items()}


def test_a_table_of_the_lake_that_cannot_be_read_holds_up_nothing_else_and_is_told_until_it_is_whole(project, tmp_path):
    boards, lake = ProjectBoards(project), project.place.stores.lake
    for model in ("eta", "price"):
        lake.append(f"captures/{model}", served(5))
    boards.refresh()
    assert requests(boards.refresh()) == {"eta": 5, "price": 5}
    for model in ("eta", "price"):
        lake.append(f"captures/{model}", served(2))
    newest = max(tmp_path.rglob("captures/eta/**/*.parquet"), key=lambda each: each.stat().st_mtime_ns)
    whole = newest.read_bytes()
    newest.write_bytes(b"no rows" * 100)
    written(project, "drift")
    told = [boards.refresh() for _ in range(9)]
    assert [each.kind for each in told[0].incidents] == ["decay", "drift"]
    assert {board.problem.partition(".")[0] for board in told[4:]} == {"Requests and spend are not counted anew"}
    assert told[4] is told[8]
    assert requests(told[8]) == {"eta": 5, "price": 7}
    newest.write_bytes(whole)
    mended = [boards.refresh() for _ in range(5)][-1]
    assert (mended.problem, requests(mended)) == ("", {"eta": 7, "price": 7})


class BreakingOff:
    """Readings of which the second page of changes cannot be read once."""

    def __init__(self) -> None:
        self.pages = {0: (1, ["first"]), 1: (2, ["second"]), 2: (2, [])}
        self.broken = True

    def newest(self):
        return 0, []

    def changed(self, after, limit):
        if after == 1 and self.broken:
            self.broken = False
            raise StoreError("The disk hiccups.")
        mark, names = self.pages[after]
        return mark, [reading(name) for name in names]


def reading(asset: str):
    from perdure.surface.console.judging import newest_of

    [made] = newest_of([Reading(asset, "mae", AT, AT - timedelta(days=7), AT, 1.0, 0.9, 1.1, 9, "", "", "v", {})])
    return made


def test_readings_that_break_off_half_way_are_read_again_from_where_that_began(monkeypatch):
    monkeypatch.setattr("perdure.surface.console.tiling._PAGE", 1)
    tiles, readings = Tiles(Project.of("p"), []), BreakingOff()
    tiles.read(readings)
    with pytest.raises(StoreError):
        tiles.read(readings)
    assert tiles.read(readings)
    assert [*tiles.newest] == ["first", "second"]
