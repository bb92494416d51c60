"""`perdure eval` on a project of its own, without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from gateway_upstream import Said

DECLARED = """
from perdure import Case, Prompt, Route, Suite, Target, UnitPrices, Upstream, scorers

up = Upstream("up", "{url}/v1")
main = Route("main", [Target(up, "m-1", prices=UnitPrices(input=1, output=4))])
answer = Prompt("answer", [("user", "{text} {{{{ q }}}}")], "main", {{"q": str}})
cases = [Case(f"c{{i}}", {{"q": f"When does train {{i}} leave?"}}, "noon" if i % 4 else "one", cluster=f"g{{i}}") for i in range(24)]
trains = Suite("trains", cases, [scorers.Exact()], prompt="answer", role="primary")
"""


@pytest.fixture
def project(tmp_path, upstreams):
    """A project with a prompt and a suite; its model answers "noon" to all, and "one" to what it is asked exactly."""
    (tmp_path / "perdure.toml").write_text('[project]\nname = "trains"\npackage = "declarations"\n')
    declare(tmp_path, upstreams, "Tell:")

    async def answer(wire, seen):
        from gateway_shapes import whole

        text = seen.body["messages"][-1]["content"]
        number = int(re.search(r"train (\d+)", text)[1])
        right = "one" if number % 4 == 0 and text.startswith("Exactly:") else "noon"
        wire.reply(200, json.dumps(whole("chat", Said(words=(right,)))).encode())

    upstreams.usual = answer
    return tmp_path


def declare(folder: Path, upstreams, text: str) -> None:
    (folder / "declarations.py").write_text(DECLARED.format(url=upstreams.url, text=text))


def perdure(project, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "perdure.surface.cli", *words, "--project", str(project)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_suite_is_run_shown_listed_and_reported(project, upstreams):
    """Before anything is applied, and a second run pays nothing."""
    text = perdure(project, "eval", "run", "trains", "--junit", str(project / "j.xml"))
    assert "trains" in text
    assert "75.0%" in text
    assert len(upstreams.seen) == 24
    assert ET.parse(project / "j.xml").getroot().tag == "testsuites"
    [again] = json.loads(perdure(project, "eval", "run", "--json"))
    assert len(upstreams.seen) == 24
    assert again["suite"] == "trains"
    rows = json.loads(perdure(project, "eval", "list", "--json"))
    assert [row["status"] for row in rows] == ["done", "done"]
    assert rows[0]["spent_usd"] == 0.0
    assert rows[1]["spent_usd"] > 0.0
    page = project / "page.html"
    perdure(project, "eval", "report", rows[1]["run"], "--html", str(page))
    assert "train 7" in page.read_text("utf-8")


def test_a_better_wording_is_told_from_the_one_that_answers(project, upstreams):
    """And so is one that changes nothing."""
    perdure(project, "apply")
    declare(project, upstreams, "Exactly:")
    [told] = json.loads(perdure(project, "eval", "compare", "answer", "--json"))
    assert told["comparison"] == "better"
    text = perdure(project, "eval", "compare", "answer", "--markdown", str(project / "m.md"))
    assert "better" in text
    assert "trains" in (project / "m.md").read_text("utf-8")


def test_empty_states_say_what_to_do_next(project):
    """Nothing was run; nothing differs; no such suite."""
    assert "perdure eval run" in perdure(project, "eval", "list")
    perdure(project, "eval", "report", "evl_x", code=3)
    perdure(project, "eval", "run", "trians", code=3)
