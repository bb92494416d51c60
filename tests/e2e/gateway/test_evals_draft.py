"""`perdure eval draft` on a project of its own: through its gateway to a provider, into the queue, into the suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from gateway_upstream import Said

DECLARED = """
from perdure import Prompt, Route, Suite, Target, UnitPrices, Upstream, scorers

up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))])
answer = Prompt("answer", [("user", "{{{{ q }}}}")], "main", {{"q": str}})
trains = Suite("trains", "cases.jsonl", [scorers.Exact()], prompt="answer")
"""
TEXT = """# Trains

The train to Lindau leaves at 7:45 from platform 12 and has a coach for bicycles, which must be booked before noon of the
day before. [bold]Dogs[/] travel for 9 euros, and those that are smaller than a cat for nothing, as everywhere in the valley.
"""
DRAFTS = [
    {"question": "From which platform does one get to Lindau?", "expected": "12"},
    {"question": "What does a [red]dog[/] pay?", "expected": "9 euros"},
    {"question": "Who drives it?", "expected": "Anna Berg"},
]


@pytest.fixture
def project(tmp_path, upstreams):
    """A project with an empty suite and a page; its model knows without it what dogs pay."""
    (tmp_path / "perdure.toml").write_text('[project]\nname = "trains"\npackage = "declarations"\n')
    (tmp_path / "declarations.py").write_text(DECLARED.format(url=upstreams.url))
    (tmp_path / "cases.jsonl").write_text('{"inputs": {"q": "Is there coffee?"}, "expected": "yes"}\n')
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "trains.md").write_text(TEXT)

    async def answer(wire, seen):
        from gateway_shapes import whole

        said = seen.body["messages"][-1]["content"]
        if seen.body.get("response_format"):
            text = json.dumps({"cases": DRAFTS if "Lindau" in json.loads(said) else []})
        else:
            text = "9 euros" if "dog" in said else "I don't know."
        wire.reply(200, json.dumps(whole("chat", Said(words=(text,)))).encode())

    upstreams.usual = answer
    return tmp_path


def perdure(project, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "perdure.surface.cli", *words, "--project", str(project)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_corpus_becomes_a_case_of_the_suite(project, upstreams):
    """Drafted, told, labelled, accepted; then there is nothing left to draft."""
    corpus = str(project / "docs")
    text = perdure(project, "eval", "draft", "trains", "--corpus", corpus, "--n", "5", "--budget", "0.50")
    assert "1 case of 5 from 1 passage" in text
    assert "every passage was asked about" in text
    assert "answered without the passage" in text
    assert "What does a [red]dog[/] pay?" in text
    assert "the passage does not say it" in text
    assert len(upstreams.seen) == 3
    [shown] = json.loads(perdure(project, "review", "next", "--of", "trains", "--json"))
    perdure(project, "review", "label", shown["id"], "good")
    perdure(project, "review", "accept", shown["id"], "--suite", "trains")
    row = json.loads((project / "cases.jsonl").read_text().splitlines()[-1])
    assert (row["inputs"], row["expected"]) == ({"q": DRAFTS[0]["question"]}, "12")
    assert (row["provenance"]["from"], row["provenance"]["file"]) == ("synthetic", "docs/trains.md")
    assert row["contexts"] == [TEXT.rstrip()]
    assert "there are cases already" in perdure(project, "eval", "draft", "trains", "--corpus", corpus)
    assert len(upstreams.seen) == 3


def test_drafts_go_to_a_file_and_are_told_as_json(project):
    out = project / "drafts.jsonl"
    told = perdure(
        project, "eval", "draft", "trains", "--corpus", str(project / "docs"), "--n", "1", "--out", str(out), "--json"
    )
    found = json.loads(told)
    assert (len(found["kept"]), found["reviews"], found["reasons"]) == (1, [], {})
    assert found["spent_usd"] > 0
    assert json.loads(out.read_text())["id"] == found["kept"][0]["id"]
    assert "Nothing is to be reviewed" in perdure(project, "review", "next")


def test_mistakes_cost_nothing(project, upstreams):
    """No such corpus, no such route."""
    assert "no corpus" in perdure(project, "eval", "draft", "trains", "--corpus", "nothing", code=3)
    again = perdure(project, "eval", "draft", "trains", "--corpus", str(project / "docs"), "--route", "mian", code=3)
    assert "main" in again
    assert upstreams.seen == []


def test_a_provider_that_fails_is_told_and_is_an_error(project, upstreams):
    """With the exit code of an upstream's."""

    async def broken(wire, seen):
        wire.reply(500, b"{}")

    upstreams.usual = broken
    text = perdure(project, "eval", "draft", "trains", "--corpus", str(project / "docs"), "--n", "3", code=7)
    assert "no question was answered" in text
    assert "Nothing was kept of 1 passage" in text
