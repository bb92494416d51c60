"""Deeds from pages that are no longer true: what stands is told, what was written is given back, and nobody's task is left lying."""

from __future__ import annotations

import console_world
import pytest
from console_world import Console

from perdure.loop.release import Move
from perdure.stores.ledger.people_protocols import PersonRecord

AT = console_world.at(490)


def answered(console: Console, question: str, word: str, name: str = "rex"):
    return console.post(f"/api/approvals/{question}/{word}", {"reason": "so"}, as_=f"{name}:reviewer")


@pytest.fixture
def incident(own_console: Console) -> str:
    return own_console.project.incidents()[0].id


def closed(console: Console, incident: str) -> None:
    with console.project.place.stores.ledger.transaction(actor="loop", at=AT, reason="well") as session:
        session.incidents.close(incident, "Every objective is healthy again.")
    console.boards.refresh()


def put(console: Console, name: str, *duties: str, closed: bool = False) -> None:
    with console.project.place.stores.ledger.transaction(actor="adm", at=AT, reason="so") as session:
        session.people.put(PersonRecord(name, ("engineer",), AT, duties, closed_at=AT if closed else None))


class TestAnswersThatAreNotCounted:
    def test_a_no_after_ones_own_yes_is_refused_and_the_yes_stands(self, own_console):
        assert answered(own_console, "apr_1", "approve").status == 200
        answer = answered(own_console, "apr_1", "reject")
        assert answer.status == 403
        assert answer.json["error"]["message"] == "You said yes already, and that stands; the question is open."
        assert own_console.project.approvals()[0].status == "open"

    def test_a_yes_after_ones_own_no_does_not_say_that_it_is_approved(self, own_console):
        assert answered(own_console, "apr_1", "reject").status == 200
        answer = answered(own_console, "apr_1", "approve")
        assert answer.json["error"]["message"] == "You said no already, and that stands; the question is rejected."

    def test_the_same_answer_sent_twice_counts_once_and_is_told_as_it_stands(self, own_console):
        first, second = (answered(own_console, "apr_1", "approve").json for _ in range(2))
        assert first == second
        assert first["text"] == "Your yes is kept; 1 more reviewer must say yes."

    def test_a_yes_sent_again_after_another_persons_no_says_that_it_was_rejected(self, own_console):
        answered(own_console, "apr_1", "approve")
        answered(own_console, "apr_1", "reject", "roy")
        assert (
            answered(own_console, "apr_1", "approve").json["text"]
            == "Your yes was kept; the question is rejected by now."
        )

    def test_who_comes_late_is_told_that_it_is_decided(self, own_console):
        answered(own_console, "apr_1", "reject", "roy")
        late = own_console.post("/approvals/apr_1/approve", {"reason": "I read all of it"}, as_="rex:reviewer")
        assert late.status == 403
        assert "is rejected already" in late.text
        assert "I read all of it" not in late.text

    def test_what_was_written_is_given_back_where_the_page_was_ours(self, own_console):
        answered(own_console, "apr_1", "reject", "roy")
        form = {"reason": "I read <all> of it", "csrf": "the token"}
        late = own_console.post("/approvals/apr_1/approve", form, as_="rex:reviewer", sec_fetch_site="same-origin")
        assert "I read &lt;all&gt; of it" in late.text
        assert "the token" not in late.text


class TestTasksOfWhoHasGone:
    def test_a_hand_off_about_an_incident_that_was_closed_meanwhile_can_be_taken_off_the_list(
        self, own_console, incident
    ):
        own_console.post(f"/incidents/{incident}/hand-off", {"reason": "yours", "to": "person:cid"}, as_="engineer")
        closed(own_console, incident)
        [given] = own_console.project.hand_offs()
        answer = own_console.post(f"/api/hand-offs/{given.id}/take", {"reason": "mine"}, as_="cid:engineer")
        assert answer.json["text"] == "The incident was closed meanwhile: the hand-off is off the list."
        assert own_console.project.hand_offs() == []

    def test_an_incident_of_somebody_who_was_closed_is_nobodys_again(self, own_console, incident):
        put(own_console, "zoe", "on_call")
        own_console.project.acting("zoe").take_over(incident, reason="mine", at=AT)
        listed = own_console.get("/incidents", as_="engineer").text
        assert "zoe" in listed
        put(own_console, "zoe", "on_call", closed=True)
        assert "zoe" not in own_console.get("/incidents", as_="engineer").text
        assert own_console.get(f"/api/incidents/{incident}", as_="engineer").json["data"]["hands"]["taken"] is None
        taken = own_console.project.acting("eve").take_over(incident, reason="I have it", at=AT)
        entry = own_console.project.audit(limit=1000)[-1]
        assert (taken.actor, entry.facts["from"]) == ("eve", "zoe")

    def test_a_hand_off_to_somebody_who_was_closed_comes_back_to_the_giver(self, own_console, incident):
        put(own_console, "zoe", "on_call")
        own_console.post(f"/incidents/{incident}/hand-off", {"reason": "yours", "to": "person:zoe"}, as_="engineer")
        put(own_console, "zoe", "on_call", closed=True)
        [given] = own_console.project.hand_offs()
        assert (given.giver, given.to, given.reason) == ("eve", "eve", "zoe is here no more: yours")

    def test_where_the_giver_has_gone_too_it_is_for_who_is_on_call(self, own_console):
        for name in ("zoe", "yan"):
            put(own_console, name)
        own_console.project.acting("yan").hand_off("eta", to="zoe", reason="look", at=AT)
        for name in ("zoe", "yan"):
            put(own_console, name, closed=True)
        [given] = own_console.project.hand_offs()
        assert (given.to, given.duty) == ("", "on_call")


def test_of_two_who_edit_a_card_at_once_the_second_is_told_so_and_keeps_the_text(own_console):
    first = {"reason": "one", "text": "For meals.", "base": ""}
    assert own_console.post("/cards/eta", first, as_="engineer").status == 303
    second = {"reason": "two", "text": "Not for parcels.\n\nAsk dispatch.", "base": ""}
    answer = own_console.post("/cards/eta", second, as_="rex:reviewer", sec_fetch_site="same-origin")
    assert "<h1>Somebody was faster</h1>" in answer.text
    assert "eve changed the card of eta meanwhile" in answer.text
    assert "Not for parcels.\n\nAsk dispatch." in answer.text


def test_the_same_way_back_again_says_that_nothing_was_changed(own_console, monkeypatch):
    def stays(self, asset, **_):
        return Move(asset, "eta@old", "eta@old", 1)

    monkeypatch.setattr("perdure.surface.governing.Governing.rollback", stays)
    form = {"reason": "again", "to": "eta@old"}
    again = [own_console.post("/api/assets/model/eta/rollback", form, as_="engineer").json["text"]]
    with own_console.project.place.stores.ledger.transaction(actor="loop", at=AT, reason="over") as session:
        session.pointers.set([], remove=[("eta", "challenger")])
    own_console.boards.refresh()
    again.append(own_console.post("/api/assets/model/eta/rollback", form, as_="engineer").json["text"])
    assert again == [
        "The release of eta has ended: eta@old answers everything.",
        "Nothing was changed: eta@old answers everything.",
    ]
