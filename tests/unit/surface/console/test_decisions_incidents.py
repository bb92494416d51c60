"""The pages of incidents: the whole story is told, and what a person does about it stands in the ledger under their name."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def incident(console):
    return console.boards.now().incidents[0].id


@pytest.fixture
def own_incident(own_console):
    return own_console.boards.now().incidents[0].id


def newest(console, action):
    found = [each for each in console.project.audit(limit=1000) if each.action == action]
    return found[-1]


def test_the_story_tells_what_was_seen_why_what_was_weighed_proved_asked_and_moved(console, incident):
    told = console.get(f"/api/incidents/{incident}").json["data"]
    assert told["seen"]["rows"][0][:3] == ["mae over 7d <= 9", "all", "12.60 min"]
    assert [(each["name"], each["weight"]) for each in told["causes"]] == [("concept drift", 0.8)]
    assert {(each["action"], each["label"], each["chosen"]) for each in told["decisions"][0]["weighed"]} == {
        ("fit on the newest 60 days", "retrain_recent days=60", True),
        ("read the feed again", "resync", False),
    }
    assert told["gates"]["rows"][0][3]["text"] == "passed"
    assert [(each["id"], each["n_needed"]) for each in told["questions"]] == [("apr_1", 2), ("apr_2", 1)]
    assert told["moves"]["rows"][0][2] == "20%"
    assert [each["word"] for each in told["moments"]] == ["opened", "repair", "proved", "asked", "asked", "moved"]


def test_the_reading_is_drawn_around_the_incident_with_its_bound(console, incident):
    [picture] = console.get(f"/api/incidents/{incident}").json["data"]["pictures"]
    assert (picture["bound"], picture["unit"], picture["marks"][0]["shape"]) == (9.0, "min", "incident")
    assert picture["series"][0]["values"][-1] == pytest.approx(12.6)


def test_the_page_draws_the_story_and_its_command_is_the_twin(console, incident):
    page = console.get(f"/incidents/{incident}", as_="reviewer")
    assert page.status == 200
    for heading in (
        "What was seen",
        "Why: causes",
        "Plans that were weighed",
        "Verdicts of the gates",
        "Before and after",
    ):
        assert heading in page.text
    assert console.get(f"/api/incidents/{incident}").json["cli"] == f"perdure explain {incident}"


def test_an_incident_that_is_over_has_its_end_and_no_buttons(console):
    [row] = console.get("/api/incidents?state=closed").json["data"]["rows"]["rows"]
    page = console.get(row[0]["href"], as_="engineer").text
    assert "Every objective is healthy again, after 20h." in page
    assert "What you can do" not in page


def test_incidents_are_narrowed_by_state_asset_and_words(console):
    def n(query):
        return len(console.get(f"/api/incidents?{query}").json["data"]["rows"]["rows"])

    assert (n(""), n("state=all"), n("state=closed"), n("state=all&asset=eta")) == (1, 2, 1, 1)
    assert (n("state=all&q=BROKEN feed"), n("q=nothing like it")) == (1, 0)
    assert console.get("/incidents?state=opened").status == 400


def test_an_incident_that_is_not_there_is_not_found_and_no_beginning_of_one_is_taken(console, incident):
    assert console.get("/incidents/inc_1").status == 404
    assert console.get(f"/incidents/{incident[:-2]}").status == 404
    assert console.get("/incidents/eta").status == 404


def test_a_viewer_sees_no_button_but_who_may(console, incident):
    page = console.get(f"/incidents/{incident}", as_="viewer").text
    assert f'action="/incidents/{incident}/take"' not in page
    assert "need a role beside viewer" in page
    assert console.post(f"/incidents/{incident}/take", {"reason": "mine"}, as_="viewer").status == 403


def test_who_takes_over_is_on_the_page_and_in_the_ledger(own_console, own_incident):
    done = own_console.post(f"/incidents/{own_incident}/take", {"reason": "I know it"}, as_="engineer")
    assert (done.status, done.headers["location"]) == (303, f"/incidents/{own_incident}")
    entry = newest(own_console, "incident.taken")
    assert (entry.actor, entry.reason) == ("eve", "I know it")
    hands = own_console.get(f"/api/incidents/{own_incident}", as_="engineer").json["data"]["hands"]
    assert (hands["taken"]["actor"], hands["mine"]) == ("eve", True)


def test_a_snoozed_incident_leaves_the_inbox_and_says_until_when(own_console, own_incident):
    def rows():
        panels = own_console.get("/api/inbox?duty=on_call", as_="engineer").json["data"]["panels"]
        return panels[0]["table"]["rows"], panels[0]["note"]

    assert len(rows()[0]) == 1
    own_console.post(f"/incidents/{own_incident}/snooze", {"hours": "8", "reason": "later"}, as_="engineer")
    assert rows() == ([], "1 more asleep: they come back when their snooze ends.")
    assert (
        own_console.get(f"/api/incidents/{own_incident}").json["data"]["hands"]["snoozed"]["until"]
        == "2025-03-21T10:00:00Z"
    )
    own_console.post(f"/incidents/{own_incident}/wake", {"reason": "worse"}, as_="engineer")
    assert len(rows()[0]) == 1


@pytest.mark.parametrize("form", [{}, {"until": "2020-01-01"}, {"hours": "-1"}, {"until": "tomorrow"}])
def test_a_snooze_without_an_end_that_is_to_come_is_refused(own_console, own_incident, form):
    before = own_console.project._ledger.sequence()
    assert own_console.post(f"/incidents/{own_incident}/snooze", {**form, "reason": "x"}, as_="engineer").status in (
        400,
        422,
    )
    assert own_console.project._ledger.sequence() == before


def test_what_is_handed_off_stands_in_the_others_inbox_until_it_is_taken(own_console, own_incident):
    to = f"/incidents/{own_incident}/hand-off"
    assert own_console.post(to, {"to": "person:rex", "reason": "yours"}, as_="engineer").status == 303
    [given] = own_console.get("/api/inbox", as_="reviewer").json["data"]["given_to_me"]
    assert (given["giver"], given["reason"], given["href"]) == ("eve", "yours", f"/incidents/{own_incident}")
    assert own_console.get("/api/inbox", as_="engineer").json["data"]["given_to_me"] == []
    done = own_console.post(f"/hand-offs/{given['id']}/take", {"reason": "ok"}, as_="reviewer")
    assert done.headers["location"] == f"/incidents/{own_incident}"
    assert own_console.get("/api/inbox", as_="reviewer").json["data"]["given_to_me"] == []
    assert [newest(own_console, action).actor for action in ("handed_off", "hand_off.taken")] == ["eve", "rex"]


@pytest.mark.parametrize("to", ["", "person:nobody", "duty:nothing", "rex"])
def test_a_hand_off_to_nobody_is_refused(own_console, own_incident, to):
    done = own_console.post(f"/incidents/{own_incident}/hand-off", {"to": to, "reason": "x"}, as_="engineer")
    assert done.status in (404, 422)
    assert own_console.project.hand_offs() == []


def test_work_is_called_off_by_who_may(own_console, own_incident):
    assert own_console.post("/jobs/job_1/cancel", {"reason": "wrong"}, as_="reviewer").status == 403
    done = own_console.post("/jobs/job_1/cancel", {"reason": "wrong"}, as_="engineer")
    assert done.headers["location"] == f"/incidents/{own_incident}"
    entry = own_console.project.audit(limit=1000)[-1]
    assert (entry.actor, entry.reason) == ("eve", "wrong")


def test_a_page_writes_nothing(console, incident):
    before = console.project._ledger.sequence()
    for path in ("/incidents", f"/incidents/{incident}", "/registry", "/inbox", "/approvals/apr_1", "/cards/eta"):
        assert console.get(path, as_="reviewer").status == 200
    assert console.project._ledger.sequence() == before
