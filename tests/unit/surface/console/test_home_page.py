"""The first page: what waits for whom, the health of everything, what is going on; and what it says of nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import console_world
import pytest

from perdure import Perdure, Project
from perdure.core.clock import to_us
from perdure.stores.ledger.protocols import Job
from perdure.surface.console.board import Hour, Tile
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.home.health_map import health_map
from perdure.surface.console.home.page import home
from perdure.surface.console.home.waiting import N_SHOWN, waits_of
from perdure.surface.console.records import Asked, Person

AT = console_world.at(482)


def asked(console, name: str = "ann", *roles: str, duties=(), board=None) -> Asked:
    person = Person(name, frozenset(roles or ("viewer",)), duties)
    return Asked(console.project, board or console.boards.now(), person, AT, {}, {})


def tiles(n: int, state: str = "healthy", kind: str = "model", incident: str = "") -> list[Tile]:
    return [
        Tile(kind, f"{state.replace(' ', '_')}_{k:05d}", "", state, "", "", False, incident, "", declared=True)
        for k in range(n)
    ]


class TestWaiting:
    def test_a_reviewer_is_asked_what_they_may_answer_and_nothing_else(self, console):
        found = waits_of(asked(console, "rex", "reviewer"))
        assert [(each.what, each.href) for each in found.shown] == [("question", "/approvals/apr_1")]
        assert "2 yeses missing" in found.shown[0].next
        assert waits_of(asked(console, "ann")).shown == ()

    def test_incidents_come_by_duty_and_what_the_loop_does_stands_beside(self, console):
        [found] = waits_of(asked(console, duties=("on_call",))).shown
        assert (found.what, found.text.startswith("eta: concept drift")) == ("incident", True)
        assert found.next.startswith("the loop: repair: fit on the newest 60 days; waits for apr_1")
        assert len(waits_of(asked(console, duties=("data_scientist",))).shown) == 1
        assert waits_of(asked(console, duties=("data_engineer", "prompt_author"))).shown == ()

    def test_what_somebody_took_is_theirs_alone_and_what_is_snoozed_is_nobodys(self, own_console):
        [incident] = own_console.boards.now().incidents
        project = own_console.project
        project.acting("bob").take_over(incident.id, reason="mine", at=AT)
        assert waits_of(asked(own_console, "ann", duties=("on_call",))).shown == ()
        [mine] = waits_of(asked(own_console, "bob")).shown
        assert mine.next.startswith("you took it over")
        project.snooze(incident.id, until=AT + timedelta(hours=2), reason="later", at=AT)
        assert waits_of(asked(own_console, "bob")).shown == ()

    def test_work_that_failed_waits_for_the_engineer(self, console):
        job = Job("job_9", "repair", "k", "eta", "running", "c", AT, error="no room left")
        board = replace(console.boards.now(), jobs=[job])
        [found] = waits_of(asked(console, duties=("ml_engineer",), board=board)).shown
        assert (found.what, found.href) == ("work", "/assets/model/eta")

    def test_of_much_the_first_are_shown_and_the_rest_is_counted(self, console):
        board = console.boards.now()
        [incident] = board.incidents
        many = [replace(incident, id=f"inc_{n}", opened_at=AT - timedelta(hours=n)) for n in range(20)]
        found = waits_of(asked(console, duties=("on_call",), board=replace(board, incidents=many)))
        assert (len(found.shown), found.n, found.more) == (N_SHOWN, 20, "/inbox")
        assert found.shown[0].at < found.shown[1].at

    def test_who_has_no_duty_is_told_so_where_something_is_open(self, console):
        assert "Duties bring you" in waits_of(asked(console)).told
        quiet = replace(console.boards.now(), incidents=[], questions=[])
        assert waits_of(asked(console, board=quiet)).told == "Nothing waits for you."


class TestHealthMap:
    def test_few_assets_have_a_tile_each_the_worst_first(self, console):
        groups = {group.kind: group for group in health_map(console.boards.now())}
        assert [*groups] == ["model", "feature_view", "source"]
        [eta] = groups["model"].tiles
        assert (eta.href, eta.state) == ("/assets/model/eta", "broken")
        assert "incident; release under way" in eta.text
        assert groups["model"].mosaic is None

    def test_of_thousands_those_that_need_somebody_have_tiles_and_all_are_in_the_mosaic(self, console):
        made = tiles(3, "broken") + tiles(2, "stale") + tiles(9_000) + tiles(500, "not measured")
        [group] = health_map(replace(console.boards.now(), tiles=made))
        assert [each.state for each in group.tiles] == ["broken"] * 3 + ["stale"] * 2
        assert [(count.state, count.n) for count in group.counts] == [
            ("broken", 3), ("stale", 2), ("healthy", 9_000), ("not measured", 500),
        ]  # fmt: skip
        assert group.counts[0].href == "/assets?kind=model&state=broken"
        assert group.rest == "9,500 more are in the picture alone"
        assert group.mosaic is not None
        assert group.mosaic.told == "3 broken, 2 stale, 9,000 healthy, 500 not measured"
        assert sum(_squares(each.line) for each in group.mosaic.squares) == 9_505

    def test_of_very_many_broken_ones_those_with_an_incident_come_first(self, console):
        made = [*tiles(300, "broken"), replace(tiles(1, "broken", incident="inc_1")[0], name="zebra")]
        [group] = health_map(replace(console.boards.now(), tiles=made))
        assert len(group.tiles) == 24
        assert group.tiles[0].name == "zebra"


class TestPage:
    def test_it_answers_and_its_twin_says_the_same(self, console):
        page = console.get("/", as_="reviewer")
        assert page.status == 200
        for text in ("Waits for you", "Release eta@new of eta", "/incidents/inc_", "eta@new", "20%", "perdure status"):
            assert text in page.text, text
        assert page.text.index("Waits for you") < page.text.index("Health of every asset")
        twin = console.get("/api", as_="reviewer").json
        assert twin["data"]["waits"]["n"] == 1

    def test_requests_and_spend_are_charts_with_what_the_day_before_was(self, console):
        hours = [
            Hour(to_us(AT - timedelta(hours=n)) // 3_600_000_000 * 3_600_000_000, "route", "help", 10, 1, 0.5)
            for n in range(48)
        ]
        view = home(asked(console, board=replace(console.boards.now(), hours={"help": hours[::-1]})))
        traffic = view.data.traffic
        assert (traffic.n_day, traffic.n_day_before) == (240, 230)
        assert traffic.told == "240 in the last 24 hours, 230 in the 24 before; 24 failed"
        assert traffic.money_told.startswith("$12.00")
        assert [each.name for each in traffic.requests.series] == ["requests", "failed"]
        assert len(traffic.requests.at_us) == 168

    def test_ten_thousand_assets_stay_below_the_bar(self, console, monkeypatch):
        many = tiles(200, "broken") + tiles(9_000) + tiles(800, "stale", kind="source")
        board = replace(console.boards.now(), tiles=many)
        monkeypatch.setattr(console.boards, "_board", board)
        page = console.get("/")
        assert page.status == 200
        assert len(page.body) < 120_000

    def test_texts_of_others_are_text(self, tmp_path):
        hostile = console_world.Texts(
            owner="<img src=x onerror=alert(1)>", reason="</script><script>", summary="<div hx-get=/people>"
        )
        shown = (
            console_world.open_console(console_world.make_world(tmp_path / "shop", hostile))
            .get("/", as_="reviewer")
            .text
        )
        assert "&lt;/script&gt;&lt;script&gt;" in shown
        assert "<img src=x" not in shown
        assert "<div hx-get=/people>" not in shown

    def test_a_project_without_anything_says_what_to_do(self, tmp_path):
        project = Perdure(tmp_path, project=Project.of("new"))
        board = ProjectBoards(project).refresh()
        view = home(Asked(project, board, Person("ann", frozenset({"viewer"})), AT, {}, {}))
        assert view.data.map == ()
        for table in (view.data.incidents, view.data.releases, view.data.loop.entries):
            assert not table.rows
            assert "perdure" in table.empty
        assert "perdure up" in view.data.loop.told
        assert view.data.traffic.requests is None


@pytest.mark.parametrize("words", ["loop.decide", "jobs.put"])
def test_steps_of_others_are_left_to_the_ledgers_own_page(console, words):
    entries = console.boards.now().recent
    assert any(entry.action == words for entry in entries)
    shown = home(asked(console)).data.loop.entries.rows
    assert any(row[1] == "decided" for row in shown)
    assert not any("jobs" in str(row[1]) for row in shown)


def _squares(line: str) -> int:
    """How many squares the dashes of a path are."""
    n = 0
    for part in line.split("M")[1:]:
        start, _, end = part.partition(" ")
        n += (int(end.partition("H")[2]) - int(start)) // 14
    return n


def test_the_area_is_one_page_and_no_deed():
    from perdure.surface.console import home as area

    assert [page.path for page in area.PAGES] == ["/"]
    assert area.DEEDS == ()
    assert (Path(area.__file__).parents[1] / "templates" / area.PAGES[0].template).is_file()
