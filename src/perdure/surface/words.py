"""Numbers, instants and counts as people read them: on the command line, in cards, stories and reports."""

from __future__ import annotations

from datetime import datetime

from perdure.core.clock import iso, parse_at


def number(value: float | None) -> str:
    """Four significant digits, counts as they are; a dash where there is no value.

    >>> number(1.18), number(34), number(0.0), number(12345.6), number(-7.444e-09), number(None)
    ('1.180', '34', '0', '12,346', '-7.4e-09', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) or not value or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:#.4g}"


def money(usd: float | None) -> str:
    """US dollars: to the cent from one dollar on, below to a ten-thousandth of a cent where it takes that.

    >>> money(1234.567), money(0.6), money(0.0001234), money(0.0), money(None)
    ('$1,234.57', '$0.60', '$0.000123', '$0.00', 'unknown')
    """
    if usd is None:
        return "unknown"
    cents, _, rest = f"{abs(usd):,.6f}".partition(".")
    digits = rest[:2] + rest[2:].rstrip("0")
    told = f"{abs(usd):,.2f}" if abs(usd) >= 1 else f"{cents}.{digits}"
    return f"-${told}" if usd < 0 else f"${told}"


def instant(at: datetime | str) -> str:
    """An instant to the second, for reading.

    >>> instant("2013-03-01T06:00:00Z")
    '2013-03-01 06:00:00'
    """
    return iso(parse_at(at) if isinstance(at, str) else at)[:19].replace("T", " ")


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(2500, "row"), counted(2, "entry", "entries")
    ('1 row', '2,500 rows', '2 entries')
    """
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def words(name: str) -> str:
    """A name as words.

    >>> words("rolled_back")
    'rolled back'
    """
    return name.replace("_", " ")
