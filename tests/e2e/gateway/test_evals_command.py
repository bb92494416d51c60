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

from perdure import open_project
from perdure.core.errors import BadSuite, NotFound

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
        capture_output=True, text=True, timeout=300, check=False,
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
    [again] = open_project(project).evals.run()
    assert (again.suite, again.spent_usd) == ("trains", 0.0)
    assert len(upstreams.seen) == 24
    rows = json.loads(perdure(project, "eval", "list", "--json"))
    assert [row["status"] for row in rows] == ["done", "done"]
    assert rows[0]["spent_usd"] == 0.0
    assert rows[1]["spent_usd"] > 0.0
    page = project / "page.html"
    perdure(project, "eval", "report", rows[1]["run"], "--html", str(page))
    assert "train 7" in page.read_text("utf-8")


def test_a_better_wording_is_told_from_the_one_that_answers(project, upstreams):
    """And so is one that changes nothing."""
    open_project(project).apply()
    declare(project, upstreams, "Exactly:")
    [told] = open_project(project).evals.compare("answer")
    assert told.comparison == "better"
    assert told.passed
    text = perdure(project, "eval", "compare", "answer", "--markdown", str(project / "m.md"))
    assert "better" in text
    assert "trains" in (project / "m.md").read_text("utf-8")


def test_mistakes_say_what_to_do_next(project):
    """Nothing was run, no such suite, one version twice."""
    evals = open_project(project).evals
    assert evals.runs() == []
    with pytest.raises(NotFound, match="perdure eval run"):
        evals.report("evl_x")
    with pytest.raises(NotFound, match="trains"):
        evals.run("trians")
    with pytest.raises(BadSuite, match="one version"):
        evals.compare("answer", "declared", "declared")


def test_what_is_known_is_asked_anew_where_that_is_said_and_a_run_goes_on_only_if_it_is_there(project, upstreams):
    """`--fresh` and `--run`; a page beside `--json` leaves the JSON whole."""
    for at in (1, 2):
        text = perdure(project, "eval", "run", "trains", "--fresh", "--json", "--html", str(project / "page.html"))
        [told] = json.loads(text)
        assert len(upstreams.seen) == 24 * at
    assert (project / "page.html").exists()
    [again] = json.loads(perdure(project, "eval", "run", "trains", "--run", told["run"], "--json"))
    assert again["run"] == told["run"]
    perdure(project, "eval", "run", "trains", "--run", "evl_none", code=3)
    assert len(upstreams.seen) == 48
