"""Answers to questions of runs, and hand-offs between duties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.errors import BadRequest, not_found
from perdure.surface.console.asking import address, text
from perdure.surface.console.questions import check_counted
from perdure.surface.console.records import Done
from perdure.surface.governance.handing import DUTIES, HandOff

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Approval
    from perdure.surface.console.records import Asked


def approve_wait(asked: Asked) -> Done:
    """One person's yes to what a run asks; `value`: JSON of arguments to use instead, or of what an effect gave."""
    _exact(asked)
    value = _value(asked.form.get("value", "").strip())
    made = asked.project.approve(asked.path["id"], reason=asked.form["reason"], value=value, at=asked.now)
    check_counted(asked, made, approves=True)
    return _done(made, "Your yes is kept; somebody else must say yes, too.", "Approved: the run goes on.")


def reject_wait(asked: Asked) -> Done:
    """One person's no, which is enough."""
    _exact(asked)
    made = asked.project.reject(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    check_counted(asked, made, approves=False)
    return _done(made, "Your no is kept.", "Rejected: the run is told so.")


def hand_off(asked: Asked) -> Done:
    """An asset or an incident is handed to a person (`person:NAME`) or a duty (`duty:NAME`)."""
    about = text(asked.form, "about", most=200)
    kind, _, name = text(asked.form, "to", most=100).partition(":")
    to, duty = (name, "") if kind == "person" else ("", name) if kind == "duty" else ("", "")
    made = asked.project.hand_off(about, to=to, duty=duty, reason=asked.form["reason"], at=asked.now)
    return Done(f"{made.about} is handed off to {made.to or f'the {DUTIES[made.duty]}'}.", "/inbox", made)


def take_hand_off(asked: Asked) -> Done:
    """What was handed off is the person's; an incident, too."""
    open_now = {each.id: each for each in asked.project.hand_offs()}
    wanted = asked.path["id"]
    if wanted not in open_now:
        raise not_found("open hand-off", wanted, open_now)
    about = open_now[wanted]
    taken = asked.project.take_over(wanted, reason=asked.form["reason"], at=asked.now)
    is_incident = about.about != about.asset
    over = is_incident and isinstance(taken, HandOff)
    said = "The incident was closed meanwhile: the hand-off is off the list." if over else "It is yours."
    return Done(said, address("/incidents", about.about) if is_incident else "/inbox", about)


def _exact(asked: Asked) -> None:
    """An address names a question whole: no beginning of it is taken."""
    wanted = asked.path["id"]
    known = {each.wait.id for each in asked.project.inbox().runs}
    if wanted not in known and any(each.startswith(wanted) for each in known):
        raise not_found("open question of a run", wanted, known)


def _value(said: str) -> Any:
    try:
        return msgspec.json.decode(said) if said else None
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"The other arguments are no JSON: {error}.", hint='Write {"text": "…"}, or leave it empty.'
        ) from error


def _done(made: Approval, more: str, over: str) -> Done:
    return Done(more if made.status == "open" else over, "/inbox", {"id": made.id, "status": made.status})
