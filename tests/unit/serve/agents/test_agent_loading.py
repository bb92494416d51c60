"""Versions of agents made ready, or refused in words."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from perdure.assets.agent import Agent
from perdure.assets.tools import SearchTool, source_digest, tool
from perdure.core.errors import BadAgent, MissingExtra, NotFound, NotReady
from perdure.core.runs import RunRecord
from perdure.serve.agents import loading
from perdure.serve.agents.loading import AgentLoader
from perdure.serve.runs.versions import LACKING_S, RunVersions


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


class Known:
    """Versions of a ledger."""

    def __init__(self, *versions):
        self.registry, self._versions = self, {each.id: each for each in versions}

    def get_version(self, version):
        """One of them."""
        return self._versions[version]

    @contextmanager
    def read(self):
        """They are read."""
        yield self

    def close(self):
        """Nothing is open."""


class Boxes:
    """Makes toolboxes of nothing."""

    def toolbox(self, tooled):
        """None is needed."""


def test_a_run_whose_code_another_process_has_is_left_to_that_one_for_an_hour(kit: Any, monkeypatch) -> None:
    """In a rolling deploy there is one; where there is none, the run ends with what is wrong, and does not wait for ever."""
    version = kit.version_of(AGENT)
    version.definition["tools"][0]["code"] = "0" * 64
    now_s = [100.0]
    monkeypatch.setattr("perdure.serve.runs.versions.monotonic_s", lambda: now_s[0])
    loader = AgentLoader({"desk": AGENT})
    live: Any = SimpleNamespace(serving=None)
    tools: Any = Boxes()
    versions = RunVersions({"desk": "agent"}, {}, live, {"agent": loader}, tools, lambda: cast("Any", Known(version)))
    first, other = (RunRecord(id=each, kind="agent", asset="desk", version=version.id, arm="champion", status="running", input=b"{}")
                    for each in ("run_1", "run_2"))  # fmt: skip
    for passed_s in (0.0, LACKING_S - 1.0):
        now_s[0] = 100.0 + passed_s
        with pytest.raises(NotReady, match=r"left to a process that has its code.*other code of the tool 'greet'"):
            asyncio.run(versions.prepare(first))
    now_s[0] += 1.0
    with pytest.raises(BadAgent, match="other code"):
        asyncio.run(versions.prepare(first))
    with pytest.raises(NotReady):
        asyncio.run(versions.prepare(other))
    version.definition["tools"][0]["code"] = source_digest(greet.function)
    assert asyncio.run(versions.prepare(other)).servable.functions == {"greet": greet}


def test_a_version_that_no_process_can_load_is_not_waited_for(kit: Any) -> None:
    """Its output is no object, whatever the code."""
    version = kit.version_of(replace(AGENT, output={"type": "array"}))
    live: Any = SimpleNamespace(serving=None)
    tools: Any = Boxes()
    loaders = {"agent": AgentLoader({"desk": AGENT})}
    versions = RunVersions({"desk": "agent"}, {}, live, loaders, tools, lambda: cast("Any", Known(version)))
    run = RunRecord(id="r", kind="agent", asset="desk", version=version.id, arm="champion", status="running", input=b"")
    with pytest.raises(BadAgent):
        asyncio.run(versions.prepare(run))
