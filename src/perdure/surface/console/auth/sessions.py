"""Begins a session: a new token every time, so that nobody can plant one in another's browser before they sign in."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from perdure.stores.sessions.protocols import Session
from perdure.surface.console.auth.calling import Caller, cookie_name
from perdure.surface.console.auth.csrf import new_secret
from perdure.surface.console.auth.permitting import HOUR_US
from perdure.surface.peopling import digest_of

if TYPE_CHECKING:
    from perdure.surface.console.parts import ConsoleParts

_MOST_AGENT, _MOST_ADDRESS = 200, 64
"""Characters: both are what somebody else wrote."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A session with the token that only its browser has."""

    token: str
    session: Session


def begin(parts: ConsoleParts, caller: Caller, person: str, now_us: int) -> Begun:
    """Begin a session; the one that the browser had ends, whoever's it was, and so do all that are over."""
    before = caller.cookies.get(cookie_name("session", parts.settings), "")
    if before:
        parts.sessions.end(digest=digest_of(before))
    parts.sessions.prune(now_us, int(parts.settings.idle_h * HOUR_US))
    token = token_urlsafe(32)
    session = Session(
        digest=digest_of(token),
        person=person,
        csrf=new_secret(),
        began_us=now_us,
        seen_us=now_us,
        expires_us=now_us + int(parts.settings.longest_h * HOUR_US),
        address=caller.address[:_MOST_ADDRESS],
        agent=caller.headers.get("user-agent", "")[:_MOST_AGENT],
    )
    parts.sessions.begin(session)
    return Begun(token, session)
