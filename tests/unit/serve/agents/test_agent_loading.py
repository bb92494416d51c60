"""Versions of agents made ready, or refused in words."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from perdure.assets.agent import Agent
from perdure.assets.tools import SearchTool, tool
from perdure.core.errors import BadAgent, MissingExtra, NotFound
from perdure.serve.agents import loading
from perdure.serve.agents.loading import AgentLoader


@tool
def greet(name: str) -> str:
    """Greet somebody."""
    return name


def other(name: str) -> str:
    """Greet somebody otherwise."""
    return name.upper()


AGENT = Agent("desk", prompt="helper", tools=[greet, SearchTool("handbook")])


def test_a_version_is_loaded_with_its_functions_and_limits(kit: Any) -> None:
    """Tools are as the version says; those of functions are found among the declared."""
    live = AgentLoader({"desk": AGENT}).load(kit.version_of(AGENT), trusted=False)
    assert [each["name"] for each in live.tools] == ["greet", "search_handbook"]
    assert live.functions == {"greet": greet}
    assert live.limits == AGENT.limits


def test_a_version_of_other_code_is_refused(kit: Any) -> None:
    """The declared function stands at the same place, and has another source."""
    version = kit.version_of(AGENT)
    version.definition["tools"][0]["code"] = "0" * 64
    with pytest.raises(BadAgent, match="other code of the tool 'greet'"):
        AgentLoader({"desk": AGENT}).load(version, trusted=True)


def test_a_version_of_a_function_that_is_gone_is_refused(kit: Any) -> None:
    """The agent declares other tools now."""
    version = kit.version_of(AGENT)
    with pytest.raises(BadAgent, match="does not declare any more"):
        AgentLoader({"desk": replace(AGENT, tools=())}).load(version, trusted=True)


def test_a_name_that_is_no_agent_is_not_found(kit: Any) -> None:
    """As for every kind."""
    with pytest.raises(NotFound):
        AgentLoader({}).load(kit.version_of(AGENT), trusted=True)


def test_an_output_that_is_no_object_is_refused(kit: Any) -> None:
    """It could not be given by a call."""
    agent = replace(AGENT, output={"type": "array"})
    with pytest.raises(BadAgent, match="no object"):
        AgentLoader({"desk": agent}).load(kit.version_of(agent), trusted=True)


def test_a_tool_may_not_have_the_name_of_the_output(kit: Any) -> None:
    """Nobody could tell their calls apart."""
    agent = Agent("desk", prompt="helper", tools=[tool(name="final_result")(other)], output={"type": "object"})
    with pytest.raises(BadAgent, match="final_result"):
        AgentLoader({"desk": agent}).load(kit.version_of(agent), trusted=True)


def test_without_pydantic_ai_the_extra_is_named(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of every optional library."""
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="'agents'"):
        AgentLoader({"desk": AGENT}).load(kit.version_of(AGENT), trusted=True)


def test_the_driver_is_imported_without_pydantic_ai() -> None:
    """It costs a second that only projects with agents pay."""
    import subprocess

    code = "import sys, perdure.serve.agents.driving, perdure.serve.agents.loading; print('pydantic_ai' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
