"""What a person does about an incident: take it, snooze it, hand it on, call its work off. Each is a verb of the SDK, with a reason."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.core.errors import BadRequest
from perdure.surface.console.asking import address, instant, text, whole
from perdure.surface.console.records import Done
from perdure.surface.governance.handing import DUTIES
from perdure.surface.words import instant as told_at

if TYPE_CHECKING:
    from perdure.surface.console.records import Asked

_LONGEST_H = 24 * 90


def take(asked: Asked) -> Done:
    """The incident is the person's from now on."""
    made = asked.project.take_over(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    return Done("The incident is yours.", _page(asked), made)


def snooze(asked: Asked) -> Done:
    """It asks for nobody until an instant, given as `until` or as so many hours from now on."""
    hours = whole(asked.form, "hours", 0, most=_LONGEST_H)
    until = asked.now + timedelta(hours=hours) if hours else instant(asked.form, "until", asked.now)
    if until <= asked.now:
        raise BadRequest("A snooze needs an end that is to come.", hint="Choose for how long, or give a later instant.")
    made = asked.project.snooze(asked.path["id"], until=until, reason=asked.form["reason"], at=asked.now)
    return Done(f"The incident is asleep until {told_at(made.until)} UTC.", _page(asked), made)


def wake(asked: Asked) -> Done:
    """It asks again at once."""
    ended = asked.project.wake(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    return Done("The incident is awake." if ended else "It was awake.", _page(asked), {"woken": ended})


def hand_off(asked: Asked) -> Done:
    """It stands in another inbox until somebody takes it: of a person (`person:NAME`) or of a duty (`duty:NAME`)."""
    kind, _, name = text(asked.form, "to", most=100).partition(":")
    to, duty = (name, "") if kind == "person" else ("", name) if kind == "duty" else ("", "")
    made = asked.project.hand_off(asked.path["id"], to=to, duty=duty, reason=asked.form["reason"], at=asked.now)
    whom = made.to or f"the {DUTIES[made.duty]}"
    return Done(f"Handed off to {whom}: it stands in their inbox until it is taken.", _page(asked), made)


def cancel(asked: Asked) -> Done:
    """A job is called off; the next round ends it."""
    job = asked.project.cancel(asked.path["id"], reason=asked.form["reason"], at=asked.now)
    to = str(job.input.get("incident", ""))
    text_ = "It had ended already." if job.ended_at else "The job is called off: the loop's next round ends it."
    return Done(text_, address("/incidents", to) if to else "/inbox", {"id": job.id, "status": job.status})


def _page(asked: Asked) -> str:
    return address("/incidents", asked.path["id"])
