"""LangGraph: a graph of a model and its tools, the same five answers and four calls; kept in SQLite where a file is named."""

from __future__ import annotations

import sys
from typing import Annotated, TypedDict

from answering import answer, run
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode

N_CALLS = 4


class State(TypedDict):
    messages: Annotated[list, add_messages]


@tool
async def look(query: str, top: int = 3) -> str:  # noqa: ARG001
    """Look something up."""
    return f"result {query}"


async def model(state: State) -> dict[str, list[AIMessage]]:
    n = sum(isinstance(each, AIMessage) for each in state["messages"])
    if n < N_CALLS:
        call = {"name": "look", "args": {"query": f"q{n}", "top": 3}, "id": f"c{n}"}
        return {"messages": [AIMessage(content="", tool_calls=[call])]}
    return {"messages": [AIMessage(content="done")]}


async def has_runs(saver: AsyncSqliteSaver | None) -> None:
    graph = StateGraph(State)
    graph.add_node("model", model)
    graph.add_node("tools", ToolNode([look]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "model")
    compiled, number = graph.compile(checkpointer=saver), iter(range(10**9))

    async def one() -> None:
        at = {"configurable": {"thread_id": str(next(number))}}
        found = await compiled.ainvoke({"messages": [HumanMessage("Where is it?")]}, at)
        assert found["messages"][-1].content == "done"
        assert len(found["messages"]) == 2 * N_CALLS + 2

    await answer(one)


async def main() -> None:
    if len(sys.argv) == 1:
        await has_runs(None)
        return
    async with AsyncSqliteSaver.from_conn_string(sys.argv[1]) as saver:
        await has_runs(saver)


if __name__ == "__main__":
    run(main)
