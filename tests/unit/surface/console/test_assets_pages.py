"""The pages of assets over the toy world, asked as people: what each shows, what it leads to, who may."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perdure.assets.version import CHAMPION, Pointer

PAGES = (
    "/assets",
    "/assets/model/eta",
    "/assets/model/eta/health",
    "/assets/model/eta/versions",
    "/assets/model/eta/versions/eta@new",
    "/assets/model/eta/compare?after=eta@new",
    "/assets/model/eta/drift",
    "/assets/model/eta/slices",
    "/assets/model/eta/lineage",
    "/assets/model/eta/contract",
    "/assets/source/orders",
    "/assets/source/orders/contract",
    "/assets/feature_view/trip",
    "/assets/feature_view/trip/lineage",
    "/assets/contract/Order",
    "/assets/contract/Order/contract",
)


def data(console, path, as_="engineer"):
    answer = console.get(f"/api{path}", as_=as_)
    assert answer.status == 200, answer.text
    return answer.json["data"]


def texts(table):
    return [[cell if isinstance(cell, str) else cell["text"] for cell in row] for row in table["rows"]]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_drawn_for_a_viewer_and_has_its_twin(console, path):
    page = console.get(path, as_="viewer")
    assert page.status == 200, page.text
    assert page.text.count("<h1") == 1
    assert " style=" not in page.text
    assert console.get(f"/api{path}", as_="viewer").status == 200


def test_looking_at_every_page_writes_nothing(console):
    before = console.project._ledger.sequence()
    for path in (*PAGES, "/assets/model/eta/predictions"):
        assert console.get(path, as_="engineer").status == 200
    assert console.project._ledger.sequence() == before


def test_the_list_is_filtered_by_kind_state_and_text_the_worst_first(console):
    every = texts(data(console, "/assets")["assets"])
    assert every[0][2].startswith("broken")
    assert {row[1] for row in every} >= {"model", "source", "feature view", "contract"}
    assert {row[1] for row in texts(data(console, "/assets?kind=model")["assets"])} == {"model"}
    assert [row[0] for row in texts(data(console, "/assets?q=ETA")["assets"])] == ["eta"]
    assert data(console, "/assets?q=nobody")["assets"]["empty"].startswith("No asset fits")
    assert data(console, "/assets?kind=graph")["n"] == 0
    assert console.get("/assets?state=ill").status == 400


def test_an_unknown_asset_is_told_with_the_nearest(console):
    answer = console.get("/api/assets/model/etta")
    assert answer.status == 404
    assert "eta" in answer.json["error"]["hint"]
    assert console.get("/assets/source/eta").status == 404
    assert console.get("/assets/source/orders/drift").status == 404


def test_the_overview_tells_state_owner_incident_and_what_answers(console):
    found = data(console, "/assets/model/eta")
    head = found["head"]
    assert (head["state"], head["owner"]) == ("broken", "dispatch")
    assert head["incident"].startswith("/incidents/")
    assert head["champion"]["href"] == "/assets/model/eta/versions/eta%40old"
    assert head["moving"]
    assert {row[0] for row in texts(found["pointers"])} == {"champion", "challenger"}
    assert any("incident" in row[1] for row in texts(found["events"]))
    assert found["picture"]["n_whole"] == 20
    assert any(mark["shape"] == "incident" for mark in found["picture"]["marks"])


def test_only_who_may_pull_the_brakes_sees_the_forms(console):
    viewer, engineer = console.get("/assets/model/eta", as_="viewer"), console.get("/assets/model/eta", as_="engineer")
    assert 'action="/assets/model/eta/pause"' not in viewer.text
    assert "Pausing and going back is for" in viewer.text
    assert 'action="/assets/model/eta/pause"' in engineer.text


def test_a_window_bounds_the_chart_and_an_earlier_one_lies_beside_it(console):
    whole = data(console, "/assets/model/eta/health?signal=mae")["picture"]
    window = "from=2025-03-11T00:00Z&to=2025-03-16T00:00Z"
    part = data(console, f"/assets/model/eta/health?signal=mae&{window}&against=before")["picture"]
    assert len(whole["at_us"]) == 20
    assert len(part["at_us"]) == 6
    now, before = (series["values"] for series in part["series"])
    assert now[0] == pytest.approx(5.0 + 0.4 * 9)
    assert before[0] == pytest.approx(5.0 + 0.4 * 4)
    assert part["bound"] == 9.0


def test_a_slice_has_its_own_chart_and_its_own_bound(console):
    found = data(console, "/assets/model/eta/health?signal=mae&slice=shop%3Dnorth")["picture"]
    assert found["bound"] == 11.0
    assert found["series"][0]["values"][0] == pytest.approx(6.0)


def test_a_window_that_ends_before_it_begins_is_refused(console):
    answer = console.get("/api/assets/model/eta/health?from=2025-03-16T00:00Z&to=2025-03-11T00:00Z")
    assert answer.status == 400


def test_a_version_tells_its_run_and_what_it_is_compared_with(console):
    path = "/assets/model/eta/versions/eta@new"
    found = data(console, path)
    assert found["run"] == "/training/run_2"
    assert found["compare"].endswith("before=eta%40old&after=eta%40new")
    assert [row[0] for row in found["importance"]["rows"]] == ["km", "shop"]
    assert data(console, "/assets/model/eta/versions/eta@old")["compare"] == ""


def test_a_way_back_leads_to_what_was_the_champion_once_and_never_to_a_candidate(own_console):
    """A candidate would be released past those who must say yes."""
    assert data(own_console, "/assets/model/eta/versions/eta@new")["rollback"] == ""
    refused = own_console.post("/api/assets/model/eta/rollback", {"reason": "x", "to": "eta@new"}, as_="bot:engineer")
    assert (refused.status, "never answered for eta" in refused.text) == (403, True)
    moment = own_console.boards.now().at
    with own_console.project._ledger.transaction(actor="eve", at=moment, reason="by hand") as session:
        session.pointers.set([Pointer("eta", CHAMPION, "eta@new")])
    own_console.boards.refresh()
    assert data(own_console, "/assets/model/eta/versions/eta@old")["rollback"] == "/assets/model/eta/rollback"
    assert data(own_console, "/assets/model/eta/versions/eta@old", as_="viewer")["rollback"] == ""


def test_a_release_under_way_is_told_with_the_way_to_end_it(own_console):
    page = own_console.get("/assets/model/eta", as_="engineer").text
    assert "eta@new has 20% of the traffic" in page
    assert "End the release" in page
    assert "End the release" not in own_console.get("/assets/model/eta", as_="viewer").text
    with own_console.project._ledger.transaction(
        actor="loop", at=own_console.boards.now().at, reason="over"
    ) as session:
        session.pointers.set([], remove=[("eta", "challenger")])
    own_console.boards.refresh()
    assert data(own_console, "/assets/model/eta")["brakes"]["end_trial"] == ""


def test_a_version_whose_release_is_asked_leads_to_the_question(own_console):
    asked = own_console.boards.now().questions[0]
    with own_console.project._ledger.transaction(
        actor="sue", at=own_console.boards.now().at, reason="apply"
    ) as session:
        session.approvals.ask(replace(asked, id="apr_3", key="apply/eta", facts={"version": "eta@new"}))
    own_console.boards.refresh()
    assert data(own_console, "/assets/model/eta/versions/eta@new")["question"] == "/approvals/apr_3"


def test_two_versions_are_compared_line_by_line(console):
    found = data(console, "/assets/model/eta/compare?before=eta@old&after=eta@new")
    assert '+  "remedy": "retrain_recent",' in found["lineage"]["lines"]
    assert found["definition"]["lines"] == []
    assert found["code"]["same"].startswith("The code is the same")
    assert console.get("/api/assets/model/eta/compare?before=eta@old").status == 400
    assert console.get("/api/assets/model/eta/compare?before=eta@old&after=eta@none").status == 404


def test_lineage_goes_from_the_contract_to_the_model(console):
    found = data(console, "/assets/model/eta/lineage")["lineage"]
    assert ["feature_view:trip", "model:eta"] in found["lines"]
    assert ["source:orders", "model:eta"] in found["lines"]
    assert [node["id"] for node in found["nodes"] if node["here"]] == ["model:eta"]
    down = data(console, "/assets/source/orders/lineage")["lineage"]
    assert "model:eta" in {node["id"] for node in down["nodes"]}


def test_lineage_ends_with_whom_health_is_owed_to(console):
    found = data(console, "/assets/source/orders/lineage")["lineage"]
    owed = [node for node in found["nodes"] if node["kind"] == "stakeholder"]
    assert [(node["id"], node["href"]) for node in owed] == [(f"stakeholder:{owed[0]['text']}", "")]
    assert ["model:eta", owed[0]["id"]] in found["lines"]


def test_a_contract_lists_its_fields(console):
    found = data(console, "/assets/model/eta/contract")
    assert [row[0] for row in texts(found["fields"])] == ["order_id", "shop", "ordered_at", "km"]
    assert [row[0] for row in texts(found["features"])] == ["km", "shop"]
    assert found["place"].startswith("declared.py:")


def test_captured_rows_are_for_who_may_see_bodies(console):
    assert console.get("/assets/model/eta/predictions", as_="viewer").status == 403
    assert console.get("/predictions/eta/p_1", as_="viewer").status == 403
    assert "Predictions" not in {
        tab["words"] for tab in data(console, "/assets/model/eta", as_="viewer")["head"]["tabs"]
    }
    assert data(console, "/assets/model/eta/predictions")["predictions"]["rows"] == []
    assert console.get("/api/predictions/eta/p_1", as_="engineer").status == 404


def test_every_link_of_the_area_leads_to_a_page(console):
    """Links that pages of assets make to pages of assets are answered, all but those that may be refused."""
    links = set()
    for path in PAGES:
        links |= set(re.findall(r'href="(/assets[^"]*)"', console.get(path, as_="engineer").text))
    assert len(links) > 20
    for link in links:
        assert console.get(link.replace("&amp;", "&"), as_="engineer").status == 200, link


def test_an_engineer_pauses_and_resumes_under_their_name(own_console):
    answer = own_console.post("/api/assets/model/eta/pause", {"reason": "looking"}, as_="bot:engineer")
    assert answer.status == 200, answer.text
    own_console.boards.refresh()
    assert "looking (bot" in data(own_console, "/assets/model/eta")["head"]["paused"]
    again = own_console.post("/api/assets/model/eta/resume", {"reason": "looked"}, as_="bot:engineer")
    assert again.json["data"]["was_paused"] is True
    own_console.boards.refresh()
    assert data(own_console, "/assets/model/eta")["head"]["paused"] == ""


def test_the_page_after_a_deed_shows_what_was_done(own_console):
    """Who has just pulled a brake is not offered it again."""
    own_console.post("/api/assets/model/eta/pause", {"reason": "stock-taking"}, as_="bot:engineer")
    assert "stock-taking" in data(own_console, "/assets/model/eta")["head"]["paused"]


def test_a_window_in_which_nothing_was_measured_asks_for_a_longer_one(console):
    page = console.get("/assets/model/eta/health?from=2025-03-11T01:00Z&to=2025-03-11T02:00Z").text
    assert "take a longer one" in page
    assert "Drag over the chart" not in page


def test_brakes_are_refused_to_viewers_and_without_a_reason(own_console):
    before = own_console.project._ledger.sequence()
    assert own_console.post("/api/assets/model/eta/pause", {"reason": "x"}, as_="bot:viewer").status == 403
    assert own_console.post("/api/assets/model/eta/rollback", {"reason": "x"}, as_="bot:viewer").status == 403
    assert own_console.post("/api/assets/model/eta/pause", {}, as_="bot:engineer").status in (400, 422)
    assert own_console.project._ledger.sequence() == before


def test_a_way_back_to_a_version_that_does_not_load_is_refused_and_moves_nothing(own_console):
    answer = own_console.post("/api/assets/model/eta/rollback", {"reason": "x", "to": "eta@old"}, as_="bot:engineer")
    assert answer.status >= 400
    own_console.boards.refresh()
    assert data(own_console, "/assets/model/eta")["head"]["champion"]["text"] == "eta@old"
