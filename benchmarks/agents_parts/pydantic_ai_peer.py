"""Bare pydantic-ai: the same five answers and four calls; nothing is kept, limited or asked over a gateway."""

from __future__ import annotations

from answering import answer, run
from pydantic_ai import Agent, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

N_CALLS = 4


async def model(messages, info):  # type: ignore[no-untyped-def] # noqa: ARG001
    n = sum(isinstance(each, ModelResponse) for each in messages)
    if n < N_CALLS:
        return ModelResponse(parts=[ToolCallPart("look", {"query": f"q{n}", "top": 3}, tool_call_id=f"c{n}")])
    return ModelResponse(parts=[TextPart("done")])


async def look(query: str, top: int = 3) -> str:  # noqa: ARG001
    """Look something up."""
    return f"result {query}"


async def main() -> None:
    agent = Agent(FunctionModel(model), tools=[look], name="desk")

    async def one() -> None:
        found = await agent.run("Where is it?")
        assert found.output == "done"
        assert len(found.all_messages()) == 2 * N_CALLS + 2

    await answer(one)


if __name__ == "__main__":
    run(main)
