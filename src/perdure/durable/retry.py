"""How a failed step is tried again, and how long it may take. Used by `steps`; all of it is machine time.

What surprised us: a thread cannot be killed. A step that takes too long is left running in its thread,
and what it gives is thrown away. That is harmless where it is meant to be used: the step's effects are
idempotent under its key, the next try has the same key, and a worker that lost its lease is fenced.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from secrets import SystemRandom
from threading import Thread
from typing import Any, TypeVar

from perdure.core.errors import DeclarationError, NotReady, Temporary

_T = TypeVar("_T")
_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried that fails with a `Temporary` error, and how long to wait in between.

    The n-th wait is `first_s * factor ** (n - 1)`, at most `longest_s`, drawn from its upper half so that
    workers that failed together do not come back together; never shorter than the error's own `delay_s`.

    Args:
        tries: all tries, the first included.
        first_s: the first wait.
        factor: how much longer each wait is than the one before.
        longest_s: the longest wait, unless the error asks for a longer one.
    """

    tries: int = 4
    first_s: float = 0.5
    factor: float = 2.0
    longest_s: float = 30.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_s < 0.0 or self.factor < 1.0 or self.longest_s < self.first_s:
            raise DeclarationError(f"{self!r} means nothing.", hint="Use Retry(tries=4, first_s=0.5, factor=2.0).")

    def wait_s(self, n_failed: int, error: Temporary) -> float:
        """Seconds to wait after so many failed tries.

        >>> error = NotReady("The model is loading.", delay_s=0.0)
        >>> 1.0 <= Retry(first_s=0.5, factor=2.0).wait_s(3, error) <= 2.0
        True
        >>> Retry().wait_s(1, NotReady("Maintenance.", delay_s=3600.0))
        3600.0
        """
        longest = min(self.first_s * self.factor ** (n_failed - 1), self.longest_s)
        return max(_random.uniform(longest / 2, longest), error.delay_s)


def within(timeout_s: float | None, what: str, work: Callable[[], _T]) -> _T:
    """What `work` gives, if it gives it in time; without a time-out it runs in the caller's thread.

    Raises:
        NotReady: it took longer than `timeout_s`, and its thread was left to itself.
        BaseException: whatever `work` raises.
    """
    if timeout_s is None:
        return work()
    given: list[_T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread, whatever it is
            raised.append(error)

    context: Any = contextvars.copy_context()
    thread = Thread(target=context.run, args=(run,), name=what, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if raised:
        raise raised[0]
    if not given:
        raise NotReady(f"{what} took longer than {timeout_s:g} s.", hint="Give it more time by `timeout_s`.")
    return given[0]
