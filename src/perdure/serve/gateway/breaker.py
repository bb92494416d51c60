"""Circuit breakers and retry budgets: what keeps a gateway from storming an upstream that is in trouble.

Each target has one breaker a process, shared by every version of every route that names it: an upstream is in trouble for
all of them. A stream that breaks after its first byte counts as a failure too, whatever status it began with.
"""

from __future__ import annotations

from perdure.core.clock import monotonic_s

_EMA = 0.2
"""Weight of the newest time to the first byte in its moving average."""


class Breaker:
    """Closed (calls pass), open (the target rests), or half open (one call at a time tries it)."""

    __slots__ = ("_failures", "_opened_s", "_trying", "first_s", "n_open", "n_under_way")

    def __init__(self) -> None:
        self._failures = 0
        self._opened_s = 0.0
        self._trying = False
        self.first_s = 0.0
        """Moving average of the time to the first byte; 0 before the first."""
        self.n_open = 0
        """How often it opened."""
        self.n_under_way = 0

    def is_open(self, rest_s: float) -> bool:
        """Whether the target rests now, or is being tried by another call."""
        if not self._opened_s:
            return False
        return self._trying or monotonic_s() - self._opened_s < rest_s

    def begin(self) -> None:
        """A call goes to the target."""
        self.n_under_way += 1
        if self._opened_s:
            self._trying = True

    def succeed(self, first_s: float) -> None:
        """A call came to its good end; `first_s` is its time to the first byte."""
        self.n_under_way -= 1
        self._failures, self._opened_s, self._trying = 0, 0.0, False
        self.first_s = first_s if not self.first_s else self.first_s + _EMA * (first_s - self.first_s)

    def fail(self, limit: int) -> None:
        """A call failed, at its head or in the middle of its stream; after `limit` in a row the target rests."""
        self.n_under_way -= 1
        self._failures += 1
        if self._opened_s or self._failures >= limit:
            self.n_open += not self._opened_s
            self._opened_s, self._trying = monotonic_s(), False

    def leave(self) -> None:
        """A call ended without saying anything about the target, such as one that the client cancelled."""
        self.n_under_way -= 1
        self._trying = False

    @property
    def is_closed(self) -> bool:
        """Whether calls pass freely."""
        return not self._opened_s


class RetryBudget:
    """Retries are at most a share of calls, beside a few to begin with."""

    __slots__ = ("_left", "_share")

    _MOST = 10.0

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = self._MOST

    def earn(self) -> None:
        """A call came: it earns its share of a retry."""
        self._left = min(self._left + self._share, self._MOST)

    def take(self) -> bool:
        """Whether there is a retry left; takes it."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
