"""Makes versions of agents ready to be driven; what the watcher's loader calls for the kind `agent`.

pydantic-ai is imported here first, in the loader's thread: it takes nearly a second of CPU, which no run waits for.

What surprised us: a version says of a Python tool where its function stands and a digest of its source. A process with other source
would do something else under the version's name, so it refuses the version; `perdure apply` makes one of what is declared now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.assets.agent import Agent, RunLimits
from perdure.assets.tools import FunctionTool, source_digest
from perdure.assets.version import Version
from perdure.core.errors import BadAgent, MissingExtra, not_found
from perdure.serve.agents.bodies import OUTPUT_TOOL
from perdure.serve.runs.protocols import Json

if TYPE_CHECKING:
    from perdure.serve.agents.prepared import Prepared


@dataclass(frozen=True, slots=True, eq=False)
class LiveAgent:
    """A version of an agent, ready to be driven."""

    name: str
    version: str
    prompt: str
    route: str
    """Who answers; empty: the prompt's route."""
    tools: Sequence[Json]
    """What the version says of each tool, as `assets.tools.tool_definition` does."""
    functions: Mapping[str, FunctionTool]
    """Of the tools of the kind `function`, by name: the functions that the version was made of."""
    output: Mapping[str, Any] | None
    """JSON schema of what it gives; None: text."""
    limits: RunLimits
    keeps: str
    prepared: Prepared
    """The agent of pydantic-ai, for all runs of the version."""


@dataclass(frozen=True, slots=True, eq=False)
class AgentLoader:
    """Loads versions of the declared agents.

    Args:
        agents: as they are declared, by name.
    """

    agents: Mapping[str, Agent] = field(default_factory=dict)

    def load(self, version: Version, *, trusted: bool) -> LiveAgent:  # noqa: ARG002 - it runs declared code only
        """The agent of a version.

        Raises:
            NotFound: its asset is no declared agent.
            BadAgent: a function of it is not declared any more, or has other code; or its output is no object.
            MissingExtra: pydantic-ai is not installed.
        """
        if version.asset not in self.agents:
            raise not_found("agent", version.asset, self.agents)
        told = version.definition
        functions = {
            each["name"]: _function(version, each, self.agents[version.asset])
            for each in told["tools"]
            if each["kind"] == "function"
        }
        output = None if told["output"] is None else msgspec.json.decode(told["output"])
        _check(version, output, told["tools"])
        return LiveAgent(
            name=version.asset,
            version=version.id,
            prompt=told["prompt"],
            route=told["route"],
            tools=tuple(told["tools"]),
            functions=functions,
            output=output,
            limits=_limits(told["limits"]),
            keeps=told["keeps"],
            prepared=_prepare(version.asset, output, has_tools=bool(told["tools"])),
        )


def _function(version: Version, told: Mapping[str, Any], agent: Agent) -> FunctionTool:
    declared = (each for each in agent.tools if isinstance(each, FunctionTool))
    where = told["function"]
    found = next((each for each in declared if _place(each) == where), None)
    if found is None:
        raise BadAgent(
            f"Version {version.id} has the tool {told['name']!r} of {where}, which the agent does not declare any more.",
            hint="Declare it again, or release a version of what is declared: perdure apply.",
            version=version.id,
            other_code=True,
        )
    if source_digest(found.function) != told["code"]:
        raise BadAgent(
            f"Version {version.id} was made of other code of the tool {told['name']!r} ({where}).",
            hint="Release a version of the code as it is: perdure apply.",
            version=version.id,
            other_code=True,
        )
    return found


def _place(tool: FunctionTool) -> str:
    return f"{tool.function.__module__}:{tool.function.__qualname__}"


def _check(version: Version, output: Any, tools: Sequence[Mapping[str, Any]]) -> None:
    if output is not None and not (isinstance(output, dict) and output.get("type", "object") == "object"):
        raise BadAgent(
            f"Version {version.id} gives what is no object.", hint='Declare an output with {"type": "object"}.'
        )
    if output is not None and any(each["name"] == OUTPUT_TOOL for each in tools):
        raise BadAgent(
            f"A tool of {version.asset!r} is named {OUTPUT_TOOL!r}, by which its output is given.",
            hint="Give the tool another name=.",
        )


def _limits(told: Mapping[str, Any]) -> RunLimits:
    return RunLimits(**{name: each for name, each in told.items() if name != "wall_s"}, wall=timedelta(seconds=told["wall_s"]))  # fmt: skip


def _prepare(name: str, output: Mapping[str, Any] | None, *, has_tools: bool) -> Prepared:
    if find_spec("pydantic_ai") is None:
        raise MissingExtra("agents", needed_for=f"The agent {name!r}")
    from perdure.serve.agents.prepared import prepare

    return prepare(name, output, has_tools=has_tools)
