"""The inbox: first what waits for the one who looks, then what their duty looks after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, one_of
from perdure.surface.console.inbox.duties import panels
from perdure.surface.console.inbox.panels import Panel
from perdure.surface.console.inbox.waits import RunWait, run_wait
from perdure.surface.console.questions import Question, asset_address, question_of
from perdure.surface.console.records import View
from perdure.surface.governance.handing import DUTIES
from perdure.surface.governance.run_waits import wait_of

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked
    from perdure.surface.governance.handing import HandOff

_MOST = 20
_BY_ROLE = {
    "reviewer": "reviewer",
    "engineer": "ml_engineer",
    "scientist": "data_scientist",
    "admin": "owner",
    "viewer": "on_call",
}


@dataclass(frozen=True, slots=True)
class Tab:
    """One duty."""

    duty: str
    words: str
    href: str
    current: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class Given:
    """A hand-off."""

    id: str
    about: str
    href: str
    giver: str
    to: str
    reason: str
    at: datetime
    mine: bool
    """It waits for the one who looks."""


@dataclass(frozen=True, slots=True)
class InboxPage:
    """What the page draws."""

    duty: str
    words: str
    tabs: tuple[Tab, ...]
    n_for_me: int
    for_me: tuple[Question, ...]
    runs_for_me: tuple[RunWait, ...]
    given_to_me: tuple[Given, ...]
    others: tuple[Question, ...]
    """Questions to other people."""
    runs_of_others: tuple[RunWait, ...]
    n_more: int
    """Questions that are left out here."""
    given_to_others: tuple[Given, ...]
    panels: tuple[Panel, ...]
    assets: tuple[str, ...]
    """Whose names the form of a hand-off offers."""
    people: tuple[str, ...]
    duties: tuple[tuple[str, str], ...]


def show_inbox(asked: Asked) -> View:
    """The inbox of a duty; without one, of the person's own first."""
    own = asked.person.duties
    duty = one_of(asked.query, "duty", tuple(DUTIES), own[0] if own else _usual(asked))
    people, waiting = asked.project.people, asked.project.inbox()
    questions = [question_of(asked, each, people) for each in waiting.approvals if not wait_of(each)]
    runs = [run_wait(asked, each, people) for each in waiting.runs]
    mine, others = [e for e in questions if not e.why_not], [e for e in questions if e.why_not]
    runs_mine, runs_others = [e for e in runs if not e.why_not], [e for e in runs if e.why_not]
    given = [_given(asked, each, duty) for each in asked.project.hand_offs()]
    to_me = [each for each in given if each.mine]
    data = InboxPage(
        duty=duty,
        words=DUTIES[duty],
        tabs=tuple(Tab(n, w, address("/inbox", duty=n), n == duty, n in own) for n, w in DUTIES.items()),
        n_for_me=len(mine) + len(runs_mine) + len(to_me),
        for_me=tuple(mine[:_MOST]),
        runs_for_me=tuple(runs_mine[:_MOST]),
        given_to_me=tuple(to_me[:_MOST]),
        others=tuple(others[:_MOST]),
        runs_of_others=tuple(runs_others[:_MOST]),
        n_more=sum(max(len(each) - _MOST, 0) for each in (mine, others, runs_mine, runs_others)),
        given_to_others=tuple([each for each in given if not each.mine][:_MOST]),
        panels=panels(asked, duty),
        assets=tuple(tile.name for tile in asked.board.tiles if tile.state in ("broken", "unsure", "stale") or tile.moving)[:200],
        people=tuple(name for name in asked.project.known_people() if name != asked.person.name),
        duties=tuple(DUTIES.items()),
    )  # fmt: skip
    live = ("questions", "incidents", "releases", "work", "health")
    return View(f"Inbox of the {DUTIES[duty]}", data, live=live)


def _usual(asked: Asked) -> str:
    return next((duty for role, duty in _BY_ROLE.items() if role in asked.person.roles), "on_call")


def _given(asked: Asked, made: HandOff, duty: str) -> Given:
    person = asked.person
    about_incident = made.about != made.asset
    return Given(
        id=made.id,
        about=f"{made.asset}: {made.about}" if about_incident else made.asset,
        href=address("/incidents", made.about) if about_incident else asset_address(asked, made.asset),
        giver=made.giver,
        to=made.to or DUTIES.get(made.duty, made.duty),
        reason=made.reason,
        at=made.at,
        mine=made.to == person.name or (bool(made.duty) and (made.duty in person.duties or (not person.duties and made.duty == duty))),
    )  # fmt: skip
