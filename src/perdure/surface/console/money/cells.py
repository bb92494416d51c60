"""Money, counts and shares as they stand in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.surface.words import money

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Key

NONE = "–"


def usd(value: float | None) -> str:
    """US dollars; `unknown` where no price is known.

    >>> usd(12.5), usd(None)
    ('$12.50', 'unknown')
    """
    return money(value)


def count(n: int | None) -> str:
    """A count.

    >>> count(12345), count(None)
    ('12,345', '–')
    """
    return NONE if n is None else f"{n:,}"


def share(value: float | None, whole: float | None) -> str:
    """A part of a whole in percent.

    >>> share(1.0, 3.0), share(None, 3.0), share(1.0, 0.0)
    ('33%', '–', '–')
    """
    return NONE if value is None or not whole else f"{100 * value / whole:.0f}%"


def change(now: float | None, before: float | None) -> str:
    """How far a value is from what it was.

    >>> change(3.0, 2.0), change(1.0, 4.0), change(1.0, None), change(1.0, 0.0), change(None, 2.0)
    ('+50%', '-75%', 'new', 'new', '–')
    """
    if now is None:
        return NONE
    if not before:
        return "new" if now else NONE
    return f"{100 * (now - before) / before:+,.0f}%"


def shown_key(key: Key) -> str:
    """What people call a key, beside its id.

    >>> from types import SimpleNamespace
    >>> shown_key(SimpleNamespace(id="k_1", label="bot")), shown_key(SimpleNamespace(id="k_2", label=""))
    ('bot (k_1)', 'k_2')
    """
    return f"{key.label} ({key.id})" if key.label else key.id
