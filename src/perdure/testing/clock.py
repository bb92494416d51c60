"""A clock that stands still until it is told otherwise, for tests of anything that takes a `Clock`."""

from __future__ import annotations

from datetime import datetime, timedelta

from perdure.core.clock import EPOCH
from perdure.core.errors import DeclarationError


class SettableClock:
    """Tells the instant it was set to.

    >>> clock = SettableClock()
    >>> clock.advance(timedelta(hours=3)).isoformat()
    '1970-01-01T03:00:00+00:00'

    Args:
        at: the first instant, aware.
    """

    def __init__(self, at: datetime = EPOCH) -> None:
        self._at = _aware(at)

    def now(self) -> datetime:
        """The instant it stands at."""
        return self._at

    def set(self, at: datetime) -> datetime:
        """Put it at an instant, earlier ones too; returns it."""
        self._at = _aware(at)
        return self._at

    def advance(self, span: timedelta) -> datetime:
        """Put it forward (or back, by a negative span); returns the new instant."""
        return self.set(self._at + span)


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise DeclarationError(
            f"The instant {at.isoformat()!r} has no time zone.", hint="Use an aware datetime in UTC."
        )
    return at
