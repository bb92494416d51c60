"""Bare pydantic-ai: the same five answers and four calls; nothing is kept or limited. With a URL, its model is asked there over HTTP."""

from __future__ import annotations

import sys

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


def _asked(url: str):  # type: ignore[no-untyped-def]
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel("gpt-x", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none"))


async def main() -> None:
    agent = Agent(_asked(sys.argv[1]) if len(sys.argv) > 1 else FunctionModel(model), tools=[look], name="desk")

    async def one() -> None:
        found = await agent.run("Where is it?")
        assert found.output == "done"
        assert len(found.all_messages()) == 2 * N_CALLS + 2

    await answer(one)


if __name__ == "__main__":
    run(main)
