"""The inbox: eight duties over one board, what waits for the one who looks first, and what runs ask answered with their arguments shown."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

import pytest

from perdure.surface.console.board import Hour, Judged
from perdure.surface.console.inbox import duties
from perdure.surface.governance.handing import DUTIES

POST = '''
from perdure import Graph, ToolNode, tool


@tool(effect="keyed", approve_by="on_call")
def send(text: str, times: int = 1) -> dict[str, int]:
    """Send it."""
    return {"sent": times}


post = Graph("post", {"type": "object"}, [ToolNode("send", send, arguments={"text": "hello"})], output="$send")
'''
TOML = '[project]\nname = "post"\npackage = "post"\n\n[roles]\non_call = ["rex"]\nreviewer = ["roy"]\n'


def inbox(console, query="", as_="rex:reviewer"):
    return console.get(f"/api/inbox{query}", as_=as_).json["data"]


@pytest.mark.parametrize("duty", DUTIES)
def test_every_duty_has_its_panels(console, duty):
    told = inbox(console, f"?duty={duty}")
    assert [tab["duty"] for tab in told["tabs"] if tab["current"]] == [duty]
    assert told["panels"]
    assert console.get(f"/inbox?duty={duty}").status == 200


def panel(console, duty, name):
    return next(each["table"] for each in inbox(console, f"?duty={duty}")["panels"] if each["id"] == name)


def test_questions_that_i_may_answer_come_first_and_the_others_say_why_not(console):
    told = inbox(console)
    assert ([each["id"] for each in told["for_me"]], told["n_for_me"]) == (["apr_1"], 1)
    assert [(each["id"], each["why_not"]) for each in told["others"]] == [
        ("apr_2", "Needs the role risk_officer: ask cid.")
    ]
    assert [each["id"] for each in inbox(console, as_="cid:reviewer")["for_me"]] == ["apr_2"]
    assert inbox(console, as_="ann:viewer")["for_me"] == []


def test_without_a_duty_a_roles_usual_one_is_shown(console):
    assert [
        inbox(console, as_=f"x:{role}")["duty"] for role in ("viewer", "scientist", "engineer", "reviewer", "admin")
    ] == [
        "on_call",
        "data_scientist",
        "ml_engineer",
        "reviewer",
        "owner",
    ]
    assert console.get("/inbox?duty=nothing").status == 400


def test_each_duty_sees_its_own(console):
    assert panel(console, "on_call", "incidents")["rows"][0][1]["text"] == "eta"
    assert panel(console, "data_engineer", "incidents")["rows"] == []
    assert [row[5] for row in panel(console, "analyst", "owed")["rows"]] == ["dispatch"]
    drift = panel(console, "data_scientist", "drift")["rows"][0]
    assert (drift[1]["text"].partition(" ")[0], drift[1]["href"], drift[2]) == (
        "drift",
        "/assets/model/eta/drift",
        "all",
    )
    owed = panel(console, "analyst", "owed")["rows"][0]
    assert owed[1]["href"] == "/assets/model/eta/health?signal=mae&width=604800000000"
    assert panel(console, "data_scientist", "candidates")["rows"] == []
    assert [row[1:4:2] for row in panel(console, "ml_engineer", "releases")["rows"]] == [["challenger", "20%"]]
    assert panel(console, "ml_engineer", "jobs")["rows"][0][4] == "job_1"
    assert panel(console, "owner", "quarter")["rows"][0][3]["text"] == "1 incident"
    assert panel(console, "prompt_author", "reviews")["rows"] == []


def test_an_owner_sees_requests_of_models_and_how_many_assets_were_well(own_console, monkeypatch):
    board = own_console.boards.now()
    month = 1_740_787_200_000_000  # 2025-03-01T00:00:00Z
    hours = {
        "eta": (Hour(month, "model", "eta", 1200, 3, 0.0), Hour(month + 3_600_000_000, "model", "eta", 34, 0, 0.0))
    }
    monkeypatch.setattr(own_console.boards, "_board", replace(board, hours=hours))
    months = panel(own_console, "owner", "months")
    assert (months["headings"], months["rows"]) == (["Month", "Requests", "Failed"], [["2025-03", "1,234", "3"]])
    [quarter] = [each for each in inbox(own_console, "?duty=owner")["panels"] if each["id"] == "quarter"]
    assert quarter["note"] == "0 of 2 assets with objectives had no incident."


def told_by_duty(own_console, monkeypatch, *signals):
    """Of each duty the objectives that its inbox names, where those signals of the model are broken."""
    board = own_console.boards.now()
    ill = tuple(Judged(f"{each} is wrong", each, 1.0, "", "broken", None) for each in signals)
    monkeypatch.setattr(own_console.boards, "_board", replace(board, judged={"eta": ill}))
    names = {f"{each} is wrong" for each in signals}
    return {
        duty: {
            row[1]["text"]
            for each in inbox(own_console, f"?duty={duty}")["panels"]
            for row in each["table"]["rows"]
            if len(row) > 1 and isinstance(row[1], dict) and row[1]["text"] in names
        }
        for duty in ("data_engineer", "ml_engineer")
    }


def test_a_signal_is_its_dutys_whatever_quantile_and_confidence_it_is_kept_under(own_console, monkeypatch):
    told = told_by_duty(own_console, monkeypatch, "latency_ms_p99", "first_token_ms_p99.5@0.99", "lag_s_p99", "mae")
    assert told == {
        "data_engineer": {"lag_s_p99 is wrong"},
        "ml_engineer": {"latency_ms_p99 is wrong", "first_token_ms_p99.5@0.99 is wrong"},
    }


def test_duties_look_after_signals_that_there_are():
    """A name that nothing is measured under would leave a panel empty for ever."""
    modules = ("objective", "agent_objectives", "gateway_objectives", "index_objectives")
    made = [importlib.import_module(f"perdure.assets.{each}") for each in modules]
    made.append(importlib.import_module("perdure.loop.work.indexes.watched"))  # every index has its signal unasked
    functions = {name for module in made for name in vars(module)}
    assert set(duties._FEEDS + duties._SPEED) - functions == set()


def test_time_with_several_incidents_at_once_counts_once(own_console):
    from datetime import timedelta

    now = own_console.boards.now().at
    with own_console.project._ledger.transaction(actor="loop", at=now - timedelta(hours=1), reason="x") as session:
        session.incidents.open("eta", "latency", "Slow.", {})
    own_console.boards.refresh()
    ill = {row[0]["text"]: row[2] for row in panel(own_console, "owner", "quarter")["rows"]}
    assert ill == {"orders": "20 h", "eta": "2 h"}


def test_an_asset_is_handed_to_a_duty_and_taken_from_its_inbox(own_console):
    form = {"about": "eta", "to": "duty:ml_engineer", "reason": "release it"}
    assert own_console.post("/hand-offs", form, as_="scientist").status == 303
    [given] = inbox(own_console, as_="eve:engineer")["given_to_me"]
    assert (given["about"], given["href"]) == ("eta", "/assets/model/eta")
    assert [each["mine"] for each in inbox(own_console, "?duty=owner", as_="x:admin")["given_to_others"]] == [False]
    assert own_console.post(f"/hand-offs/{given['id'][:6]}/take", {"reason": "x"}, as_="engineer").status == 404
    assert own_console.post(f"/hand-offs/{given['id']}/take", {"reason": "mine"}, as_="engineer").status == 303
    assert inbox(own_console, as_="eve:engineer")["given_to_me"] == []
    assert own_console.post("/hand-offs", {**form, "about": "etta"}, as_="scientist").status == 404
    assert own_console.post("/hand-offs", form, as_="viewer").status == 403


@pytest.fixture
def waiting(tmp_path, cli):
    """A console over a project whose run waits for on_call; gives (console, the question's id)."""
    (tmp_path / "perdure.toml").write_text(TOML)
    (tmp_path / "post.py").write_text(POST)
    cli("perdure apply", tmp_path)
    cli("perdure graph run post", tmp_path, expect=None)
    wait = json.loads(cli("perdure agent waiting --json", tmp_path).out)[0]["id"]
    return importlib.import_module("console_world").open_console(tmp_path), wait


def test_what_a_run_asks_shows_its_arguments_to_whom_may_see_texts_and_is_answered(waiting):
    console, wait = waiting
    [mine] = inbox(console)["runs_for_me"]
    assert (mine["id"], json.loads(mine["arguments"]), mine["why_not"]) == (wait, {"text": "hello"}, "")
    [hidden] = inbox(console, as_="ann:viewer")["runs_of_others"]
    assert (hidden["arguments"], hidden["hidden"]) == ("", True)
    assert "hello" not in console.get("/inbox", as_="ann:viewer").text
    assert inbox(console, as_="roy:reviewer")["runs_of_others"][0]["why_not"] == "Needs the role on_call: ask rex."
    assert console.post(f"/waits/{wait}/approve", {"reason": "x"}, as_="roy:reviewer").status == 403
    assert console.post(f"/waits/{wait[:9]}/approve", {"reason": "x"}, as_="rex:reviewer").status == 404
    assert console.post(f"/waits/{wait}/approve", {"reason": "x", "value": "{"}, as_="rex:reviewer").status == 400
    assert (
        console.post(f"/waits/{wait}/approve", {"reason": "x", "value": '{"txt": 1}'}, as_="rex:reviewer").status == 400
    )
    value = '{"text": "hello", "times": 2}'
    assert (
        console.post(f"/waits/{wait}/approve", {"reason": "once more", "value": value}, as_="rex:reviewer").status
        == 303
    )
    assert inbox(console)["runs_for_me"] == []
    run = mine["run"]
    assert json.loads(console.project.agents.resume(run).run.output) == {"sent": 2}


def test_one_no_refuses_what_a_run_asks(waiting):
    console, wait = waiting
    assert console.post(f"/waits/{wait}/reject", {"reason": "not now"}, as_="rex:reviewer").status == 303
    assert inbox(console)["runs_for_me"] == []
    assert console.post(f"/waits/{wait}/approve", {"reason": "late"}, as_="rex:reviewer").status == 403


def test_a_program_answers_no_question(console):
    assert console.post("/approvals/apr_1/approve", {"reason": "x"}, as_="bot:reviewer").status == 403
    assert inbox(console, as_="bot:reviewer")["for_me"] == []
