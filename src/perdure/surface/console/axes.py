"""Where the axes of a chart begin and end, and round instants along them; round values are `report.chart.ticks`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from perdure.core.clock import from_us, to_us

_DAY = 86_400_000_000
_STEPS_S = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def span_of(values: Sequence[float]) -> tuple[float, float]:
    """From where to where an axis goes: from zero, unless the values lie close together far from it.

    >>> span_of([8.0, 12.0]), span_of([0.991, 0.999]), span_of([])
    ((0.0, 12.0), (0.991, 0.999), (0.0, 1.0))
    """
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if 0 <= low < 0.75 * high or low == high:
        low = min(0.0, low)
    elif high <= 0:
        high = 0.0
    return (low, high) if high > low else (low, low + 1.0)


def instants(start_us: int, end_us: int, n: int = 7) -> list[tuple[int, str]]:
    """Round instants within a span, at most about `n`, each with its words: a time, a day or a month (UTC).

    >>> [words for _, words in instants(0, 3 * 86_400_000_000, 4)]
    ['1 Jan', '2 Jan', '3 Jan', '4 Jan']
    """
    wanted = max(end_us - start_us, 1) / n
    step = next((each * 1_000_000 for each in _STEPS_S if each * 1_000_000 >= wanted), None)
    if step is None:
        return _months(start_us, end_us, wanted)
    first = -(-start_us // step) * step
    return [(at, _words(at, step)) for at in range(first, end_us + 1, step)]


def _words(at_us: int, step_us: int) -> str:
    at = from_us(at_us)
    if step_us < _DAY:
        return f"{at:%H:%M:%S}" if step_us < 60_000_000 else f"{at:%H:%M}" if at_us % _DAY else f"{at.day} {at:%b}"
    return f"{at.day} {at:%b}"


def _months(start_us: int, end_us: int, wanted_us: float) -> list[tuple[int, str]]:
    step = next((each for each in _MONTHS if each * 30 * _DAY >= wanted_us), _MONTHS[-1])
    step = max(step, round(wanted_us / (365 * _DAY)) * 12)  # over centuries
    found = []
    for n in range(from_us(start_us).year * 12, from_us(end_us).year * 12 + 12, step):
        month = datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC)
        if start_us <= to_us(month) <= end_us:
            found.append((to_us(month), f"{month:%b} {month.year}"))
    return found
