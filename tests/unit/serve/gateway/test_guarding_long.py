"""Guards and long conversations: others do not wait for them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from perdure.assets.guard import Guard, Secrets
from perdure.core.errors import Blocked
from perdure.engines.guards.compiling import compile_guard
from perdure.serve.gateway.guarding import Armed, Guarding

KEY = "AKIAIOSFODNN7EXAMPLE"


def _judged_in(content: object) -> list[str]:
    """The thread that judged a request of one message."""
    guard = compile_guard("keys", "v1", Guard("keys", [Secrets()], mode="block").definition(), {})
    names: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(guard, name)

        def judge(self, messages, request):
            names.append(threading.current_thread().name)
            return guard.judge(messages, request)

    with ThreadPoolExecutor(1, thread_name_prefix="pool") as threads:
        guarding = Guarding(SimpleNamespace(guards=[]), [Armed("keys", "champion", Watched())], threads)  # type: ignore[arg-type]
        asyncio.run(guarding.judge_request({"messages": [{"role": "user", "content": content}]}))
    return names


def test_a_short_conversation_is_judged_at_once_and_a_long_one_in_a_thread() -> None:
    assert _judged_in("hello") == ["MainThread"]
    assert _judged_in("hello " * 10_000) == ["pool_0"]
    assert _judged_in([{"type": "text", "text": "hello " * 10_000}]) == ["pool_0"]


def test_a_long_conversation_goes_nowhere_before_it_is_judged() -> None:
    """Unlike what slow guards judge beside the upstream call."""
    with pytest.raises(Blocked):
        _judged_in("hello " * 10_000 + KEY)


def _answer_judged_in(message: dict[str, object]) -> list[str]:
    """The thread that judged a whole answer."""
    guard = compile_guard("keys", "v1", Guard("keys", [Secrets()], on=("output",), mode="block").definition(), {})
    names: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(guard, name)

        def judge_answer(self, answer, messages):
            names.append(threading.current_thread().name)
            return guard.judge_answer(answer, messages)

    with ThreadPoolExecutor(1, thread_name_prefix="pool") as threads:
        guarding = Guarding(SimpleNamespace(guards=[]), [Armed("keys", "champion", Watched())], threads)  # type: ignore[arg-type]
        asyncio.run(guarding.judge_answer({"choices": [{"index": 0, "message": {"role": "assistant", **message}}]}))
    return names


def test_a_short_answer_is_judged_at_once_and_a_long_one_in_a_thread() -> None:
    assert _answer_judged_in({"content": "hello"}) == ["MainThread"]
    assert _answer_judged_in({"content": "hello " * 10_000}) == ["pool_0"]


def test_an_answer_with_long_arguments_of_a_tool_call_is_judged_in_a_thread() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "' + "hello " * 10_000 + '"}'}}
    assert _answer_judged_in({"content": None, "tool_calls": [call]}) == ["pool_0"]


def test_a_long_answer_does_not_pass_with_what_a_guard_blocks() -> None:
    with pytest.raises(Blocked):
        _answer_judged_in({"content": "hello " * 10_000 + KEY})
