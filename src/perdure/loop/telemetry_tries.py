"""What a try to send telemetry comes to, be it of spans (`loop.telemetry`) or of evaluations (`loop.telemetry_evals`).

A cursor moves on when what was sent arrived, and when the collector refused it for good: that is given up and counted. After any
other failure it stays, and nothing is tried for a while, longer each time. All waiting is on the machine's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from perdure.core.clock import iso, parse_at
from perdure.core.errors import NotReady
from perdure.core.units import seconds
from perdure.durable.retry import Retry
from perdure.loop.alerts import Answer

AT_MOST = 10
"""Tries a round: a round stays short, and the next one goes on."""
_REFUSED = (400, 413, 422)
"""What was sent is itself at fault. Any other answer may be that of a wrong address or key, which people mend."""
_WAITS = Retry(first_s=5.0, longest_s=600.0)
_LONGEST_ASKED_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How sending went, beside how far it came."""

    n_sent: int = 0
    """Spans or evaluations that arrived, ever."""
    n_failed: int = 0
    """Tries in a row, up to now, that failed and will be repeated."""
    next_at: str = ""
    """Machine time before which nothing is tried; empty when anything may."""
    n_given_up: int = 0
    """Spans or evaluations that the collector refused for good, ever."""
    problem: str = ""
    """What the last try that failed came to; empty again once one arrives."""

    def must_wait(self, now: datetime) -> bool:
        """Whether it is too soon, by the machine's clock, to try again."""
        return bool(self.next_at) and now < parse_at(self.next_at)


Cursor = TypeVar("Cursor", bound=Tried)


def after_try(before: Cursor, moved: Cursor, n: int, answer: Answer, now: datetime) -> Cursor:
    """The cursor after one try.

    Args:
        before: as it was.
        moved: `before`, moved behind what was sent.
        n: how much was sent.
        answer: the collector's.
        now: the machine's time.

    >>> from perdure.core.clock import parse_at
    >>> now = parse_at("2026-03-20T12:00:00Z")
    >>> after_try(Tried(n_failed=2), Tried(n_failed=2), 3, Answer(200), now)
    Tried(n_sent=3, n_failed=0, next_at='', n_given_up=0, problem='')
    >>> after_try(Tried(), Tried(), 3, Answer(400), now)
    Tried(n_sent=0, n_failed=0, next_at='', n_given_up=3, problem='HTTP 400')
    """
    if answer.delivered:
        return replace(moved, n_sent=before.n_sent + n, n_failed=0, next_at="", problem="")
    if answer.status in _REFUSED:
        return replace(moved, n_given_up=before.n_given_up + n, n_failed=0, next_at="", problem=answer.text)
    n_failed = before.n_failed + 1
    wait_s = _WAITS.wait_s(n_failed, NotReady(answer.text, delay_s=min(answer.retry_after_s, _LONGEST_ASKED_S)))
    return replace(before, n_failed=n_failed, next_at=iso(now + seconds(wait_s)), problem=answer.text)
