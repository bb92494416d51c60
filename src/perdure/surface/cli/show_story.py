"""How a story, a plan and a replay of decisions look, and their JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from perdure.core.canonical import plain
from perdure.surface.cli import show
from perdure.surface.cli.printing import hanging, print_json, put
from perdure.surface.governance.doing import job_text
from perdure.surface.governance.telling import Line, cause_lines, chapters, decision_lines, title
from perdure.surface.words import words

if TYPE_CHECKING:
    from perdure.loop.cases import Planned
    from perdure.surface.governance.replaying import Replayed
    from perdure.surface.governance.story import Story
    from perdure.surface.records import Plan, Repairing

_INDENT = 2


def lines(found: Iterable[Line], *, indent: int = _INDENT) -> None:
    """Lines of a chapter; what belongs to the line above stands further in."""
    for line in found:
        if line.lead:
            put(hanging(Text(line.lead, "cyan"), Text(line.text), indent=indent))
        else:
            put(hanging(Text(" "), Text(line.text, "dim"), indent=indent))


def story(found: Story, *, as_json: bool) -> None:
    """The story, chapter by chapter."""
    if as_json:
        return print_json(found)
    put(Text(title(found), "bold"))
    if found.incident is not None:
        put(Text(found.incident.id, "dim"), Text(found.incident.summary))
    told = chapters(found)
    for chapter in told:
        put("", Text(chapter.title, "bold"))
        lines(chapter.lines)
    if not told:
        put("Nothing was decided yet.")
    return None


def replayed(found: Replayed, *, as_json: bool) -> None:
    """How many decisions came out the same."""
    if as_json:
        return print_json(found)
    put(Text.assemble(("equal", "green"), f"  {found.text}") if found.n else "There is no decision to make again.")
    return None


def plan(found: Plan, *, as_json: bool) -> None:
    """What would be changed, and what would be repaired and why."""
    if as_json:
        return print_json(found)
    show.changes(found.changes, dry_run=False, as_json=False)
    for each in found.repairs:
        put("")
        _planned(each)
    if not found.repairs:
        put("[dim]The loop would repair nothing.[/]")
    put("[dim]plan: nothing was written[/]")
    return None


def repairing(found: Repairing, *, as_json: bool) -> None:
    """A repair that a person began, and how far it came."""
    if as_json:
        return print_json(found)
    _planned(found.planned)
    for job in found.jobs:
        told = str(job.output.get("why", "")) if job.ended_at else job_text(job)
        put(hanging(Text(job.status, "cyan"), Text(f"{told}  ({job.id})"), indent=_INDENT))
    return None


def _planned(each: Planned) -> None:
    situation, decision = plain(each.situation), plain(each.decision)
    since = f"  [dim]{each.incident.id}[/]" if each.incident else ""
    put(f"{words(each.kind)} [bold]{each.asset}[/]{since}")
    broken = [symptom for symptom in situation["symptoms"] if symptom["state"] == "broken"]
    lines(Line("broken", f"{each['objective']} {each['slice']}".rstrip()) for each in broken)
    lines(cause_lines(situation["causes"]))
    lines(decision_lines(decision, situation["now"]))
