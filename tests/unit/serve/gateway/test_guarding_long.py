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
