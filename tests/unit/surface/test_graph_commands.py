"""Graphs at the command line: what is wrong is told by line, a graph is listed, shown, drawn and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TOML = '[project]\nname = "desk"\npackage = "desk"\n'
CODE = '''\
from pydantic import BaseModel

from perdure import (
    Contract, Graph, Index, Folder, Label, Model, PredictNode, Prompt, PromptNode, PythonNode, Route, RuleNode, SearchNode,
    Source, Target, ToolNode, Upstream, WordLlama, csv, days, failed_ratio, tool,
)


class Ticket(BaseModel):
    text: str
    n: int = 1


def shout(text: str) -> str:
    return text.upper()


def fails(text: str) -> str:
    raise ValueError("no")


def sorry(text: str) -> dict[str, str]:
    return {"value": "sorry"}


@tool(effect="keyed", approve_by="on_call")
def send(text: str) -> dict[str, bool]:
    """Send it."""
    return {"sent": True}


desk = Graph(
    "desk",
    input=Ticket,
    nodes=[
        PythonNode("loud", shout, inputs={"text": "$input.text"}),
        PythonNode("risky", fails, inputs={"text": "$input.text"}, fallback="safe"),
        PythonNode("safe", sorry, inputs={"text": "$input.text"}, only_as_fallback=True),
        RuleNode("many", [("$input.n > 3", "many")], otherwise="few"),
    ],
    output={"loud": "$loud.value", "risky": "$risky.value", "many": "$many.value"},
    healthy=[failed_ratio(over=days(1)) <= 0.1],
)
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "perdure.toml").write_text(TOML)
    (tmp_path / "desk.py").write_text(CODE)
    return tmp_path


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_a_graph_that_is_right_has_no_error(cli, folder):
    told = json.loads(cli("perdure check --json", folder, expect=None).out)

    notes = told["notes"] if isinstance(told, dict) else told
    assert [each for each in notes if each["level"] == "error"] == []


@pytest.mark.parametrize(
    ("node", "text", "hint"),
    [
        ('PythonNode("bad", shout, inputs={"text": "$input.n"})', "whole number, and text is wanted", ""),
        ('PythonNode("bad", shout, inputs={"text": "$luod.value"})', "no node 'luod'", "$loud"),
        ('PythonNode("bad", shout, inputs={"txt": "$input.text"})', "there is no such one", "text"),
        ('PromptNode("bad", "repply", variables={})', "no prompt 'repply'", ""),
        ('ToolNode("bad", send, arguments={"to": "x"})', "arguments.text: it is missing", ""),
        ('PythonNode("bad", lambda text: text, inputs={})', "has no type", "text: str"),
        ('RuleNode("bad", [("$loud.value = 1", 2)])', "column 13", "=="),
        ('PythonNode("bad", shout, inputs={"text": "$loud.value"}, after=["bad"])', "circle: bad → bad", ""),
    ],
)
def test_check_tells_what_is_wrong_at_the_line_of_the_node(cli, folder, node, text, hint):
    file = folder / "desk.py"
    file.write_text(CODE.replace("    nodes=[\n", f"    nodes=[\n        {node},\n"))

    told = cli("perdure check", folder, expect=2).out

    assert text in told
    assert hint in told
    assert f"desk.py:{line_of(file, 'desk = Graph(')}" in told
    if "circle" not in text:
        place, _, going_on = told.partition(f"in node 'bad' (line {line_of(file, node)}), ")
        assert going_on, place
        assert not going_on[0].isupper(), "the sentence goes on where the place was told"


def test_graphs_are_listed_and_shown_with_what_they_take_and_give(cli, folder):
    listed = json.loads(cli("perdure graph list --json", folder).out)
    assert [(row["name"], row["n_errors"], len(row["nodes"])) for row in listed] == [("desk", 0, 4)]
    assert "new" in cli("perdure graph list", folder).out

    shown = json.loads(cli("perdure graph show desk --json", folder).out)
    assert list(shown["takes"]["properties"]) == ["text", "n"]
    assert {each["name"]: each["gives"] for each in shown["nodes"]}["many"] == "object with value"
    assert "takes  text  text" in cli("perdure graph show desk", folder).out


def test_a_graph_that_is_not_there_is_told_with_the_nearest(cli, folder):
    assert "Did you mean 'desk'?" in cli("perdure graph show dask", folder, expect=3).err
    assert "none was ever begun" in cli("perdure graph draw desk --run run_1", folder, expect=3).err
    assert "two drawings" in cli("perdure graph draw desk --mermaid --svg x.svg", folder, expect=2).err


def test_a_graph_is_drawn_for_the_terminal_for_markdown_and_for_a_page(cli, folder):
    drawn = cli("perdure graph draw desk", folder).out
    assert "╭─ loud ─" in drawn
    assert "for risky, where it fails" in drawn
    assert cli("perdure graph draw desk --mermaid", folder).out.startswith("flowchart TD")
    cli("perdure graph draw desk --svg desk.svg", folder)
    assert (folder / "desk.svg").read_text().startswith("<svg ")


def test_a_run_is_kept_and_drawn_as_it_went(cli, folder):
    said = cli("""perdure graph run desk --input '{"text": "hi", "n": 7}'""", folder).out
    assert "✓ loud" in said
    assert "✗ risky  " in said
    run = json.loads(cli("""perdure graph run desk --input '{"text": "hi"}' --json""", folder).out)
    assert run["output"] == {"loud": "HI", "many": "few", "risky": "sorry"}

    drawn = cli(f"perdure graph draw desk --run {run['id']}", folder).out

    assert "safe stood in" in drawn
    assert "✓ " in drawn


def test_a_run_that_fails_ends_with_its_code(cli, folder):
    told = cli("""perdure graph run desk --input '{"n": 1}'""", folder, expect=1).out
    assert '"text" is a required property' in told
    assert "--input" in cli("perdure graph run desk --input '[1]'", folder, expect=2).err
    assert "--input" in cli("perdure graph run desk --input @nothing.json", folder, expect=2).err
