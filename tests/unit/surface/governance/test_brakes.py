"""Pauses, ways back, jobs, maturity, and the status that tells of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure.assets.policy import Policy
from perdure.loop.protocols import Watched
from perdure.stores.ledger.protocols import Job
from perdure.surface.governance.maturity import maturity
from perdure.surface.sdk import open_project

AT = datetime(2025, 3, 2, tzinfo=UTC)


@pytest.fixture
def parked(project, ask):
    """A repair that waits for a person."""
    asked, opened = ask(project), open_project(project)
    action = {"remedy": "retrain", "text": "fit on everything", "effect": "candidate", "params": {}, "cost_s": 1.0}
    with opened._ledger.transaction(actor="loop", at=AT, reason="decide") as session:
        facts = {"loop": True, "causes": [{"name": "concept_drift", "weight": 0.8, "text": "", "evidence": {}}]}
        incident = session.incidents.open("eta", "concept_drift", "The relation moved.", {**facts, "jobs": ["job_1"]})
        given = {"decision": {"actions": [action]}, "incident": incident.id}
        job = Job("job_1", "repair", "eta/1", "eta", "parked", "c0de", AT, waits_for=asked.id, input=given)
        session.jobs.put(job)
    opened._ledger.close()
    return project


class TestJobs:
    def test_what_waits_is_listed_with_what_it_waits_for(self, cli, parked):
        told = cli("perdure jobs", parked).out
        assert "job_1  eta    parked  2025-03-02 00:00:00  repair: fit on everything; waits for apr_1\n" in told
        assert json.loads(cli("perdure jobs eta --json", parked).out)[0]["waits_for"] == "apr_1"
        assert cli("perdure jobs other", parked).out == "No work is on its way.\n"

    def test_a_job_is_called_off_with_a_reason_and_its_question_is_withdrawn(self, cli, parked):
        assert "needs a reason" in cli("perdure jobs --cancel job_1", parked, expect=2).err
        assert "is called off" in cli('perdure jobs --cancel job --reason "not now" --as ann', parked).out
        assert cli("perdure approvals", parked).out == "Nothing waits for a person.\n"

    def test_a_job_that_is_not_there_is_told(self, cli, parked):
        assert "There is no job 'jab'" in cli("perdure jobs --cancel jab --reason x", parked, expect=3).err


class TestStatus:
    def test_it_tells_incidents_with_cause_and_what_is_done_questions_and_pauses(self, cli, parked):
        cli('perdure pause eta --reason "stock-taking" --until 2025-03-09 --at 2025-03-02 --as ann', parked)
        told = cli("perdure status --at 2025-03-03", parked).out
        assert "open eta, since 2025-03-02 00:00:00: The relation moved." in told
        assert "concept drift 80%" in told
        assert "repair: fit on everything; waits for apr_1" in told
        assert "paused eta: stock-taking (ann at 2025-03-02T00:00:00Z, until 2025-03-09T00:00:00Z)" in told
        assert "asked eta, since 2025-03-02 01:00:00: Release eta@new of eta, by a reviewer  (apr_1)" in told

    def test_it_is_data_too(self, parked):
        found = open_project(parked).status(at=AT)
        assert list(found.doing.values()) == ["repair: fit on everything; waits for apr_1"]
        assert (found.paused, [each.id for each in found.approvals]) == ({}, ["apr_1"])


class TestPause:
    def test_it_ends_by_itself_or_by_a_person(self, cli, project):
        assert cli("perdure pause eta --reason x --until 2025-03-09 --at 2025-03-02", project).out == "eta paused\n"
        opened = open_project(project)
        assert set(opened.status(at="2025-03-08").paused) == {"eta"}
        assert opened.status(at="2025-03-09").paused == {}
        assert cli("perdure pause eta --resume --reason y --at 2025-03-08", project).out == "eta resumed\n"
        assert cli("perdure pause eta --resume --reason y --at 2025-03-08", project).out == "eta was not paused\n"

    @pytest.mark.parametrize(
        ("command", "code", "told"),
        [
            ("pause eta", 2, "A pause needs a reason."),
            ("pause eta --resume", 2, "The end of a pause needs a reason."),
            ("pause etta --reason x", 3, "There is no asset 'etta'."),
            ("pause eta --reason x --until 2025-03-01 --at 2025-03-02", 2, "before it begins"),
            ("rollback eta", 2, "A way back needs a reason."),
            ("rollback etta --reason x", 3, "There is no asset 'etta'."),
            ("rollback eta --reason x", 3, "No other version of eta ever answered."),
            ("rollback eta --to eta@nwe --reason x", 3, "Did you mean 'eta@new'?"),
            ("rollback eta --to eta@new --reason x", 5, "eta@new never answered for eta"),
            ("apply --repair eta", 2, "A repair by hand needs a reason."),
            ("apply --repair etta --reason x", 3, "There is no asset 'etta'."),
            ("apply --repair eta --dry-run", 2, "--repair goes with neither"),
        ],
    )
    def test_a_brake_pulled_wrongly_is_told(self, cli, project, command, code, told):
        assert told in cli(f"perdure {command}", project, expect=code).err


def test_a_plan_writes_nothing_and_tells_what_apply_would_declare(cli, project):
    before = open_project(project)._ledger.sequence()
    told = cli("perdure plan --at 2025-03-02", project).out
    assert "declared  source orders\n" in told
    assert told.endswith("The loop would repair nothing.\nplan: nothing was written\n")
    assert json.loads(cli("perdure plan --at 2025-03-02 --json", project).out)["repairs"] == []
    assert open_project(project)._ledger.sequence() == before


class TestMaturity:
    EVIDENCE = Policy.act()
    SCHEDULED = Policy.act(trigger="schedule", every=EVIDENCE.cool_down)

    @pytest.mark.parametrize(
        ("policy", "cap", "stage", "lacks"),
        [
            (Policy.observe(), "act", 1, "leave to do more than observe"),
            (Policy.act(trigger="manual"), "act", 1, "a trigger"),
            (EVIDENCE, "observe", 1, "leave of the project: [loop] autonomy is 'observe'"),
            (SCHEDULED, "act", 2, "training that goes on from the champion's checkpoint"),
            (EVIDENCE, "act", 2, "training that goes on from the champion's checkpoint"),
            (replace(SCHEDULED, training="stateful"), "act", 3, "a trigger by evidence"),
            (replace(EVIDENCE, training="stateful"), "propose", 3, "leave of the project"),
            (replace(EVIDENCE, training="stateful"), "act", 4, ""),
        ],
    )
    def test_the_stage_follows_trigger_training_and_autonomy(self, empty, policy, cap, stage, lacks):
        opened = open_project(empty)
        watched = Watched("eta", "model", opened.project.models["eta"].healthy, policy, None)
        with opened._ledger.read() as session:
            [found] = maturity(session, [watched], cap)
        assert found.stage == stage
        assert lacks in "; ".join(found.missing)
        assert bool(found.missing) == (stage < 4)

    def test_nothing_released_is_the_first_stage(self, empty):
        opened = open_project(empty)
        with opened._ledger.read() as session:
            [found] = maturity(session, [Watched("new", "model", (), self.EVIDENCE, None)], "act")
        assert (found.stage, found.missing) == (1, ["a champion to start from: perdure train new, perdure apply"])

    def test_only_a_model_is_asked_for_training_and_only_what_has_versions_for_a_champion(self, empty):
        opened = open_project(empty)
        objectives = opened.project.models["eta"].healthy
        with opened._ledger.read() as session:
            route, team = maturity(
                session, [Watched(kind, kind, objectives, self.EVIDENCE, None) for kind in ("route", "team")], "act"
            )
        assert (route.stage, route.missing) == (1, ["a champion to start from: perdure apply"])
        assert (team.stage, team.missing) == (4, [])

    def test_it_is_listed_with_how_often_the_loop_repaired(self, cli, told):
        lines = cli("perdure maturity", told).out.splitlines()
        assert lines[-2] == "model eta  2 automated, stateless, 1 repair"
        assert lines[-1].startswith("  lacks training that goes on from the champion's checkpoint")
        assert json.loads(cli("perdure maturity --json", told).out)[1]["stage"] == 2
