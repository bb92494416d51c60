"""What runs ask people, over HTTP: who may answer, with what, and that a run goes on wherever a server is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agents_world import AGENT, SENT, Desk, calls, says
from gateway_world import version_of

from perdure import Policy
from perdure.core.errors import Refused
from perdure.core.settings import AgentSettings


def asked(desk, upstreams):
    """A run that waits for a yes: its id."""
    upstreams.then(calls(("send_notice", {"text": "Late."})), says("Told."))
    answer = desk.run(task="Tell them.")
    assert (answer.status, answer.json["status"]) == (202, "waiting"), answer.json
    assert answer.json["waits"][0]["arguments"] == {"text": "Late."}
    return answer.json["id"]


def say(desk, wait, **body):
    return desk.ask("POST", f"/v1/runs/waits/{wait}", {"reason": "So.", **body})


def test_a_yes_lets_the_run_go_on(desk, admin, upstreams):
    run = asked(desk, upstreams)
    (wait,) = desk.waits(run)
    answer = say(admin, wait["id"], approve=True)
    assert answer.status == 200
    assert answer.json["answer"]["actor"].startswith("key:key_")
    assert desk.ended(run)["output"] == {"text": "Told."}
    assert SENT == ["Late."]
    assert desk.told(run).waits[0].answer.reason == "So."
    assert desk.waits(run) == []
    assert say(admin, wait["id"], approve=True).status == 404


def test_a_no_is_told_to_the_model(desk, admin, upstreams):
    run = asked(desk, upstreams)
    say(admin, desk.waits(run)[0]["id"], approve=False, reason="Not on Sundays.")
    desk.ended(run)
    assert "Not on Sundays." in str(upstreams.seen[-1].body["messages"])
    assert SENT == []


def test_arguments_may_be_changed_with_the_yes(desk, admin, upstreams):
    run = asked(desk, upstreams)
    say(admin, desk.waits(run)[0]["id"], approve=True, arguments={"text": "A little late."})
    desk.ended(run)
    assert SENT == ["A little late."]


def test_a_yes_is_not_spent_on_arguments_that_the_tool_does_not_take(desk, admin, upstreams):
    run = asked(desk, upstreams)
    (wait,) = desk.waits(run)
    answer = say(admin, wait["id"], approve=True, arguments={"txt": "Late."})
    assert (answer.status, "txt" in answer.error["message"]) == (400, True)
    assert desk.waits(run) == [wait]


@pytest.mark.parametrize(
    "body", [{}, {"approve": True}, {"approve": True, "reason": " "}, {"approve": "yes", "reason": "x"},
             {"approve": True, "reason": "x", "value": 1}]
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_an_error_and_none(desk, admin, upstreams, body):
    run = asked(desk, upstreams)
    (wait,) = desk.waits(run)
    assert admin.ask("POST", f"/v1/runs/waits/{wait['id']}", body).status == 400
    assert desk.waits(run) == [wait]


def test_only_another_administrators_key_answers(desk, admin, upstreams):
    (wait,) = desk.waits(asked(desk, upstreams))
    assert say(desk, wait["id"], approve=True).status == 403
    upstreams.reset()
    upstreams.then(calls(("send_notice", {"text": "Mine."})))
    mine = admin.run(task="Tell them.").json["id"]
    (own,) = admin.waits(mine)
    refused = say(admin, own["id"], approve=True)
    assert (refused.status, refused.error["code"]) == (403, "refused")
    assert SENT == []


def test_a_key_without_the_role_does_not_answer(world, upstreams):
    def no(actor, role):
        raise Refused(f"{actor} has not the role {role}.")

    parts = world.parts()
    world.parts = lambda: replace(parts, runs=replace(parts.runs, check_role=no))
    secret = world.make_admin(world.key())
    with world.serving() as gateway:
        desk = Desk(gateway)
        asked(desk, upstreams)
        answer = say(desk.as_(secret), desk.waits()[0]["id"], approve=True)
    assert (answer.status, "reviewer" in answer.error["message"]) == (403, True)


def test_one_person_over_http_is_not_two(world, upstreams):
    world.release(replace(AGENT, policy=Policy.propose(four_eyes=True)))
    secret = world.make_admin(world.key())
    with world.serving() as gateway:
        desk = Desk(gateway)
        asked(desk, upstreams)
        wait = desk.waits()[0]["id"]
        yes = say(desk.as_(secret), wait, approve=True)
        no = say(desk.as_(secret), wait, approve=False)
    assert (yes.status, no.status) == (403, 200), "a no of one is enough"
    assert SENT == []


def test_a_run_waits_without_a_server_and_goes_on_with_its_own_version(world, upstreams):
    with world.serving() as gateway:
        run = asked(Desk(gateway), upstreams)
        (wait,) = Desk(gateway).waits()
    began = version_of("desk", "agent", AGENT.definition()).id
    world.release(replace(AGENT, keeps="full"))
    secret = world.make_admin(world.key())
    with world.serving() as gateway:
        again = Desk(gateway).as_(secret)
        assert say(again, wait["id"], approve=True).status == 200
        found = again.ended(run)
    assert (found["output"], found["version"]) == ({"text": "Told."}, began)
    assert SENT == ["Late."]
    assert [each["kind"] for each in found["steps"]].count("chat") == 2, "no model is asked twice"


def test_a_run_whose_key_was_revoked_does_nothing_more(world, upstreams):
    secret = world.make_admin(world.key())
    with world.serving() as gateway:
        desk = Desk(gateway)
        run = asked(desk, upstreams)
        (wait,) = desk.waits()
        world.revoke(gateway.secret)
        gateway.wait_for(lambda: desk.ask("GET", "/v1/runs").status == 401)
        say(desk.as_(secret), wait["id"], approve=True)
        found = desk.as_(secret).ended(run)
    assert (found["status"], found["why"]) == ("failed", "unauthorized")
    assert SENT == []


def test_silence_is_a_no(world, upstreams):
    world.own = AgentSettings(poll_s=0.05, approval_days=0.5 / 86_400)
    with world.serving() as gateway:
        desk = Desk(gateway)
        run = asked(desk, upstreams)
        assert desk.ended(run)["status"] == "done"
    assert SENT == []


def test_without_teams_nobody_answers_over_http(world, upstreams):
    world.teams = {}
    with world.serving() as gateway:
        desk = Desk(gateway)
        answer = say(desk, "wait_1", approve=True)
        lacking = desk.run("plain", task="Hello?")
    assert (answer.status, "perdure approve" in answer.error["hint"]) == (403, True)
    assert (lacking.status, lacking.error["code"]) == (503, "not_ready")
    assert "Team" in lacking.error["message"]


def test_waiting_runs_are_counted(desk, upstreams):
    run = asked(desk, upstreams)
    waiting = {each["run"] for each in desk.waits() if each["asset"] == "desk"}
    assert run in waiting

    def counted():
        text = desk.ask("GET", "/metrics").content.decode()
        figures = [
            line for line in text.splitlines() if line.startswith('perdure_runs_waiting{asset="desk",kind="agent"} ')
        ]
        return [n for figure in figures if (n := float(figure.split()[-1])) >= len(waiting)]

    assert desk.gateway.wait_for(counted, 10.0) == [len(waiting)]
