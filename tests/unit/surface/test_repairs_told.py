"""What the loop did, told from records alone: no ids, rollbacks seen, decisions made again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure.assets.health import Cause
from perdure.assets.policy import Policy
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import plain
from perdure.loop.decide import decide
from perdure.loop.situation import Past, Rules, Situation
from perdure.stores.ledger.protocols import Job, LedgerSession
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.surface.repairs import Diagnosis, Repairs, doing, repairs

WORSE = Cause("concept_drift", 0.9, {}, "It is worse.")
AT = datetime(2025, 1, 1, tzinfo=UTC)
OLD, GOOD, BAD = ("m@000000000000", "m@111111111111", "m@222222222222")


def _version(name: str, at: datetime) -> Version:
    return Version(name, "m", "model", {}, {}, {"id": name}, {}, at)


def _trial(candidate: str, *, passed: bool) -> dict[str, Any]:
    verdict = {"gate": "paired", "comparison": "better", "passed": passed, "text": "2 min better", "gain": 2.0}
    return {"candidate": candidate, "incumbent": OLD, "verdicts": [verdict]}


def _decision(session: LedgerSession, *, changed: bool) -> None:
    situation = Situation(
        "m", "model", "2025-01-02T00:00:00Z", "manual", Rules.of(Policy.act(), "act"), Past(), causes=(WORSE,)
    )
    decision: dict[str, Any] = plain(decide(situation))
    if changed:
        decision["reasons"] = ["another reason"]
    session.audit.append("loop.decide", "m", {"situation": plain(situation), "decision": decision, "code": "1"})


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """One incident, repaired by a release that was taken back; a second repair tried a past version only."""
    made = SqliteLedger(tmp_path / "ledger.db", project="p")
    with made.transaction(actor="loop", at=AT) as session:
        for name, at in ((OLD, AT), (GOOD, AT + timedelta(days=1)), (BAD, AT + timedelta(days=1))):
            session.registry.put_version(_version(name, at))
        session.pointers.set([Pointer("m", CHAMPION, OLD)])
        facts = {"causes": [{"name": "concept_drift"}], "remedy": "released: fit on 30d"}
        incident = session.incidents.open("m", "drift", "it is worse", facts)
        for job, started, candidates in (("job_1", 1, [GOOD, BAD]), ("job_2", 5, [GOOD])):
            output = {"outcome": "released", "candidates": candidates}
            begun = AT + timedelta(days=started)
            session.jobs.put(Job(job, "repair", job, "m", "done", "1", begun, output=output, ended_at=begun))
        trials = [_trial(GOOD, passed=True), _trial(BAD, passed=False)]
        session.audit.append("loop.verify", "m", {"job": "job_1", "stage": "verify", "trials": trials, "winner": GOOD})
        watched = [_trial(GOOD, passed=False)]
        session.audit.append("loop.verify", "m", {"job": "job_1", "stage": "watch", "trials": watched, "winner": None})
        _decision(session, changed=False)
        _decision(session, changed=True)
    for day, version, stage in ((2, GOOD, "all"), (4, OLD, "rollback")):
        with made.transaction(actor="loop", at=AT + timedelta(days=day)) as session:
            session.pointers.set(
                [Pointer("m", CHAMPION, version)], facts={"job": "job_1", "incident": incident.id, "stage": stage}
            )
    with made.transaction(actor="loop", at=AT + timedelta(days=6)) as session:
        session.incidents.close(incident.id, "healthy again")
    return made


def test_a_release_is_told_with_its_cause_evidence_and_that_it_was_taken_back(ledger: SqliteLedger) -> None:
    (release,) = repairs(ledger, ["m"]).releases
    assert (release.version, release.replaced, release.cause) == (GOOD, OLD, "concept_drift")
    assert (release.at, release.rolled_back) == (AT + timedelta(days=2), AT + timedelta(days=4))
    assert (release.evidence, release.gain, release.rivals) == ("2 min better", 2.0, 2)


def test_counts_come_from_the_records(ledger: SqliteLedger) -> None:
    found = repairs(ledger, ["m"])
    assert found.n_retrains == 1, "the second repair fitted nothing: its candidate is older than it"
    assert found.n_rejected == 1, "what fails in its watch was released: that is a rollback"
    assert found.n_rollbacks == 1
    assert (found.n_decisions, found.n_equal) == (2, 1), "the second decision was changed"
    assert found.diagnoses == [Diagnosis("m", "concept_drift", AT)] * 2


def test_an_incident_is_told_without_its_id(ledger: SqliteLedger) -> None:
    found = repairs(ledger, ["m"])
    (incident,) = found.incidents
    assert (incident.asset, incident.kind, incident.cause) == ("m", "drift", "concept_drift")
    assert (incident.opened, incident.closed) == (AT, AT + timedelta(days=6))
    assert (incident.remedy, incident.closing) == ("released: fit on 30d", "healthy again")
    assert "inc_" not in repr(found)
    assert "job_" not in repr(found)


def test_nothing_done_is_nothing_told(tmp_path: Path) -> None:
    assert repairs(SqliteLedger(tmp_path / "ledger.db", project="p"), ["m"]) == Repairs([], [], diagnoses=[])


def test_what_the_loop_is_doing_is_its_open_repair_with_its_cause(ledger: SqliteLedger) -> None:
    with ledger.read() as session:
        assert doing(session) == ""
    actions = [{"text": "fit on 30d"}, {"text": "fit on 60d"}]
    job = Job(
        "job_3", "repair", "k", "m", "parked", "1", AT, waits_for="shadow ends",
        input={"decision": {"actions": actions, "cause": "concept_drift"}},
    )  # fmt: skip
    with ledger.transaction(actor="loop", at=AT + timedelta(days=7)) as session:
        session.jobs.put(job)
    with ledger.read() as session:
        assert doing(session) == "repair of m: concept drift, 2 remedies compete; waits for shadow ends"
