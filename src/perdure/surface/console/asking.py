"""Reads what a page was asked, from its query or its form: numbers, choices, instants, texts; and makes addresses.

Every area reads by these, so that a wrong value is refused in the same words everywhere, with what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from perdure.core.clock import parse_at
from perdure.core.errors import BadRequest, DeclarationError, nearest

_MOST = 200
YEARS = 1800, 2500
"""That a page may be asked about: a window before or after the first or last instant that can be written would be none."""


def whole(given: Mapping[str, str], name: str, default: int, *, least: int = 0, most: int = _MOST) -> int:
    """A whole number within bounds.

    >>> whole({"limit": "20"}, "limit", 50)
    20

    Raises:
        BadRequest: no whole number, or out of bounds.
    """
    said = given.get(name, "")
    if not said:
        return default
    if not (said.isascii() and said.removeprefix("-").isdigit() and len(said) < 20 and least <= int(said) <= most):
        raise BadRequest(f"{name} is a whole number from {least} to {most}.", hint=f"Leave it out for {default}.")
    return int(said)


def one_of(given: Mapping[str, str], name: str, known: Sequence[str], default: str = "") -> str:
    """One of the known words.

    Raises:
        BadRequest: another word.
    """
    said = given.get(name, "")
    if not said:
        return default
    if said not in known:
        near = nearest(said, known)
        raise BadRequest(f"{name} is one of: {', '.join(known)}.", hint=f"Did you mean {near!r}?" if near else "")
    return said


def instant(given: Mapping[str, str], name: str, default: datetime) -> datetime:
    """An instant of ISO 8601 in `YEARS`.

    Raises:
        BadRequest: no such instant.
    """
    said = given.get(name, "")
    if not said:
        return default
    try:
        at = parse_at(said)
    except DeclarationError as error:
        raise BadRequest(f"{name} is an instant such as 2026-01-31T14:00Z.", hint="Give ISO 8601.") from error
    if not YEARS[0] <= at.year <= YEARS[1]:
        raise BadRequest(f"{name} lies outside of the years {YEARS[0]} to {YEARS[1]}.", hint="Give one within them.")
    return at


def whole_minute(at: datetime) -> datetime:
    """The next whole minute, or this one: ends of windows that people read, and may change.

    >>> whole_minute(datetime(2026, 1, 31, 14, 0, 20)).isoformat()
    '2026-01-31T14:01:00'
    """
    whole = at.replace(second=0, microsecond=0)
    return whole if whole == at else whole + timedelta(minutes=1)


def text(given: Mapping[str, str], name: str, *, most: int = 500) -> str:
    """A text without what surrounds it; empty where it is missing.

    Raises:
        BadRequest: longer than `most` characters.
    """
    said = given.get(name, "").strip()
    if len(said) > most:
        raise BadRequest(f"{name} has {len(said):,} characters; {most:,} is the most.", hint="Say it in fewer words.")
    return said


def behind(first: int, empty: str) -> str:
    """What stands where a page of a list has no row: what is told of an empty list is not true of one that ends before the page.

    >>> behind(0, "No run yet."), behind(200, "No run yet.")
    ('No run yet.', 'The list ends before this page: it has become shorter, or the address is wrong. Begin at its first page.')
    """
    told = "The list ends before this page: it has become shorter, or the address is wrong. Begin at its first page."
    return told if first else empty


def address(path: str, /, *parts: str, **query: object) -> str:
    """A local address: `parts` are quoted and joined to the path, what of the query is empty is left out.

    >>> address("/assets", "model", "air time", signal="drift", slice="")
    '/assets/model/air%20time?signal=drift'
    """
    whole_path = "/".join([path.rstrip("/"), *(quote(part, safe="") for part in parts)]) or "/"
    asked = {name.rstrip("_"): str(value) for name, value in query.items() if value not in ("", None)}
    return f"{whole_path}?{urlencode(asked)}" if asked else whole_path
