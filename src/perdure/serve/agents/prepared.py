"""The agent of pydantic-ai that one version's runs share, and one run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_ai
from pydantic_ai import Agent, ModelRetry, NativeOutput, StructuredDict, ToolOutput, UsageLimits
from pydantic_ai.exceptions import UnexpectedModelBehavior

from perdure.core.errors import BadAgent, BadPrompt
from perdure.engines.prompts.variables import validator_of
from perdure.serve.agents.bodies import OUTPUT_TOOL
from perdure.serve.agents.chatting import DrivenModel
from perdure.serve.agents.drives import Drive
from perdure.serve.agents.ending import done, stopped
from perdure.serve.agents.toolset import DrivenToolset
from perdure.serve.runs.protocols import Ended

RETRIES = 2
"""After an answer that is empty, or not of the declared form."""
_UNLIMITED = UsageLimits(request_limit=None)
"""The runtime has limits of its own, which count all that a run does."""
_ANY = StructuredDict({"type": "object", "properties": {}})
"""What is asked for goes out with the declared schema, and is held against it below."""
_TOLD = 5

pydantic_ai.BANNER_ENABLED = False


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One version's agent of pydantic-ai; safe for any number of runs at once."""

    agent: Agent[Drive, Any]

    async def run(self, drive: Drive) -> Ended:
        """To the end.

        Raises:
            Exception: as `Drive.answer` and `Drive.call`.
        """
        try:
            # It has to begin with something; what is asked goes out with each request.
            found = await self.agent.run("run", model=DrivenModel(drive), deps=drive, usage_limits=_UNLIMITED)
        except UnexpectedModelBehavior as error:
            drive.settle()
            return _unusable(drive, error)
        drive.settle()
        return done(found.output)


def prepare(name: str, output: Mapping[str, Any] | None, *, has_tools: bool) -> Prepared:
    """The agent of a version.

    Args:
        name: of the agent.
        output: JSON schema of what it gives; None: text.
        has_tools: then the output is given by a call, for many models call no tools where the form of their answers is set.

    Raises:
        BadAgent: `output` is no JSON schema.
    """
    if output is None:
        kind: Any = str
    else:
        kind = ToolOutput(_ANY, name=OUTPUT_TOOL) if has_tools else NativeOutput(_ANY)
    agent: Agent[Drive, Any] = Agent(
        name=name, deps_type=Drive, output_type=kind, toolsets=[DrivenToolset()], retries={"tools": 0, "output": RETRIES}
    )  # fmt: skip
    if output is not None:
        _hold(agent, name, output)
    return Prepared(agent)


def _hold(agent: Agent[Drive, Any], name: str, output: Mapping[str, Any]) -> None:
    try:
        validator = validator_of(f"The output of agent {name!r}", output)
    except BadPrompt as error:
        raise BadAgent(error.message, hint=error.hint) from error

    @agent.output_validator
    def hold(found: dict[str, Any]) -> dict[str, Any]:
        errors = [
            f"{'/'.join(map(str, each.instance_path)) or 'the whole'}: {each.message}"
            for each, _ in zip(validator.iter_errors(found), range(_TOLD), strict=False)
        ]
        if errors:
            raise ModelRetry("The result is not of the form that was asked for. " + "; ".join(errors))
        return found


def _unusable(drive: Drive, error: UnexpectedModelBehavior) -> Ended:
    turn = drive.last
    if turn is None or (not turn.text.strip() and not turn.calls):
        text = f"The model answered nothing, {RETRIES + 1} times in a row."
        return stopped("failed", "model.empty", text, drive.best())
    text = f"The model did not give a result of the declared form: {error.message}"
    return stopped("failed", "model.bad_output", text, drive.best())
