"""A run, a context and a world for tools, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from perdure.core.runs import RunRecord, StepRecord
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.protocols import ToolAsked, ToolContext, ToolGave
from perdure.serve.tools.making import Toolmaker
from perdure.serve.tools.toolbox import Box


class ScriptedWorld:
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []

    async def search(self, *asked: Any) -> Any:
        return self._answer("search", asked)

    async def predict(self, *asked: Any) -> Any:
        return self._answer("predict", asked)

    async def features(self, *asked: Any) -> Any:
        return self._answer("features", asked)

    async def child(self, *asked: Any) -> Any:
        return self._answer("child", asked)

    def _answer(self, name: str, asked: tuple[Any, ...]) -> Any:
        self.asked.append((name, *asked))
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Bench:
    """Calls tools of a box as a run does."""

    def __init__(self) -> None:
        self.maker = Toolmaker(env={})
        self.world = ScriptedWorld()
        self.run = a_run()
        self.steps: list[StepRecord] = []

    def box(self, *tools: Any, keeps: str = "redacted") -> Box:
        return self.maker.box(tools, keeps=keeps)

    def read(self, text: str, node: str = "tool:look", **facts: Any) -> None:
        """What the run has read before."""
        step = StepRecord(
            run="r",
            n=len(self.steps),
            kind="tool",
            state="done",
            node=node,
            call="0.0",
            output=msgspec.json.encode(text),
            facts=facts,
        )
        self.steps.append(step)

    def context(self, **changes: Any) -> ToolContext:
        told = {"run": self.run, "caller": Caller("", None), "key": "k1", "world": self.world, "steps": self.steps}
        return ToolContext(**{**told, **changes})

    def call(self, box: Box, name: str, /, *, approved: bool = False, **arguments: Any) -> ToolGave:
        return asyncio.run(box.call(ToolAsked(name, arguments, "1.0"), self.context(approved=approved)))


def a_run(**changes: Any) -> RunRecord:
    told: dict[str, Any] = {
        "id": "run_1", "kind": "agent", "asset": "desk", "version": "desk@1", "arm": "champion", "status": "running",
        "input": b'{"task": "Refund order 4471 to ann@example.org"}', "team": "shop", "user": "ann", "served_us": 1_700_000_000_000_000,
    }  # fmt: skip
    return RunRecord(**{**told, **changes})


@pytest.fixture
def bench() -> Bench:
    """A box's surroundings."""
    return Bench()


@pytest.fixture
def run_with() -> Callable[..., RunRecord]:
    """Makes runs."""
    return a_run
