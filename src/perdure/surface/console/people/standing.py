"""How a person or program stands: what is offered to choose from, whether they can come in, what their roles permit, in words.

Read by every page of people, so that one thing has one name on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.clock import from_us, machine_us
from perdure.core.errors import NotReady
from perdure.surface.console.records import NEVER_BY_KEY, PERMITS, ROLES, Cell, Permit, Role, Table
from perdure.surface.governance.handing import DUTIES

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings
    from perdure.stores.ledger.people_protocols import PersonRecord
    from perdure.stores.sessions.protocols import Secret, Session
    from perdure.surface.console.parts import ConsoleParts
    from perdure.surface.console.records import Asked

PERMIT_WORDS: Mapping[Permit, str] = {
    "look": "see every page without bodies",
    "bodies": "read prompts, answers, documents and rows",
    "note": "write on cards, hand off, take over, snooze",
    "label": "label cases",
    "ask": "ask models, which costs money",
    "work": "train, evaluate, call off",
    "brake": "pause, resume, roll back",
    "decide": "answer questions, with the role that each asks for",
    "keys": "issue and revoke keys of the gateway",
    "people": "let people in, and give roles",
}

_BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
_SYSTEMS = (
    ("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("Mac OS X", "macOS"), ("Linux", "Linux"),
)  # fmt: skip
"""Tokens in the order in which they tell apart: every browser claims to be the ones before it in time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One box to tick in a form."""

    field: str
    words: str
    on: bool
    says: str = ""


def stores(asked: Asked) -> ConsoleParts:
    """Of secrets and sessions.

    Raises:
        NotReady: the console has none.
    """
    if asked.parts is None:
        raise NotReady("This console keeps no sessions.", hint="Start it by perdure console.")
    return asked.parts


def role_choices(asked: Asked, held: Sequence[str] = ()) -> tuple[Choice, ...]:
    """The console's roles, then the project's own: those of `[roles]`, and those that somebody holds."""
    own = {*asked.project.settings.roles, *held, *(role for each in asked.project.list_people() for role in each.roles)}
    known = [Choice(f"role.{role}", role, role in held, _role_says(role)) for role in ROLES]
    return (*known, *(Choice(f"role.{role}", role, role in held, "of this project") for role in sorted(own - {*ROLES})))


def duty_choices(held: Sequence[str] = ()) -> tuple[Choice, ...]:
    """What a person can look after."""
    return tuple(Choice(f"duty.{duty}", words, duty in held) for duty, words in DUTIES.items())


def chosen(form: Mapping[str, str], kind: str) -> list[str]:
    """The names that were ticked of `role` or `duty`, and of roles those that were typed, separated by commas."""
    ticked = [field.removeprefix(f"{kind}.") for field, value in form.items() if field.startswith(f"{kind}.") and value]
    typed = [each.strip() for each in form.get(f"other_{kind}s", "").split(",")]
    return [each for each in (*ticked, *typed) if each]


def permitted(roles: Sequence[str], *, service: bool) -> tuple[str, ...]:
    """What the roles permit, in words."""
    may = {permit for role in ROLES if role in roles for permit in PERMITS[role]}
    return tuple(
        words for permit, words in PERMIT_WORDS.items() if permit in may and not (service and permit in NEVER_BY_KEY)
    )


def state_of(person: PersonRecord, secrets: Sequence[Secret]) -> Cell:
    """Whether somebody can come in."""
    if person.closed_at is not None:
        return Cell("closed", tone="mute")
    now_us = machine_us()
    good = {each.kind for each in secrets if not each.expires_us or each.expires_us > now_us}
    if person.service:
        return Cell("has a key", tone="good") if "key" in good else Cell("no key", tone="warn")
    if "password" in good:
        return Cell("can sign in", tone="good")
    if any(each.kind == "invite" and not each.used_us and each.expires_us > now_us for each in secrets):
        return Cell("invited", tone="info")
    return Cell("no password yet", tone="mute")


def sessions_table(found: Sequence[Session], own: str = "") -> Table:
    """Browsers that have signed in; the one that asks is marked."""
    rows = [
        (
            agent_words(each.agent),
            each.address,
            Cell("", at=from_us(each.began_us)),
            Cell("", at=from_us(each.seen_us)),
            Cell("", at=from_us(each.expires_us)),
            Cell("this one", tone="info") if each.digest == own else "another",
        )
        for each in found[:200]
    ]
    headings = ("Browser", "From", "Since", "Last seen", "Ends", "Which")
    return Table(headings, rows, "Sessions", empty="Signed in nowhere.")


def agent_words(agent: str) -> str:
    """What a browser calls itself, in two words.

    >>> agent_words("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36")
    'Chrome on Linux'
    >>> agent_words("")
    'unknown'
    """
    browser = next((words for token, words in _BROWSERS if token in agent), "")
    system = next((words for token, words in _SYSTEMS if token in agent), "")
    return f"{browser} on {system}" if browser and system else browser or agent[:40] or "unknown"


def origin(settings: ConsoleSettings) -> str:
    """Where people reach the console, as far as its settings tell; empty where they let the system choose the port.

    >>> from perdure.core.settings import ConsoleSettings
    >>> origin(ConsoleSettings()), origin(ConsoleSettings(hosts="console.example", behind_tls=True))
    ('http://127.0.0.1:8500', 'https://console.example')
    """
    named = settings.hosts.partition(",")[0].strip()
    if settings.behind_tls and named:
        return f"https://{named}"
    if not settings.port:
        return ""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def _role_says(role: Role) -> str:
    only = {"viewer": "looks", "scientist": "experiments", "engineer": "operates", "reviewer": "decides"}
    return only.get(role, "lets people in")
