"""What a process drives runs by: what it serves, how many at once, and its name in claims."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perdure.core.runs import RunRecord
from perdure.serve.runs.hearing import Listening


@dataclass(frozen=True, slots=True)
class Terms:
    """How runs are driven here.

    Args:
        most_at_once: runs of callers that are driven at once; as many more wait as `_WAITING_RATIO` says. Runs below them are not counted.
        poll_s: how often the store is asked for runs that can go on.
        ttl_s: a process that is silent for so long loses its runs to another.
    """

    most_at_once: int = 64
    poll_s: float = 1.0
    ttl_s: float = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """What of a project is served here.

    Args:
        assets: names of agents and graphs whose runs are taken over.
        choose: version and arm for a run of a kind's asset below another; raises NotFound or NotReady.
    """

    assets: Callable[[], Sequence[str]]
    choose: Callable[[str, str, RunRecord], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was asked for."""

    run: RunRecord
    is_new: bool
    """False: its idempotency key was known, and this is the run of the first request."""
    listening: Listening | None = None


def worker_name() -> str:
    """Another name for each process and start: host, process, randomness."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
