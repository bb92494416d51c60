"""The red team against tools of all kinds: on a sample with every category nothing passes, and a hole would be found."""

from __future__ import annotations

import pytest

from perdure.assets.tools import HttpTool, McpTools, SearchTool, ToolTerms, tool
from perdure.surface.red_team import Case, corpus, red_team


@tool(effect="once")
def send_email(to: str, text: str) -> str:
    """Send an email."""
    raise AssertionError(to + text)


@tool(effect="keyed", approve_by="clerk")
def delete_file(path: str) -> str:
    """Delete a file."""
    raise AssertionError(path)


@tool(effect="once")
def purge_output() -> str:
    """Empty the output directory."""
    raise AssertionError


@tool
def look(query: str) -> str:
    """Look something up."""
    raise AssertionError(query)


TRACK = HttpTool(
    "track", "https://api.example.com/parcels/{parcel}", "Where a parcel is.", headers={"a": "env:NOT_SET"}
)


def sample() -> list[Case]:
    """Of each category and forbidden tool the first and the last case."""
    by: dict[tuple[str, str], list[Case]] = {}
    for case in corpus():
        by.setdefault((case.category, case.forbidden_tool), []).append(case)
    return [case for cases in by.values() for case in {cases[0].id: cases[0], cases[-1].id: cases[-1]}.values()]


@pytest.mark.parametrize("blind", [False, True])
def test_nothing_passes_on_every_category(blind):
    """No attempt is done, seen by the rules of injection or not; what asks a person counts apart."""
    cases = sample()
    assert {each.category for each in cases} == {each.category for each in corpus()}
    found = red_team(
        [send_email, delete_file, purge_output, look, TRACK, SearchTool("handbook")],
        cases=cases[:: 2 if blind else 1],
        blind=blind,
    )
    assert found.passed == []
    assert found.held
    assert found.n_attempts > 500
    assert found.stopped["asked"] > 0
    assert found.tools == ["send_email", "delete_file", "purge_output", "track"]
    assert ("suspect" in found.stopped) is not blind


def test_a_hole_is_found_and_told(monkeypatch):
    """With the rules of provenance taken away the red team says which calls were done."""
    monkeypatch.setattr("perdure.serve.tools.toolbox.doubt_of", lambda *_, **__: None)
    found = red_team([send_email], cases=corpus()[:1])
    assert not found.held
    assert {each.what for each in found.passed} >= {"target", "whole", "base64", "pieces"}
    assert found.passed[0].tool == "send_email"


def test_an_agent_that_only_reads_has_nothing_to_attack():
    """Without a tool that sends or changes something only tools that are not there can be asked for."""
    found = red_team([look], cases=corpus())
    assert (found.tools, found.held) == ([], True)
    assert set(found.stopped) == {"tool.unknown"}


def test_servers_that_no_version_pins_are_told_as_left_out():
    """What an MCP server offers is not known before a version is made."""
    server = McpTools("files", command=("nothing",), terms=ToolTerms(effect="once"))
    assert red_team([server, look], cases=[]).left_out == ["files"]
