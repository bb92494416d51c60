"""pydantic-ai's model of one drive: what it was told goes to `Drive.answer` as messages of chat completions, and comes back as parts.

What surprised us: with its own preparation of messages, the framework rewrites texts that look like its frames, and tells the model of
it; a history is sent here as it was said. An exception of `request` leaves a run as it is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from perdure.serve.agents.bodies import Called, Turn, wire_id
from perdure.serve.agents.drives import Drive
from perdure.serve.runs.protocols import Json

MISTAKE_TOOL = "perdure_mistake"
"""Stands for every call of what is no tool; models are not offered it."""
_PROFILE = ModelProfile(supports_json_schema_output=True, supports_tools=True)


class DrivenModel(Model[Any]):
    """The model as one drive asks it.

    Args:
        drive: asks.
    """

    def __init__(self, drive: Drive) -> None:
        super().__init__(profile=_PROFILE)
        self._drive = drive
        self._turns: dict[str, Turn] = {}

    @property
    def model_name(self) -> str:
        """What is asked."""
        return "gateway"

    @property
    def system(self) -> str:
        """Who provides it."""
        return "perdure"

    def prepare_messages(
        self,
        messages: list[ModelMessage],
        model_request_parameters: ModelRequestParameters | None = None,  # noqa: ARG002 - the framework's signature
    ) -> list[ModelMessage]:
        """As they are."""
        return messages

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,  # noqa: ARG002 - the prompt's params are the settings
        model_request_parameters: ModelRequestParameters,  # noqa: ARG002 - tools go out as the toolbox offers them
    ) -> ModelResponse:
        """The next answer.

        Raises:
            Exception: as `Drive.answer`.
        """
        turn = await self._drive.answer(self._wire(messages))
        self._turns[str(turn.n)] = turn
        parts: list[Any] = [TextPart(turn.text)] if turn.text else []
        parts.extend(self._part(each) for each in turn.calls)
        return ModelResponse(
            parts=parts, usage=RequestUsage(), model_name="gateway", provider_name="perdure", provider_response_id=str(turn.n)
        )  # fmt: skip

    def _part(self, called: Called) -> ToolCallPart:
        if self._drive.is_output(called):
            return ToolCallPart(called.name, called.raw or "{}", tool_call_id=called.call)
        name = MISTAKE_TOOL if self._drive.is_mistaken(called) else called.name
        return ToolCallPart(name, {}, tool_call_id=called.call)

    def _wire(self, messages: Sequence[ModelMessage]) -> list[Json]:
        """What was said after the task."""
        told: list[Json] = []
        turn: Turn | None = None
        for message in messages[1:]:
            if isinstance(message, ModelResponse):
                turn = self._turns[message.provider_response_id or ""]
                if turn.echo is not None:
                    told.append(turn.echo)
            else:
                told.extend(_results(message, turn))
        return told


def _results(message: ModelRequest, turn: Turn | None) -> list[Json]:
    """What tools gave, in the order of their calls; then what the framework has to say of an answer that is of no use."""
    given = {part.tool_call_id: part.model_response_str() for part in message.parts if isinstance(part, ToolReturnPart)}
    calls = turn.calls if turn is not None else ()
    told = [{"role": "tool", "tool_call_id": wire_id(each.call), "content": given.get(each.call, "")} for each in calls]
    told.extend(
        {"role": "user", "content": _feedback(part.content)} for part in message.parts if part.part_kind == "retry-feedback"
    )  # fmt: skip
    return told


def _feedback(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "The answer is not of the form that was asked for: " + msgspec.json.encode(content, enc_hook=str).decode()
