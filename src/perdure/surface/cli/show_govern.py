"""How the results of governance's commands look, and their JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from perdure.core.errors import NotFound
from perdure.surface.cli.printing import Column, Fitted, hanging, of_rows, print_json, put
from perdure.surface.cli.show_story import lines
from perdure.surface.governance.cards import card_markdown
from perdure.surface.governance.doing import job_text
from perdure.surface.governance.telling import Line, approval_lines, evidence_lines
from perdure.surface.words import counted, instant, words

if TYPE_CHECKING:
    from perdure.loop.release import Move
    from perdure.stores.ledger.protocols import Approval, Incident, Job
    from perdure.surface.governance.card_text import CardText
    from perdure.surface.governance.cards import Card
    from perdure.surface.governance.evidence import Pack
    from perdure.surface.governance.history import HistoryRow
    from perdure.surface.governance.maturity import Maturity

_HISTORY = {
    "at": Column("at", ()),
    "pointer": Column("pointer", ()),
    "move": Column("version", ()),
    "share": Column("share", (), right=True, spare=1),
    "actor": Column("by", ()),
    "yes": Column("with a yes of", (), spare=2),
    "reason": Column("reason", ()),
    "incident": Column("incident", (), spare=3),
}
_INCIDENTS = {
    "id": Column("incident", ()),
    "asset": Column("asset", ()),
    "kind": Column("kind", ()),
    "opened": Column("opened", ()),
    "closed": Column("closed", ()),
    "remedy": Column("remedy", (), spare=2),
    "summary": Column("what", (), spare=1),
}
_JOBS = {
    "id": Column("job", ()),
    "asset": Column("asset", ()),
    "status": Column("status", ()),
    "began": Column("began", ()),
    "what": Column("what", (), spare=1),
}


def history(rows: Sequence[HistoryRow], *, as_json: bool) -> None:
    """Moves of an asset's pointers, oldest first."""
    if as_json:
        return print_json(rows)
    cells = [
        {
            "at": instant(row.at),
            "pointer": escape(row.pointer),
            "move": _move(row.before, row.version),
            "share": "" if row.share in (0.0, 1.0) else f"{row.share:.0%}",
            "actor": escape(row.actor),
            "yes": escape(", ".join(answer.actor for answer in row.approved_by)),
            "reason": escape(row.reason),
            "incident": escape(row.incident),
        }
        for row in rows
    ]
    put(Fitted(of_rows(_HISTORY, cells)) if cells else "No pointer was moved yet: perdure apply releases.")
    return None


def _move(before: str | None, version: str | None) -> str:
    if version is None:
        return f"{before} [dim]→ taken away[/]"
    return f"{before} [dim]→[/] {version}" if before and before != version else version


def incidents(found: Sequence[Incident], *, as_json: bool) -> None:
    """Incidents in the order in which they were opened."""
    if as_json:
        return print_json(found)
    cells = [
        {
            "id": each.id,
            "asset": escape(each.asset),
            "kind": words(each.kind),
            "opened": instant(each.opened_at),
            "closed": instant(each.closed_at) if each.closed_at else "[bold red]open[/]",
            "remedy": escape(str(each.facts.get("remedy", ""))),
            "summary": escape(each.summary),
        }
        for each in found
    ]
    put(Fitted(of_rows(_INCIDENTS, cells)) if cells else "[green]No incident.[/]")
    return None


def maturity(found: Sequence[Maturity], *, as_json: bool) -> None:
    """The stage of each asset."""
    if as_json:
        return print_json(found)
    for each in found:
        repairs = f"[dim], {counted(each.n_repairs, 'repair')}[/]" if each.n_repairs else ""
        put(f"{each.kind} [bold]{escape(each.asset)}[/]  {each.stage} {each.name}{repairs}")
        lines(Line("lacks", text) for text in each.missing)
    return None


def card(found: Card, out: Path | None, *, as_json: bool) -> None:
    """The card as Markdown, printed or written."""
    text = card_markdown(found)
    if out is not None:
        out.write_text(text, "utf-8")
    if as_json:
        return print_json(found)
    put(Text(text) if out is None else f"[green]written[/]  {escape(str(out))}")
    return None


def text_of(file: Path) -> str:
    """The text of a file.

    Raises:
        NotFound: there is none.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}.", hint="Give one that holds the text.")
    return file.read_text("utf-8")


def edited(made: CardText, *, as_json: bool) -> None:
    """The version of a card's text that holds now."""
    if as_json:
        return print_json(made)
    put(f"[green]holds[/]  [bold]{escape(made.version)}[/]  by {escape(made.actor)} at {instant(made.at)}")
    return None


def pack(made: Pack, word: str, *, as_json: bool) -> None:
    """An evidence pack and the head that it rests on."""
    if as_json:
        return print_json({"folder": str(made.folder), "incident": made.incident, "files": made.files,
                           "n_entries": made.n_entries, "sequence": made.sequence, "head": made.head})  # fmt: skip
    put(f"[green]{word}[/]  [bold]{escape(str(made.folder))}[/]  [dim]{made.incident}[/]")
    put(*(f"  {name}" for name in made.files))
    put(f"[dim]{counted(made.n_entries, 'entry', 'entries')}; the chain's head at {made.sequence}:[/] {made.head}")
    return None


def approvals(found: Sequence[Approval], *, as_json: bool) -> None:
    """Questions with what they rest on."""
    if as_json:
        return print_json(found)
    for each in found:
        put(f"[bold]{escape(each.asset)}[/]  {each.id}")
        lines([*approval_lines(each), *evidence_lines(each.facts)])
        if each.status == "open":
            put(hanging(Text("answer", "dim"), Text(f'perdure approve {each.id} --reason "…"  (or reject)'), indent=2))
    if not found:
        put("[green]Nothing waits for a person.[/]")
    return None


def answered(asked: Approval, *, as_json: bool) -> None:
    """How a question stands after an answer."""
    if as_json:
        return print_json(asked)
    n_yes = sum(answer.approves for answer in asked.answers)
    style = {"approved": "green", "rejected": "red"}.get(asked.status, "yellow")
    more = f"; {asked.n_needed - n_yes} more {asked.role} must say yes" if asked.status == "open" else ""
    put(f"[{style}]{asked.status}[/]  {escape(asked.text)}{more}")
    return None


def moved(move: Move, *, as_json: bool) -> None:
    """Where the champion points now."""
    if as_json:
        return print_json(move)
    put(f"[green]released[/]  [bold]{escape(move.asset)}[/]  {_move(move.replaced, move.version)}")
    return None


def paused(asset: str, what: str, *, as_json: bool) -> None:
    """Whether an asset is paused now."""
    if as_json:
        return print_json({"asset": asset, "what": what})
    put(f"[bold]{escape(asset)}[/] {what}")
    return None


def jobs(found: Sequence[Job], *, as_json: bool) -> None:
    """Durable work, newest first."""
    if as_json:
        return print_json(found)
    cells = [
        {
            "id": each.id,
            "asset": escape(each.subject),
            "status": each.status,
            "began": instant(each.started_at),
            "what": escape(job_text(each)),
        }
        for each in found
    ]
    put(Fitted(of_rows(_JOBS, cells)) if cells else "No work is on its way.")
    return None


def cancelled(job: Job, *, as_json: bool) -> None:
    """A job that was called off."""
    if as_json:
        return print_json(job)
    ended = job.ended_at is not None
    put(f"{job.id}  {f'was {job.status} already' if ended else 'is called off: the next round ends it'}")
    return None
