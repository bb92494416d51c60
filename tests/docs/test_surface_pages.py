"""No command, option, verb or public name goes untold."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

import perdure
from perdure.surface.cli.app import app
from perdure.surface.sdk import Perdure


def commands():
    """Command words → the command."""
    found = {}
    for name, command in get_command(app).commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {each}": part for each, part in below.items()} if below else {name: command}
    return found


@pytest.fixture(scope="module")
def sections(repository: Path):
    """Heading → text of docs/cli.md."""
    text = (repository / "docs" / "cli.md").read_text()
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))


def test_every_command_has_its_section_and_no_other_has(sections):
    assert set(sections) == {f"perdure {name}" for name in commands()}


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_told_and_no_other_is(sections, name):
    told = re.sub(r"```.*?```", "", sections[f"perdure {name}"], flags=re.DOTALL)
    params = [param for param in commands()[name].params if param.name != "help"]
    options = {word for param in params if param.param_type_name == "option" for word in param.opts if word[:2] == "--"}
    assert set(re.findall(r"`(--[a-z-]+)", told)) == options
    for param in params:
        if param.param_type_name == "argument":
            assert f"`{param.metavar}`" in told


def verbs() -> list[str]:
    groups = [group for group in Perdure.__mro__ if group is not object]
    public = {name for group in groups for name in vars(group) if not name.startswith("_")}
    assert {"train", "plan", "approve", "place"} <= public
    return sorted(public)


@pytest.mark.parametrize("name", verbs())
def test_every_verb_of_the_sdk_is_told_with_its_arguments(repository: Path, name):
    rows = re.findall(r"^\| `([\w.]+)(\(.*?\))?` \|", (repository / "docs" / "sdk.md").read_text(), re.MULTILINE)
    told = dict(rows)
    assert name in told
    verb = getattr(Perdure, name)
    if inspect.isfunction(verb):
        arguments = [each for each in inspect.signature(verb).parameters if each != "self"]
        assert re.findall(r"\w+", told[name]) == arguments


def test_every_public_name_of_the_package_is_told_on_a_page(repository: Path):
    pages = "\n".join(page.read_text() for page in (repository / "docs").glob("*.md"))
    assert [name for name in perdure.__all__ if not re.search(rf"\b{name}\b", pages)] == []
