"""The registry, the history of pointers, the evidence of a question, and cards: everything is told, and four eyes are two people's."""

from __future__ import annotations

import html
from types import SimpleNamespace

import console_world
import pytest

from perdure.surface.console.coding import code_change
from perdure.surface.sdk import open_project

ROY, REX, CID = "roy:reviewer", "rex:reviewer", "cid:reviewer"


def question(console, name="apr_1", as_=REX):
    return console.get(f"/api/approvals/{name}", as_=as_).json["data"]


def test_versions_stand_newest_first_with_their_pointers(console):
    rows = console.get("/api/registry").json["data"]["rows"]["rows"]
    assert [(row[0]["text"], row[3]["text"]) for row in rows] == [
        ("eta@new", "challenger 20%"),
        ("eta@old", "champion"),
    ]
    assert rows[0][0]["href"] == "/assets/model/eta/versions/eta%40new"


def test_versions_are_narrowed_by_kind_and_name(console):
    def names(query):
        return [row[0]["text"] for row in console.get(f"/api/registry?{query}").json["data"]["rows"]["rows"]]

    assert names("q=OLD") == ["eta@old"]
    assert names("kind=model") == ["eta@new", "eta@old"]
    assert names("kind=prompt") == []
    assert console.get("/registry?kind=modell").status == 400


def test_a_long_registry_goes_on_where_it_stopped(own_console):
    ann = open_project(own_console.project.folder, actor="ann")
    for n in range(60):
        ann.edit_card("eta", f"Text {n}", reason="words", at="2025-03-21")
    first = own_console.get("/api/registry").json["data"]["rows"]
    second = own_console.get(f"/api{first['more']}").json["data"]["rows"]
    seen = [row[0]["text"] for row in (*first["rows"], *second["rows"])]
    assert (len(first["rows"]), len(seen), len(set(seen)), second["more"]) == (50, 62, 62, "")


def test_the_history_tells_who_moved_what_when_and_why(console):
    told = console.get("/api/registry/eta/history").json["data"]
    assert [(row[1], row[4], row[5], row[6]) for row in told["rows"]["rows"]] == [
        ("challenger", "20%", "loop", "looks right"),
        ("champion", "100%", "eve", "first"),
    ]
    assert told["rows"]["rows"][0][7]["href"].startswith("/incidents/")
    assert told["back"] == []
    assert console.get("/registry/nothing/history").status == 404


def test_a_way_back_is_one_form_with_a_reason_for_who_may(own_console):
    from perdure.assets.version import CHAMPION, Pointer

    with own_console.project._ledger.transaction(
        actor="eve", at=own_console.boards.now().at, reason="by hand"
    ) as session:
        session.pointers.set([Pointer("eta", CHAMPION, "eta@new")])
    own_console.boards.refresh()
    page = own_console.get("/registry/eta/history", as_="engineer").text
    assert 'action="/assets/model/eta/rollback"' in page
    assert '<option value="eta@old">' in page
    assert 'action="/assets/model/eta/rollback"' not in own_console.get("/registry/eta/history", as_="viewer").text


def test_the_evidence_has_verdicts_slices_what_differs_and_who_may_answer(console):
    told = question(console)
    assert (told["candidate"], told["champion"], told["four_eyes"]) == ("eta@new", "eta@old", True)
    assert (
        told["gates"]["rows"] == [["Paired", "passed", "better by 2.1 min"]]
        or told["gates"]["rows"][0][2] == "better by 2.1 min"
    )
    (slice_of,) = told["slices"]["rows"]
    assert slice_of[:4] == ["shop=north", "mae", "1.200", "1.500"]
    assert (slice_of[4]["text"], slice_of[4]["tone"]) == ("-0.3 · better", "good")
    assert '+    "remedy": "retrain_recent",' in told["diff"]
    assert told["run_href"] == "/training/run_2"
    assert told["question"]["holders"] == ["rex", "roy", "loop"]
    assert told["question"]["why_not"] == ""


def test_the_evidence_says_whether_the_code_changed(console):
    assert question(console)["code"] == {"lines": [], "said": "The code is the same: abc."}


def test_the_evidence_has_the_lines_of_code_that_changed(own_console):
    """A reviewer reads what would run, and not a hash of it."""
    project = own_console.project
    one, two = (project.place.stores.blobs.put(f"Etaclass Eta(Model):\n    trees = {n}\n".encode()) for n in (100, 120))
    asked = SimpleNamespace(project=project)
    change = code_change(asked, console_world.version("one", code=one), console_world.version("two", code=two))
    assert change.lines[-2:] == ("-    trees = 100", "+    trees = 120")
    gone = code_change(asked, console_world.version("one", code="0" * 64), console_world.version("two", code=two))
    assert (gone.lines, gone.said.endswith("the text of eta@one was not kept when it was trained.")) == ((), True)


@pytest.mark.parametrize(
    ("name", "as_", "why"),
    [
        ("apr_1", "loop:reviewer", "You asked; 2 other people must answer: four eyes."),
        ("apr_2", REX, "Needs the role risk_officer: ask cid"),
        ("apr_1", "rex:viewer", "Answering needs the console's role reviewer"),
        ("apr_1", "eve:engineer", "Needs the role reviewer: ask rex, roy, loop"),
    ],
)
def test_who_may_not_answer_is_told_why_and_is_refused(own_console, name, as_, why):
    page = own_console.get(f"/approvals/{name}", as_=as_).text
    assert why in html.unescape(page)
    assert f'action="/approvals/{name}/approve"' not in page
    assert own_console.post(f"/approvals/{name}/approve", {"reason": "good"}, as_=as_).status == 403
    assert [each.answers for each in own_console.project.approvals()] == [(), ()]


def test_four_eyes_take_two_people_and_the_second_yes_decides(own_console):
    first = own_console.post("/approvals/apr_1/approve", {"reason": "better"}, as_=REX)
    assert first.status == 303
    told = question(own_console)
    assert (told["question"]["status"], told["question"]["n_yes"]) == ("open", 1)
    assert told["question"]["why_not"] == "You said yes; 1 other person must say yes too."
    own_console.post("/approvals/apr_1/approve", {"reason": "once more"}, as_=REX)
    assert question(own_console)["question"]["status"] == "open"
    assert question(own_console, as_=ROY)["question"]["why_not"] == ""
    own_console.post("/approvals/apr_1/approve", {"reason": "so do I"}, as_=ROY)
    decided = question(own_console)["question"]
    assert (decided["status"], [each["actor"] for each in decided["said"]]) == ("approved", ["rex", "roy"])
    again = own_console.post("/approvals/apr_1/reject", {"reason": "late"}, as_="loop:reviewer")
    assert again.status == 403


def test_one_no_rejects_and_needs_a_reason(own_console):
    assert own_console.post("/approvals/apr_2/reject", {"reason": " "}, as_=CID).status == 400
    own_console.post("/approvals/apr_2/reject", {"reason": "not before Easter"}, as_=CID)
    told = question(own_console, "apr_2")["question"]
    assert (told["status"], told["said"][0]["reason"]) == ("rejected", "not before Easter")


def test_a_question_is_named_whole(own_console):
    assert own_console.post("/approvals/apr/approve", {"reason": "x"}, as_=REX).status == 404
    assert own_console.get("/approvals/apr_").status == 404


def test_a_card_is_edited_versioned_and_taken_back(own_console):
    form = {"text": "## Limits\n\nNot for cargo.", "base": "", "reason": "asked"}
    assert own_console.post("/cards/eta", form, as_="scientist").headers["location"] == "/cards/eta"
    first = own_console.get("/api/cards/eta").json["data"]["written"]
    assert (first["parts"], first["actor"]) == ([["heading", "Limits"], ["paragraph", "Not for cargo."]], "sue")
    assert "Not for cargo." in own_console.get("/cards/eta/edit", as_="scientist").text
    own_console.post("/cards/eta", {"text": "Nothing.", "base": first["version"], "reason": "shorter"}, as_="engineer")
    assert len(own_console.get("/api/cards/eta/versions").json["data"]["rows"]["rows"]) == 2
    past = own_console.get(f"/api/cards/eta/versions/{first['version']}").json["data"]
    assert (past["holds"], "Minutes until an order arrives." in past["records"]) == (False, True)
    back = {"text": past["text"], "base": past["now_holds"], "reason": "as it was"}
    own_console.post("/cards/eta", back, as_="scientist")
    now = own_console.get("/api/cards/eta").json["data"]["written"]
    assert (now["parts"], now["reason"]) == (first["parts"], "as it was")
    assert "-Nothing." in own_console.get(f"/api/cards/eta/versions/{now['version']}").json["data"]["diff"]


def test_of_two_who_edit_at_once_the_second_is_told(own_console):
    form = {"text": "Mine.", "base": "", "reason": "words"}
    own_console.post("/cards/eta", form, as_="scientist")
    refused = own_console.post("/cards/eta", {**form, "text": "Yours."}, as_="engineer")
    assert refused.status in (409, 503)
    assert "sue changed the card of eta meanwhile" in html.unescape(refused.text)
    assert own_console.project.card_text("eta").text == "Mine."


def test_a_viewer_reads_a_card_and_edits_none(own_console):
    assert "/cards/eta/edit" not in own_console.get("/cards/eta", as_="viewer").text
    assert own_console.get("/cards/eta/edit", as_="viewer").status == 403
    assert own_console.post("/cards/eta", {"text": "x", "reason": "x"}, as_="viewer").status == 403


def test_a_card_of_nothing_is_not_found(console):
    for path in ("/cards/etta", "/cards/orders/edit", "/cards/eta/versions/eta@old", "/cards/nothing/versions"):
        assert console.get(path, as_="scientist").status in (400, 404)
