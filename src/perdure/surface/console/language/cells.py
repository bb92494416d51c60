"""Cells, figures and addresses that the pages of this area share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from perdure.core.clock import from_us
from perdure.core.stats.intervals import Interval
from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Tone
from perdure.surface.words import instant

OVERVIEW = ("Language", "/language")
"""First crumb of every page here."""
NONE = "–"
_PAGES: Mapping[str, str] = {
    "prompt": "/language/prompts",
    "index": "/language/indexes",
    "judge": "/language/judges",
    "guard": "/language/guards",
    "agent": "/language/agents",
    "graph": "/language/graphs",
    "suite": "/language/suites",
}
STATES: Mapping[str, Tone] = {
    "healthy": "good",
    "broken": "bad",
    "unsure": "warn",
    "stale": "warn",
    "not measured": "mute",
    "no objective": "mute",
}


def page_of(kind: str, name: str) -> str:
    """Where an asset is shown: by this area where it has a page for its kind, else among the assets.

    >>> page_of("prompt", "support.answer"), page_of("route", "main")
    ('/language/prompts/support.answer', '/assets/route/main')
    """
    return address(_PAGES.get(kind, address("/assets", kind)), name)


def at(instant_at: datetime | None) -> Cell | str:
    """An instant; a dash where there is none."""
    return NONE if instant_at is None else Cell(f"{instant(instant_at)} UTC", at=instant_at)


def at_us(us: int) -> Cell | str:
    """An instant in microseconds; a dash for 0."""
    return at(from_us(us)) if us else NONE


def usd(value: float | None) -> str:
    """Money; a dash where the price is not known.

    >>> usd(0.0123), usd(None)
    ('$0.0123', '–')
    """
    from perdure.surface.words import money

    return NONE if value is None else money(value)


def ms(value: float | None) -> str:
    """Milliseconds with their unit.

    >>> ms(0.04), ms(3.21), ms(1234.5), ms(93_000.0), ms(None)
    ('0.04 ms', '3.2 ms', '1,234 ms', '93.0 s', '–')
    """
    if value is None:
        return NONE
    if value >= 10_000:
        return f"{value / 1000:,.1f} s"
    if 0 < value < 1:
        return f"{value:.2f} ms"
    return f"{value:,.1f} ms" if value < 100 else f"{value:,.0f} ms"


def count(n: int | None) -> str:
    """A count with its thousands apart; a dash where there is none.

    >>> count(12345), count(None)
    ('12,345', '–')
    """
    return NONE if n is None else f"{n:,}"


def share(value: float | None) -> str:
    """A ratio in percent.

    >>> share(0.913), share(None)
    ('91.3%', '–')
    """
    return NONE if value is None else f"{100 * value:.1f}%"


def interval(found: Interval | None) -> str:
    """A ratio with its bounds.

    >>> interval(Interval(0.9, 0.85, 0.94, 60))
    '90.0% (85.0 to 94.0)'
    """
    return NONE if found is None else f"{share(found.value)} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def state(name: str) -> Cell:
    """A state of health as a badge."""
    return Cell(name, tone=STATES.get(name, "mute"))
