"""The end of a process with calls still under way: each is told so in the words of its client, billed and recorded.

`serve.server` cancels what is left once its grace is over, with a word by which a call knows that nobody hung up: a stream then
ends in an error event, a call of which nothing has gone out in a 503.
"""

from __future__ import annotations

import asyncio

from perdure.core.errors import NotReady

STOPPING = "the server stops"
"""What a task is cancelled with."""


def is_stop(error: BaseException) -> bool:
    """Whether a cancellation came because the server stops."""
    return isinstance(error, asyncio.CancelledError) and error.args == (STOPPING,)


def stopped() -> NotReady:
    """What a client is told; takes the cancellation back, so that it can be told."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    return NotReady("The server that answered is being stopped.", hint="Ask again: another takes its place.")
