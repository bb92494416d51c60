"""Answers to what runs ask, at the command line: arguments are checked before the one yes is spent, and a second answer is told of the first."""

from __future__ import annotations

import json

import pytest

TOML = '[project]\nname = "post"\npackage = "post"\n'
CODE = '''\
from perdure import Graph, ToolNode, tool


@tool(effect="keyed", approve_by="on_call")
def send(text: str, times: int = 1) -> dict[str, int]:
    """Send it."""
    return {"sent": times}


post = Graph("post", {"type": "object"}, [ToolNode("send", send, arguments={"text": "hello"})], output="$send")
'''
PROMPTS = """
from perdure import Prompt, Route, Target, Upstream

main = Route("main", [Target(Upstream("up", "http://127.0.0.1:1/v1"), "m")])
short = Prompt("short", [("user", "x")], "main")
long = Prompt("a_longer_name", [("user", "y")], "main")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "perdure.toml").write_text(TOML)
    (tmp_path / "post.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def wait(cli, folder):
    cli("perdure apply", folder)
    cli("perdure graph run post", folder, expect=None)
    return json.loads(cli("perdure agent waiting --json", folder).out)[0]["id"]


def test_what_a_question_asks_needs_and_takes_stands_in_one_column(cli, folder, wait):
    told = cli("perdure inbox", folder).out.splitlines()
    places = [line.index(text) for line, text in zip(
        [line for line in told if line.startswith(("  asks", "  needs", "  answer"))],
        ("post asks", "a yes of on_call", "perdure approve"), strict=True)]  # fmt: skip
    assert len(set(places)) == 1


def test_arguments_that_the_tool_does_not_take_leave_the_question_open(cli, folder, wait):
    wrong = cli(f"""perdure approve {wait} --reason lost --value '{{"txt":"hello"}}'""", folder, expect=2)
    assert "do not fit send" in wrong.err
    assert "'txt' was unexpected" in wrong.err
    assert wait in cli("perdure inbox", folder).out


def test_other_arguments_that_fit_are_used_also_those_that_were_not_asked(cli, folder, wait):
    cli(f"""perdure approve {wait} --reason lost --value '{{"text":"hello","times":2}}'""", folder)
    run = json.loads(cli("perdure agent runs --json", folder).out)[0]["id"]
    assert json.loads(cli(f"perdure agent resume {run} --json", folder).out)["output"] == {"sent": 2}


def test_who_answers_second_is_told_what_was_said(cli, folder, wait):
    cli(f"perdure approve {wait} --reason lost", folder)
    again = cli(f"perdure reject {wait} --reason late", folder, expect=None)
    assert "said yes before: lost" in again.err
    assert "The first answer counts." in again.err


def test_a_question_that_there_is_not_says_that_none_waits(cli, folder):
    told = cli("perdure approve wait_1 --reason lost", folder, expect=None).err
    assert "There is no open question 'wait_1'." in told
    assert "No run waits for a person." in told


def test_words_of_apply_begin_in_one_column(cli, folder):
    (folder / "post.py").write_text(CODE + PROMPTS)
    told = [line for line in cli("perdure apply", folder).out.splitlines() if "no suite tests it" in line]
    assert {line.index("no suite") for line in told} == {len("  a_longer_name  ")}


def test_a_command_of_a_group_is_found_from_outside_of_it(cli, folder):
    assert "Write: perdure agent redteam" in cli("perdure redteam post", folder, expect=None).err


def test_an_input_that_a_graph_does_not_take_is_told_without_a_word_for_the_whole(cli, folder):
    (folder / "post.py").write_text(CODE.replace('{"type": "object"}', '{"type": "object", "required": ["text"]}'))
    cli("perdure apply", folder)
    assert 'not what it takes: "text" is a required' in cli("perdure graph run post", folder, expect=None).out.replace(
        "'text'", '"text"'
    )


def test_a_run_of_a_graph_ends_with_what_it_took_and_how_its_question_is_answered(cli, folder):
    cli("perdure apply", folder)
    waits = cli("perdure graph run post", folder).out
    assert "post asks to call send  waits for a person" in waits
    assert "answer perdure approve wait_" in waits
    (folder / "post.py").write_text(CODE.replace(', approve_by="on_call"', ""))
    cli("perdure apply", folder)
    *_, last = cli("perdure graph run post", folder).out.splitlines()
    assert last.startswith("done  run_")
    assert "0 tokens, $0.00" in last
