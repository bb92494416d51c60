"""One drive of one run: what pydantic-ai's model and tools of it share. Knows nothing of pydantic-ai.

Calls of one answer run side by side. One that has to wait for a person, or meets a limit, must not take the others with it: each is
asked to its end, and only then does the drive end, by what came first in the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import nearest
from perdure.core.runs import StepRecord
from perdure.serve.agents.bodies import OUTPUT_TOOL, Called, Turn
from perdure.serve.agents.chats import Chats
from perdure.serve.agents.ending import Stop, best_of, stopped
from perdure.serve.runs.protocols import Driven, Json, LimitHit, Parked, ToolAsked, ToolGave

MISTAKES = 3
"""Answers in a row of which every call names no tool or cannot be read; the run ends after one more."""
_SHOWN = 200


class Drive:
    """Goes through a run once, from its start.

    Args:
        driven: the run.
        chats: asks the model.
        has_output: whether the output is given by a call of `final_result`.
    """

    def __init__(self, driven: Driven, chats: Chats, *, has_output: bool) -> None:
        self.driven = driven
        self.has_output = has_output
        self.last: Turn | None = None
        self._chats = chats
        self._offered = {each.name: each for each in driven.toolbox.offered}
        self._mistaken = {each.call: each for each in driven.journal.steps if each.kind == "tool" and each.facts.get("mistaken")}  # fmt: skip
        self._n_mistaken = 0
        self._calls: dict[str, Called] = {}
        self._said: list[str] = []
        self._gave: dict[tuple[int, int], tuple[str, ToolGave]] = {}
        self._endings: dict[tuple[int, int], Parked | LimitHit] = {}

    async def answer(self, messages: Sequence[Json]) -> Turn:
        """What the model says next.

        Raises:
            Parked, LimitHit: of a call of the answer before, or of this question.
            Stop: the run is over: by refusal, filter, length, or too many mistakes.
            PerdureError: as the gateway said it.
            LostLease: another worker drives this run now.
        """
        self.settle()
        turn = self.last = await self._chats.ask(messages)
        self._calls = {each.call: each for each in turn.calls}
        self._said.append(turn.text)
        self._judge(turn)
        return turn

    def settle(self) -> None:
        """End the drive where a call of the last answer has to.

        Raises:
            Parked, LimitHit: of the first such call in the answer.
        """
        if self._endings:
            raise self._endings[min(self._endings)]

    def is_mistaken(self, called: Called) -> bool:
        """Whether it is no call: of no tool, or with arguments that are no object."""
        return called.arguments is None or called.name not in self._offered

    def is_output(self, called: Called) -> bool:
        """Whether it gives the output."""
        return self.has_output and called.name == OUTPUT_TOOL

    def best(self) -> str:
        """The best text that the run has."""
        return best_of(self._said, [self._gave[place] for place in sorted(self._gave)])

    def _judge(self, turn: Turn) -> None:
        if turn.calls:
            mistaken = all(self.is_mistaken(each) and not self.is_output(each) for each in turn.calls)
            self._n_mistaken = self._n_mistaken + 1 if mistaken else 0
            if self._n_mistaken > MISTAKES:
                code, text = self._mistake(turn.calls[0])
                why = f"{self._n_mistaken} answers in a row called no tool that there is, or not as it is called. The last: {text}"
                raise Stop(stopped("failed", code, why, self.best()))
            return
        if turn.refusal:
            raise Stop(stopped("failed", "model.refused", "The model refused to answer.", turn.refusal))
        if turn.finish == "content_filter":
            raise Stop(stopped("failed", "model.filtered", "The model's provider filtered its answer.", self.best()))
        if turn.finish == "length":
            text = "The model's answer was cut: it was longer than the tokens that it may say."
            raise Stop(stopped("limited", "model.cut", text, self.best()))

    async def call(self, call: str) -> str:
        """What one call of the last answer gives, as the model reads it; empty where the drive ends instead.

        Raises:
            LostLease: another worker drives this run now.
        """
        called = self._calls[call]
        place = _place(call)
        try:
            gave = await self._done(called)
        except (Parked, LimitHit) as ending:
            self._endings[place] = ending
            return ""
        self._gave[place] = (called.name, gave)
        return gave.text

    async def _done(self, called: Called) -> ToolGave:
        if self.is_mistaken(called):
            return await self._told_mistake(called)
        assert called.arguments is not None
        return await self.driven.doing.do(ToolAsked(called.name, called.arguments, called.call))

    async def _told_mistake(self, called: Called) -> ToolGave:
        code, text = self._mistake(called)
        given: Any = called.raw[:_SHOWN] if called.arguments is None else called.arguments
        if self.driven.replayer is not None:  # its entry in the record has had its turn
            self.driven.replayer.tool(ToolAsked(called.name, given, called.call))
        if called.call not in self._mistaken:
            step = StepRecord(
                run="", n=0, kind="tool", state="failed", node=f"tool:{called.name[:64]}", call=called.call,
                input=msgspec.json.encode(given),
                error=code, text=text, began_us=machine_us(), facts={"mistaken": True},
            )  # fmt: skip
            await self.driven.journal.write(step)
        return ToolGave(b"null", text, code)

    def _mistake(self, called: Called) -> tuple[str, str]:
        if called.name not in self._offered:
            near = nearest(called.name, self._offered)
            known = f"Did you mean {near!r}?" if near else f"There are: {', '.join(self._offered) or 'none'}."
            return "tool.unknown", f"There is no tool {called.name[:64]!r}. {known}"
        return (
            "tool.bad_arguments",
            f"The arguments of {called.name!r} are no JSON object: {called.raw[:_SHOWN]!r}. Send one as its schema says.",
        )


def _place(call: str) -> tuple[int, int]:
    step, place = call.split(".")
    return int(step), int(place)
