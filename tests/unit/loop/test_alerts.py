"""What is told of incidents, once and in its order; a sender that takes notes stands for the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.core.clock import machine_now
from perdure.core.errors import BadSettings
from perdure.core.settings import AlertSettings, Settings
from perdure.loop.alerts import DELIVERED, FAILED, Alerts, Answer, Outbox, find_outbox
from perdure.stores.ledger.protocols import Approval
from perdure.surface.compose import make_alerts, open_ledger, open_place
from perdure.testing.clock import SettableClock

T0 = datetime(2025, 1, 1, tzinfo=UTC)
OK, DOWN, GONE = Answer(204), Answer(503), Answer(410)


@dataclass
class Notes:
    """A sender that writes down what it was given, and answers as it is told, at last with its newest answer."""

    answers: list[Answer] = field(default_factory=lambda: [OK])
    sent: list[tuple[str, int, Any]] = field(default_factory=list)

    def send(self, delivery, attempt, body):
        self.sent.append((delivery, attempt, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def events(self):
        return [[each["event"] for each in body["events"]] for _, _, body in self.sent]

    @property
    def headlines(self):
        return [(body["asset"], body["event"]) for _, _, body in self.sent]


class Desk:
    """A ledger in which things happen, and whoever tells of them. Machine time stands still until it is moved."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = AlertSettings("http://x/", "json", "SECRET", **settings)
        self.notes = Notes()
        self.clock = SettableClock(machine_now())
        self.place = open_place(folder, Settings(), "loop", open_ledger(folder, Settings()))
        self.alerts = self.restarted()
        self.round()

    def restarted(self):
        self.alerts = Alerts(self.settings, self.notes, lambda _session, each: f"mending {each.asset}", self.clock)
        return self.alerts

    def round(self, after_s=0.0):
        self.clock.advance(timedelta(seconds=after_s))
        self.alerts.run(self.place, T0)

    def write(self):
        return self.place.transaction(T0, "test")

    def open(self, asset="boiler", *causes, **facts):
        told = [{"name": name, "weight": 0.5, "text": f"It {name}.", "evidence": {"by": 7.0}} for name in causes]
        with self.write() as session:
            return session.incidents.open(asset, "broken", f"{asset} is off.", {"causes": told, **facts}).id

    def lead(self, incident, *causes):
        told = [{"name": name, "weight": 0.5, "text": f"It {name}.", "evidence": {}} for name in causes]
        with self.write() as session:
            session.incidents.update(incident, facts={"causes": told})

    def close(self, incident):
        with self.write() as session:
            session.incidents.close(incident, "healthy again")

    def append(self, action, asset, **facts):
        with self.write() as session:
            session.audit.append(action, asset, facts)

    def decide(self, incident, choice, *reasons, asset="boiler"):
        decision = {"choice": choice, "reasons": reasons, "actions": [{"text": "correct it"}]}
        self.append("loop.decide", asset, incident=incident, decision=decision)

    def outbox(self) -> Outbox:
        with self.place.stores.ledger.read() as session:
            found = find_outbox(session)
        assert found is not None
        return found

    def recorded(self):
        with self.place.stores.ledger.read() as session:
            return [(each.action, each.facts) for each in session.audit.list(subject="alerts", limit=10_000)]


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    assert desk.place.stores.ledger.verify().intact


def test_an_incident_is_told_when_it_opens_and_when_it_closes_and_never_again(desk):
    incident = desk.open()
    desk.round()
    desk.round(1)
    desk.close(incident)
    desk.round()
    desk.round(1)
    assert desk.notes.headlines == [("boiler", "opened"), ("boiler", "closed")]
    opened, closed = (body for _, _, body in desk.notes.sent)
    assert (opened["summary"], opened["doing"], opened["closed_at"]) == ("boiler is off.", "mending boiler", None)
    assert (opened["incident"], opened["look"]) == (incident, f"perdure explain {incident}")
    assert (closed["events"][0]["text"], closed["doing"]) == ("healthy again", "")


def test_what_happens_to_an_incident_in_one_round_is_one_message(desk):
    first, second = desk.open("boiler", "moved"), desk.open("kettle")
    desk.decide(first, "repair")
    desk.round()
    assert desk.notes.headlines == [("boiler", "opened"), ("kettle", "opened")]
    assert desk.notes.events == [["opened", "decided"], ["opened"]]
    assert {body["incident"] for _, _, body in desk.notes.sent} == {first, second}


def test_each_cause_that_leads_is_told_once_however_often_the_ranks_swap(desk):
    incident = desk.open("boiler", "moved", "aged")
    for causes in [("moved",), ("aged", "moved"), ("moved", "aged"), ("aged",), ("moved",)]:
        desk.lead(incident, *causes)
        desk.round()
    assert desk.notes.events == [["opened"], ["cause_changed"]]
    assert desk.notes.sent[1][2]["events"][0]["text"] == "It aged."


def test_a_cause_that_is_found_after_the_opening_is_told(desk):
    incident = desk.open("boiler")
    desk.round()
    desk.lead(incident, "moved")
    desk.round()
    assert desk.notes.events == [["opened"], ["cause_changed"]]


def test_what_a_repair_comes_to_is_told_and_what_is_only_weighed_is_not(desk):
    incident = desk.open()
    desk.decide(incident, "wait", "cool-down")
    desk.decide(incident, "hold", "observed")
    desk.decide("", "repair")
    for outcome in ("released", "mended", "rejected", "rolled_back"):
        desk.append("loop.outcome", "boiler", incident=incident, outcome=outcome, why=f"so it {outcome}")
    desk.append("loop.outcome", "boiler", incident="", outcome="rejected", why="routine")
    desk.append("loop.verify", "boiler", incident=incident, trials=[])
    desk.round()
    assert desk.notes.events == [["opened", "mended", "not_repaired", "rolled_back"]]


def test_that_a_person_must_decide_is_told_once_for_one_reason(desk):
    incident = desk.open()
    for reason in ("nothing helps", "nothing helps", "the breaker is open", "nothing helps"):
        desk.decide(incident, "ask", reason)
        desk.round()
    assert desk.notes.events == [["opened", "asked"], ["asked"]]


def test_a_question_is_told_with_the_command_that_answers_it_also_without_an_incident(desk):
    incident = desk.open()
    for number, facts in enumerate([{"incident": incident}, {"incident": ""}]):
        question = Approval(f"apr_{number}", "boiler", f"{number}", "Release it", "ops", 2, "loop", T0, "open")
        with desk.write() as session:
            session.approvals.ask(Approval(**{**vars_of(question), "facts": facts}))
    desk.round()
    assert desk.notes.events == [["opened", "asked"], ["asked"]]
    (_, _, about), (_, _, alone) = desk.notes.sent
    assert about["events"][1]["text"] == "Release it? 2 of the role ops must say yes: perdure approve apr_0"
    assert (alone["incident"], alone["kind"], alone["look"]) == (None, "question", "perdure approvals")


def vars_of(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_a_question_that_was_answered_before_the_round_is_moot(desk):
    with desk.write() as session:
        session.approvals.ask(Approval("apr_1", "boiler", "1", "Release it", "ops", 1, "loop", T0, "open"))
        session.approvals.withdraw("apr_1")
    desk.round()
    assert desk.notes.sent == []


def test_numbers_of_the_evidence_are_told_and_values_of_rows_are_not(desk):
    causes = [
        {
            "name": f"c{at}",
            "weight": 0.9 - at / 10,
            "text": "t" * 900,
            "evidence": {"n": 3, "rows": [["Ann"]], "who": "Ann"},
        }
        for at in range(5)
    ]
    with desk.write() as session:
        session.incidents.open("boiler", "broken", "off", {"causes": causes, "symptoms": [{"slice": "name=Ann"}]})
    desk.round()
    [(_, _, body)] = desk.notes.sent
    assert [each["name"] for each in body["causes"]] == ["c0", "c1", "c2"]
    assert body["causes"][0]["figures"] == {"n": 3}
    assert len(body["causes"][0]["text"]) == 600
    assert "Ann" not in str(body)


def test_a_receiver_that_is_down_is_tried_later_and_longer_each_time_under_one_id(desk):
    desk.notes.answers = [DOWN, Answer(None, "refused"), Answer(429), OK]
    desk.open()
    waits = []
    for _ in range(4):
        desk.round()
        desk.round(0.1)  # too soon: nothing is tried
        until = desk.outbox().next_at
        waits.append((datetime.fromisoformat(until) - desk.clock.now()).total_seconds() if until else None)
        desk.clock.advance(timedelta(seconds=(waits[-1] or 0) + 0.01))
    assert [attempt for _, attempt, _ in desk.notes.sent] == [1, 2, 3, 4]
    assert len({delivery for delivery, _, _ in desk.notes.sent}) == 1
    assert 2.3 < waits[0] < 5 < waits[1] + 0.1 < 10 <= waits[2] + 0.1 < 20
    assert waits[3] is None
    tries = desk.recorded()
    assert [action for action, _ in tries] == [FAILED, FAILED, FAILED, DELIVERED]
    assert [(facts["attempt"], facts["status"]) for _, facts in tries] == [(1, 503), (2, None), (3, 429), (4, 204)]
    assert [bool(facts["again_at"]) for _, facts in tries] == [True, True, True, False]
    assert tries[1][1]["error"] == "refused"


def test_a_receiver_is_left_alone_as_long_as_it_asks(desk):
    desk.notes.answers = [Answer(429, retry_after_s=3600.0), OK]
    desk.open()
    desk.round()
    desk.round(3599)
    assert len(desk.notes.sent) == 1
    desk.round(2)
    assert len(desk.notes.sent) == 2


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 410, 422])
def test_an_answer_that_would_come_again_gives_the_alert_up_and_says_so(desk, status):
    desk.notes.answers = [Answer(status), OK]
    desk.open()
    desk.round()
    desk.round(7200)
    assert len(desk.notes.sent) == 1
    [(action, facts)] = desk.recorded()
    assert (action, facts["status"], facts["again_at"]) == (FAILED, status, "")
    assert (desk.outbox().n_given_up, desk.outbox().problem[:8]) == (1, f"HTTP {status}")
    desk.open("kettle")
    desk.round()
    assert (desk.outbox().n_given_up, desk.outbox().problem) == (0, ""), "one arrived"


def test_an_alert_that_the_receiver_chokes_on_holds_up_no_other_incident_and_its_own_stay_in_order(desk):
    incident = desk.open("boiler")
    desk.notes.answers = [DOWN, OK]
    desk.round()
    desk.close(incident)
    desk.open("kettle")
    desk.round(30)
    assert desk.notes.headlines == [
        ("boiler", "opened"),
        ("kettle", "opened"),
        ("boiler", "opened"),
        ("boiler", "closed"),
    ]


def test_one_that_fails_ends_a_round_s_tries_and_a_round_sends_only_a_few(desk):
    for number in range(8):
        desk.open(f"asset_{number}")
    desk.notes.answers = [DOWN, OK]
    desk.round()
    assert len(desk.notes.sent) == 1
    desk.round(30)
    assert len(desk.notes.sent) == 6
    desk.round()
    assert len(desk.notes.sent) == 9
    assert desk.outbox().pending == ()


def test_what_could_not_be_delivered_for_long_is_given_up_and_told(tmp_path):
    desk = Desk(tmp_path, keep_h=1.0)
    desk.notes.answers = [DOWN]
    desk.open()
    desk.round()
    desk.round(3601)
    assert desk.outbox().pending == ()
    assert "given up after 1 h; last: HTTP 503" in desk.recorded()[-1][1]["error"]
    assert desk.outbox().n_given_up == 1


def test_what_happened_long_before_anybody_asked_is_not_told(desk):
    desk.open()
    desk.round(73 * 3600)
    assert desk.notes.sent == []


def test_what_is_open_when_alerts_are_switched_on_is_told_and_what_is_closed_is_not(tmp_path):
    folder = tmp_path
    place = open_place(folder, Settings(), "loop", open_ledger(folder, Settings()))
    with place.transaction(T0, "test") as session:
        closed = session.incidents.open("kettle", "broken", "off", {})
        session.incidents.close(closed.id, "fine")
        session.incidents.open("boiler", "broken", "off", {})
    desk = Desk(folder)
    desk.round(1)
    assert desk.notes.headlines == [("boiler", "opened")]


def test_changes_within_the_interval_of_an_incident_s_last_alert_come_together(tmp_path):
    desk = Desk(tmp_path, min_interval_s=60.0)
    incident = desk.open()
    desk.round()
    for outcome in ("rejected", "rolled_back"):
        desk.append("loop.outcome", "boiler", incident=incident, outcome=outcome, why=outcome)
        desk.round(10)
    desk.open("kettle")
    desk.round(10)
    assert desk.notes.events == [["opened"], ["opened"]], "of another incident at once"
    desk.round(31)
    assert desk.notes.events[2:] == [["not_repaired", "rolled_back"]]


def test_a_new_process_goes_on_where_the_last_one_was(desk):
    desk.notes.answers = [DOWN, OK]
    desk.open()
    desk.round()
    desk.restarted()
    desk.round(30)
    desk.restarted()
    desk.round(30)
    assert [attempt for _, attempt, _ in desk.notes.sent] == [1, 2]


def test_a_crash_between_sending_and_writing_it_down_sends_the_same_again(desk):
    class Killed(BaseException):
        pass

    def send(delivery, attempt, body, sent=desk.notes.sent):
        sent.append((delivery, attempt, body))
        raise Killed

    desk.open()
    desk.notes.send = send
    with pytest.raises(Killed):
        desk.round()
    del desk.notes.send
    desk.restarted()
    desk.round()
    desk.round(1)
    first, again = desk.notes.sent
    assert first == again


def test_without_its_secret_nothing_is_sent_and_nothing_lost(desk):
    def send(delivery, attempt, body):
        raise BadSettings("The environment has no SECRET.")

    desk.open()
    desk.notes.send = send
    for _ in range(2):
        with pytest.raises(BadSettings):
            desk.round()
    del desk.notes.send
    desk.round()
    assert desk.notes.headlines == [("boiler", "opened")]


def test_without_an_address_there_is_nobody_to_tell():
    assert make_alerts(Settings()) is None


class Silent:
    """A ledger that only says how long its chain is."""

    def __init__(self, ledger):
        self._ledger = ledger

    def sequence(self):
        return self._ledger.sequence()


def test_a_round_in_which_nothing_is_new_only_asks_how_long_the_chain_is(desk):
    from dataclasses import replace

    desk.open()
    desk.round()
    desk.round()
    place = replace(desk.place, stores=replace(desk.place.stores, ledger=Silent(desk.place.stores.ledger)))
    desk.alerts.run(place, T0)
    assert len(desk.notes.sent) == 1


def test_what_is_told_of_closed_incidents_is_forgotten(desk):
    for number in range(3):
        incident = desk.open(f"asset_{number}", "moved")
        desk.round()
        assert list(desk.outbox().told) == list(desk.outbox().told_at) == [incident]
        desk.close(incident)
        desk.round()
    assert (desk.outbox().told, desk.outbox().told_at) == ({}, {})
