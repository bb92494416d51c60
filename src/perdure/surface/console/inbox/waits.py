"""Questions of agents' and graphs' runs as the inbox shows them: with the arguments that would be sent, for whoever may see texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from perdure.core.clock import from_us
from perdure.surface.console.asking import address
from perdure.surface.console.questions import Said, why_not_role
from perdure.surface.words import counted, words

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked
    from perdure.surface.governance.roles import People
    from perdure.surface.inbox import RunQuestion

_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class RunWait:
    """One call of a run that waits for a person."""

    id: str
    run: str
    run_href: str
    asset: str
    tool: str
    text: str
    happened: bool
    """The question is whether an effect happened, and not whether it may."""
    arguments: str
    """JSON, as the tool would get it; empty where the one who looks may not see texts."""
    hidden: bool
    role: str
    asked_at: datetime
    expires_at: datetime | None
    stands: str
    said: tuple[Said, ...]
    why_not: str


def run_wait(asked: Asked, question: RunQuestion, people: People) -> RunWait:
    """A question of a run as the one who looks sees it."""
    wait, sees = question.wait, asked.person.may("bodies")
    answers = [answer for each in question.said for answer in each.answers]
    n_yes = len({answer.actor for answer in answers if answer.approves})
    role = wait.role or "reviewer"
    mine = next((each for each in answers if each.actor == asked.person.name), None)
    why = why_not_role(asked, wait.role, people) if mine is None else "You said yes; another person must, too."
    return RunWait(
        id=wait.id,
        run=wait.run,
        run_href=address("/language/runs", wait.run),
        asset=question.run.asset,
        tool=wait.tool,
        text=wait.text.partition("\n")[0].rstrip(":"),
        happened=wait.question == "happened",
        arguments=_pretty(wait.arguments) if sees else "",
        hidden=not sees,
        role=wait.role,
        asked_at=from_us(wait.asked_us),
        expires_at=from_us(wait.expires_us) if wait.expires_us else None,
        stands=f"{counted(question.n_needed, words(role))} must say yes, {n_yes} did",
        said=tuple(Said(each.actor, each.approves, each.reason, each.at) for each in answers),
        why_not=why,
    )


def _pretty(arguments: bytes) -> str:
    if not arguments:
        return "{}"
    try:
        told = msgspec.json.format(arguments, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = arguments.decode("utf-8", "replace")
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
