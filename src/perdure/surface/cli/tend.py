"""The commands of looking after: who takes an incident, snoozes it, hands something on.

`app` registers what `COMMANDS` lists. Each is a few lines over a verb of the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from perdure.core.errors import BadRequest
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, Reason, opened
from perdure.surface.cli.printing import print_json, put
from perdure.surface.governance.handing import DUTIES
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.surface.governance.handing import HandOff, Taken
    from perdure.surface.governance.snoozing import Snoozed

Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or how it begins.")]


def take(
    target: Annotated[str, typer.Argument(metavar="ID", help="An incident's id or a hand-off's, or how it begins.")],
    project: Folder = HERE,
    at: At = None,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Say that you look after an incident, or take what was handed to you."""
    found = opened(project, actor).take_over(target, reason=reason, at=at)
    _told(found, as_json=json)


def hand_off(  # noqa: PLR0913 - a command takes what may be said with it
    target: Annotated[
        str | None,
        typer.Argument(metavar="INCIDENT|ASSET", help="What to hand off; without it the open ones are listed."),
    ] = None,
    project: Folder = HERE,
    at: At = None,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="A person.", show_default=False)] = "",
    duty: Annotated[
        str, typer.Option("--duty", metavar="DUTY", help=f"Or a duty: {', '.join(DUTIES)}.", show_default=False)
    ] = "",
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Ask somebody else to look after an incident or an asset; or list what nobody has taken yet."""
    project_ = opened(project, actor)
    if target is not None:
        return _told(project_.hand_off(target, to=to, duty=duty, reason=reason, at=at), as_json=json)
    if to or duty or reason:
        raise BadRequest("A hand-off needs an incident or an asset.", hint="Write: hand-off INCIDENT --to NAME")
    found = project_.hand_offs()
    if json:
        return print_json(found)
    for each in found:
        put(f"[bold]{each.id}[/]  {_hand_off(each)}")
    if not found:
        put("[green]Nothing is handed off.[/]")
    return None


def snooze(  # noqa: PLR0913 - a command takes what may be said with it
    incident: Annotated[
        str | None,
        typer.Argument(metavar="INCIDENT", help="Its id, or how it begins; without it those asleep are listed."),
    ] = None,
    project: Folder = HERE,
    at: At = None,
    until: Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="When it asks again.")] = None,
    wake: Annotated[bool, typer.Option("--wake", help="End the snooze instead.")] = False,
    reason: Reason = "",
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Let an incident ask for nobody until an instant; it stays open."""
    found = opened(project, actor)
    if incident is None:
        return _asleep(found.snoozed(at=at), as_json=json)
    if wake:
        ended = found.wake(incident, reason=reason, at=at)
        return print_json({"incident": incident, "woken": ended}) if json else put("awake" if ended else "was awake")
    if until is None:
        raise BadRequest("A snooze needs an end.", hint="Give --until INSTANT, or --wake to end one.")
    return _told(found.snooze(incident, until=until, reason=reason, at=at), as_json=json)


def _asleep(found: Sequence[Snoozed], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    for each in found:
        put(
            f"[bold]{each.incident}[/]  asleep until {instant(each.until)}, by {escape(each.actor)}: {escape(each.reason)}"
        )
    if not found:
        put("[green]No incident is snoozed.[/]")
    return None


def _told(made: Taken | HandOff | Snoozed, *, as_json: bool) -> None:
    """What stands now."""
    from perdure.surface.governance.handing import HandOff
    from perdure.surface.governance.snoozing import Snoozed

    if as_json:
        return print_json(made)
    if isinstance(made, HandOff):
        return put(f"[green]handed off[/]  [bold]{made.id}[/]  {_hand_off(made)}")
    if isinstance(made, Snoozed):
        return put(f"[green]snoozed[/]  [bold]{made.incident}[/] until {instant(made.until)}")
    return put(f"[green]taken[/]  [bold]{made.incident}[/] by {escape(made.actor)}")


def _hand_off(made: HandOff) -> str:
    to = made.to or f"the {DUTIES.get(made.duty, made.duty)}"
    what = made.asset if made.about == made.asset else f"{made.about} of {made.asset}"
    return f"{escape(what)}, from {escape(made.giver)} to {escape(to)}: {escape(made.reason)}"


COMMANDS: Mapping[str, Sequence[Callable[..., Any]]] = {"Decide": (take, hand_off, snooze)}
"""Panel of the help page → its commands."""
