"""Prompts of a project: collected from its folder, checked, released, compared, rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perdure import Budget, Perdure, Policy, Project, Prompt, Route, Target, Team, Upstream
from perdure.assets.guard import Guard, Pii
from perdure.assets.version import CHAMPION
from perdure.core.clock import parse_at
from perdure.core.errors import BadProject, BadRequest, NotFound
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.checks import CheckNote, check_project
from perdure.surface.sdk import open_project

AT = parse_at("2026-01-01")
DECLARED = """\
from perdure import Route, Target, Team, Upstream, prompts

local = Upstream("local", "http://127.0.0.1:9/v1")
support = Route("support", [Target(local, "small")])
helpdesk = Team("helpdesk", routes=("prompt:*",))
answers = prompts("prompts/")
"""
ANSWER = """\
---
route: support
variables:
  question: str
  notes: {type: "list[str]", default: []}
params: {temperature: 0}
---
# system
Be brief.
# user
{{ question }}{% for note in notes %} ({{ note }}){% endfor %}
"""
support = Route("support", [Target(Upstream("local", "http://127.0.0.1:9/v1"), "small")])
team = Team("helpdesk", routes=("prompt:*",))
answer = Prompt("answer", [("user", "{{ question }}")], "support", variables={"question": str})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose one prompt is a file beside its package."""
    (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "declared"\n')
    (tmp_path / "declared").mkdir()
    (tmp_path / "declared" / "__init__.py").write_text("")
    (tmp_path / "declared" / "gateway.py").write_text(DECLARED)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "answer.md").write_text(ANSWER)
    return tmp_path


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Perdure]:
    """The project with these declarations, over the same stores each time."""
    settings = Settings(ProjectSettings("p"), roles={"reviewer": ("ann",)})
    return lambda *declared: Perdure(tmp_path, settings, project=Project.of("p", *declared))


def changed(folder: Path, old: str, new: str) -> None:
    file = folder / "prompts" / "answer.md"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def champion(found: Perdure) -> str:
    [row] = found.list_prompts()
    return row.champion


def notes(*declared: Any) -> list[CheckNote]:
    return [note for note in check_project(Project.of("p", *declared), {}) if "rompt" in note.text]


def test_a_folder_s_prompts_are_collected_each_at_its_file(folder: Path) -> None:
    project = open_project(folder).project

    assert list(project.prompts) == ["answer"]
    assert project.places["prompt", "answer"] == "prompts/answer.md:1"  # type: ignore[attr-defined]


def test_a_prompt_and_a_route_share_no_name(folder: Path) -> None:
    (folder / "prompts" / "support.md").write_text(ANSWER)

    with pytest.raises(BadProject, match=r"the prompt 'support' has the name of a route"):
        open_project(folder).project  # noqa: B018 - loads it
    with pytest.raises(BadProject, match="'answer' is the name of a guard and of a prompt"):
        Project.of("p", support, Guard("answer", [Pii()]), answer)


def test_apply_registers_and_releases_what_the_file_says_and_follows_its_changes(folder: Path) -> None:
    found = open_project(folder)
    changes = {(each.kind, each.asset): each.what for each in found.apply(at=AT)}
    assert changes["prompt", "answer"] == "released"
    first = champion(found)

    assert {each.what for each in open_project(folder).apply(at=AT)} == {"unchanged"}
    changed(folder, "Be brief.", "Be kind.")
    later = open_project(folder)
    assert later.list_prompts()[0].champion == first != later.list_prompts()[0].declared
    later.apply(at=AT)
    assert champion(later) == later.list_prompts()[0].declared != first

    later.apply(at=AT, release={"answer": first}, reason="it was better")
    assert champion(later) == first
    assert later.verify_ledger().intact


def test_a_prompt_that_somebody_must_approve_is_asked_for(declare: Callable[..., Perdure]) -> None:
    found = declare(support, replace(answer, policy=Policy.propose()))

    assert {each.asset: each.what for each in found.apply(at=AT)}["answer"] == "asked"
    assert champion(found) == ""


def test_a_version_is_shown_by_pointer_by_id_and_by_how_its_hash_begins(folder: Path) -> None:
    found = open_project(folder)
    found.apply(at=AT)
    first = champion(found)
    changed(folder, "Be brief.", "Be kind.")
    found = open_project(folder)

    for name in (CHAMPION, first, first[:12], first.partition("@")[2][:6]):
        shown = found.show_prompt("answer", name)
        assert (shown.version, [each.name for each in shown.pointers]) == (first, [CHAMPION])
        assert "Be brief." in shown.text()
    assert "Be kind." in found.show_prompt("answer").text()
    with pytest.raises(NotFound, match="Did you mean 'champion'"):
        found.show_prompt("answer", "champio")
    with pytest.raises(NotFound, match="Did you mean 'answer'"):
        found.show_prompt("anwser")
    with pytest.raises(BadRequest, match="2 versions begin with"):
        found.show_prompt("answer", "answer@")


def test_a_diff_tells_what_changed_and_nothing_else(folder: Path) -> None:
    found = open_project(folder)
    found.apply(at=AT)
    assert found.diff_prompt("answer").lines == []
    changed(folder, "Be brief.", "Be kind.")
    changed(folder, "temperature: 0", "temperature: 1")
    changed(folder, "question: str", "question: {type: str, max_length: 9}")

    diff = open_project(folder).diff_prompt("answer")

    assert (diff.before, diff.after) == (champion(found), open_project(folder).list_prompts()[0].declared)
    assert [line for line in diff.lines if line[0] in "+-"] == [
        "-params.temperature: 0",
        "+params.temperature: 1",
        '-variables.question: {"type": "string"}  (required)',
        '+variables.question: {"maxLength": 9, "type": "string"}  (required)',
        "-Be brief.",
        "+Be kind.",
    ]


def test_the_output_s_order_outlives_the_ledger(declare: Callable[..., Perdure]) -> None:
    formed = replace(answer, output={"type": "object", "properties": {"why": {}, "answer": {}}})
    found = declare(support, formed)
    found.apply(at=AT)

    definition = found.show_prompt("answer", CHAMPION).definition

    assert list(json.loads(definition["output"])["properties"]) == ["why", "answer"]


def test_check_tells_a_prompt_that_could_not_be_served() -> None:
    assert notes(support, team, answer) == []
    [lost] = notes(support, team, replace(answer, route="suport"))
    assert (lost.level, lost.hint) == ("error", "Did you mean 'support'?")
    [unused] = notes(support, team, replace(answer, variables={"question": str, "tone": str}))
    assert (unused.level, "which no message uses" in unused.text) == ("error", True)
    [formed] = notes(support, team, replace(answer, output={"type": "strange"}))
    assert "cannot be rendered: The output of prompt 'answer' is no JSON schema" in formed.text


def test_a_team_that_names_no_prompt_there_is_is_told_the_nearest() -> None:
    [note] = notes(support, answer, replace(team, routes=("prompt:anwser", "prompt:*", "prompt:a*")))

    assert (note.level, note.hint) == ("warning", "Did you mean 'prompt:answer'?")


def test_a_budget_of_a_route_that_only_a_prompt_reaches_is_in_order() -> None:
    funded = replace(team, budgets=[Budget(1.0, route="support")])

    said = check_project(Project.of("p", support, answer, funded), {})
    assert not [note for note in said if "may not call" in note.text or "names the route" in note.text]
    by_prompt = replace(team, budgets=[Budget(1.0, route="prompt:answer")])
    assert [
        note for note in check_project(Project.of("p", support, answer, by_prompt), {}) if "which is not" in note.text
    ]


class TestCommands:
    """`perdure prompt …` as text and as JSON."""

    def test_list_tells_what_is_new_released_and_changed(self, folder: Path, cli: Any) -> None:
        assert cli("perdure prompt list", folder).out.splitlines()[1].split()[:3] == ["answer", "new", "support"]
        cli("perdure apply", folder)
        assert cli("perdure prompt list", folder).out.splitlines()[1].split()[1] == "released"
        changed(folder, "Be brief.", "Be kind.")
        [row] = json.loads(cli("perdure prompt list --json", folder).out)
        assert (row["variables"], row["file"], row["n_versions"]) == (["question", "notes"], "answer.md", 1)
        assert row["champion"] != row["declared"]

    def test_show_prints_the_templates(self, folder: Path, cli: Any) -> None:
        assert "\n# system\nBe brief.\n" in cli("perdure prompt show answer", folder).out
        shown = json.loads(cli("perdure prompt show answer --version declared --json", folder).out)
        assert shown["definition"]["messages"][0] == {"role": "system", "content": "Be brief."}
        assert "Did you mean 'answer'?" in cli("perdure prompt show answr", folder, expect=3).err

    def test_diff_without_versions_is_of_what_answers_and_what_is_declared(self, folder: Path, cli: Any) -> None:
        assert "hint: Release it: perdure apply" in cli("perdure prompt diff answer", folder, expect=3).err
        cli("perdure apply", folder)
        assert "are the same" in cli("perdure prompt diff answer", folder).out
        changed(folder, "Be brief.", "Be kind.")
        told = cli("perdure prompt diff answer", folder).out
        assert "\n-Be brief.\n+Be kind.\n" in told
        turned = json.loads(cli("perdure prompt diff answer declared champion --json", folder).out)
        assert "+Be brief." in turned["lines"]

    def test_render_needs_no_server_and_reads_what_is_no_text_as_json(self, folder: Path, cli: Any) -> None:
        told = cli("""perdure prompt render answer --var 'question=1 = {{ notes }}' --var 'notes=["a"]'""", folder)
        assert told.out.splitlines() == ["# system", "Be brief.", "# user", "1 = {{ notes }} (a)"]
        found = json.loads(cli("perdure prompt render answer --var question=7 --json", folder).out)
        assert found[1] == {"role": "user", "content": "7"}

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("", "lacks the variable 'question'"),
            ("--var qestion=a", "Did you mean 'question'?"),
            ("--var question", "Write --var NAME=VALUE."),
            ("--var question=a --var question=b", "or one again"),
            ("--var question=a --var notes=b", "is wrong: it is not of type"),
        ],
    )
    def test_render_refuses_wrong_variables(self, folder: Path, cli: Any, given: str, said: str) -> None:
        assert said in cli(f"perdure prompt render answer {given}", folder, expect=2).err

    def test_a_project_without_prompts_says_so(self, folder: Path, cli: Any) -> None:
        (folder / "prompts" / "answer.md").unlink()
        assert "No prompt is declared" in cli("perdure prompt list", folder).out
