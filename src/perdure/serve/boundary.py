"""The one place in serve that catches everything: code of users and of model libraries runs behind it.

A failing version must not stop the watcher, a failing shadow must not stop an answer, and a client
gets a JSON error rather than a traceback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Done = TypeVar("Done")
Failed = TypeVar("Failed")


def contained(work: Callable[[], Done], failed: Callable[[Exception], Failed]) -> Done | Failed:
    """What `work` returns, or what `failed` makes of the error it raised.

    >>> contained(lambda: 1 // 0, lambda error: type(error).__name__)
    'ZeroDivisionError'
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - foreign code behind it may raise anything
        return failed(error)


def is_cancelled() -> bool:
    """Whether somebody cancelled the task that asks; else a `CancelledError` in it came from within, and is a failure like any other."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def contained_async(
    work: Callable[[], Awaitable[Done]], failed: Callable[[Exception], Awaitable[Failed]]
) -> Done | Failed:
    """The same of work that waits; a cancellation passes."""
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 - foreign code behind it may raise anything
        return await failed(error)
