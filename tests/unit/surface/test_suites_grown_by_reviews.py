"""Suites grow by reviewed cases where their cases are, and by nothing that no version of their prompt could be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.assets.judge import Judge
from perdure.assets.project import Project
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target
from perdure.assets.scorers import Exact
from perdure.assets.suite import Suite
from perdure.assets.upstream import Upstream
from perdure.core.clock import parse_at
from perdure.core.errors import BadSuite
from perdure.engines.judges.anchors import Judgeable
from perdure.loop.work.judges.queue import ask_again
from perdure.surface.sdk import Perdure

AT = parse_at("2026-01-10T00:00:00Z")


@pytest.fixture
def perdure(tmp_path: Path) -> Perdure:
    """A project with a judge, a prompt, and a file of one case."""
    (tmp_path / "cases.jsonl").write_text('{"id": "c1", "inputs": {"q": "What?"}, "expected": "this"}')
    route = Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
    prompt = Prompt("echo", [("user", "{{ q }}")], "support", {"q": str})
    (tmp_path / "named.yaml").write_text("route: support\nscorers: [exact]\ncases: cases.jsonl\n")
    suites = [
        Suite.from_file(tmp_path / "named.yaml"),
        Suite("echoes", tmp_path / "cases.jsonl", [Exact()], prompt="echo"),
    ]
    judge = Judge("yes", "The answer says yes.", "support")
    return Perdure(tmp_path, project=Project.of("p", route, prompt, judge, *suites), actor="ana")


def labelled(perdure: Perdure, case: Judgeable) -> str:
    """The review of a case that somebody called good."""
    (review,) = ask_again(perdure.place, "yes", [case], "by hand", AT)
    perdure.label_review(review.id, "good", at=AT)
    return review.id


def test_a_suite_of_yaml_grows_by_the_jsonl_file_that_it_names(perdure: Perdure) -> None:
    review = labelled(perdure, Judgeable.of({"q": "yes"}, ["yes"]))
    accepted = perdure.accept_review(review, "named", expected="yes", at=AT)

    assert (accepted.file, accepted.added) == ("cases.jsonl", True)
    assert [case.inputs for case in perdure.project.suite("named").read().cases] == [{"q": "What?"}, {"q": "yes"}]


def test_a_suite_of_a_prompt_grows_by_its_variables_alone(perdure: Perdure, tmp_path: Path) -> None:
    """Messages of a call in place of them would be a case that no version can be asked."""
    of_call = labelled(perdure, Judgeable.of({"messages": [{"role": "user", "content": "Hi"}]}, ["Hi"]))
    with pytest.raises(BadSuite, match="not the variables of prompt 'echo'"):
        perdure.accept_review(of_call, "echoes", at=AT)

    assert (tmp_path / "cases.jsonl").read_text().count("id") == 1
    assert perdure.accept_review(labelled(perdure, Judgeable.of({"q": "yes"}, ["yes"])), "echoes", at=AT).added
