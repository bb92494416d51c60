"""How the results of `up`, `serve`, `tick` and `status` look, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from perdure.surface.cli.printing import (
    Column,
    Fitted,
    hanging,
    of_rows,
    print_json,
    put,
)
from perdure.surface.governance.doing import job_text
from perdure.surface.words import counted, instant, number

if TYPE_CHECKING:
    from perdure.assets.health import Finding, Reading
    from perdure.assets.project import Project
    from perdure.loop.cases import Planned
    from perdure.loop.intake import Ingested
    from perdure.loop.round import RoundReport
    from perdure.stores.ledger.protocols import Incident, Job
    from perdure.surface.records import AssetStatus, Status

_STATE = {"healthy": "green", "broken": "bold red", "unsure": "yellow", "stale": "yellow", "not measured": "dim"}
_WORD = {"not measured": "not yet"}
_HEALTH = {
    "asset": Column("asset", ()),
    "state": Column("state", ()),
    "objective": Column("objective", ()),
    "reading": Column("reading", (), right=True),
    "interval": Column("interval", (), spare=1),
    "n": Column("n", (), right=True, spare=2),
    "owed": Column("owed to", (), spare=3),
}
_INTAKE = {
    "source": Column("source", ()),
    "rows": Column("rows", (), right=True),
    "quarantined": Column("quarantined", (), right=True),
    "late": Column("late", (), right=True),
}


def serving(url: str, project: Project, *, as_json: bool) -> None:
    """Where the server answers, and how to ask it."""
    if as_json:
        return print_json({"url": url})
    put(f"[green]serving[/]  [bold]{url}[/]")
    put(*(f"  POST /v1/models/{name}/predict" for name in project.models))
    if project.models:
        put("  POST /v1/labels")
    if project.routes:
        names = [*project.routes, *(f"prompt:{name}" for name in project.prompts)]
        names += [*(f"agent:{name}" for name in project.agents), *(f"graph:{name}" for name in project.graphs)]
        put(f"  POST /v1/chat/completions  /v1/messages   model: {', '.join(names)}", "  POST /v1/feedback")
    if project.indexes:
        put(*(f"  POST /v1/indexes/{name}/search" for name in project.indexes), "  GET  /v1/indexes")
    put(*(f"  POST /v1/agents/{name}/runs" for name in project.agents))
    put(*(f"  POST /v1/graphs/{name}/runs" for name in project.graphs))
    if project.agents or project.graphs:
        put("  GET  /v1/runs  /v1/runs/waiting")
    put("  GET  /v1/models  /healthz  /readyz  /metrics", "[dim]Ctrl-C stops.[/]")
    return None


def round_line(report: RoundReport, *, as_json: bool) -> None:
    """One line a round that did something."""
    if as_json:
        return print_json(_round(report))
    drained = report.drained
    n_ingested = sum(part.n_rows for part in report.ingested)
    parts = [
        counted(n_ingested, "row taken in", "rows taken in") if n_ingested else "",
        counted(drained.n_rows, "row captured", "rows captured") if drained.n_rows else "",
        counted(drained.n_labels, "label") if drained.n_labels else "",
        counted(drained.n_calls, "call") if drained.n_calls else "",
        f"[yellow]{drained.n_rejected:,} refused[/]" if drained.n_rejected else "",
        f"[red]{counted(drained.n_lost, 'event')} lost[/]" if drained.n_lost else "",
        counted(len(report.findings), "objective measured", "objectives measured") if report.findings else "",
        *(f"[bold red]broken[/] {escape(each.asset)}: {escape(each.objective)}" for each in report.broken),
        *(f"[bold red]opened[/] {escape(each.summary)}" for each in report.opened),
        *(f"{escape(each.asset)}: {_decided(each)}" for each in report.decided),
        *(f"{escape(job.subject)}: {_job(job)}" for job in report.jobs),
        *(f"[green]closed[/] {escape(each.asset)}: {escape(each.closing)}" for each in report.closed),
    ]
    told = ", ".join(part for part in parts if part)
    if told:
        put(hanging(Text(instant(report.now), "dim"), Text.from_markup(told)))
    return None


def _round(report: RoundReport) -> dict[str, Any]:
    return {
        "now": report.now,
        "ingested": report.ingested,
        "drained": report.drained,
        "n_materialised": report.n_materialised,
        "findings": [_finding(finding) for finding in report.findings],
        "opened": report.opened,
        "closed": report.closed,
        "decided": [
            {
                "asset": each.asset,
                "incident": each.situation.incident,
                "choice": each.decision.choice,
                "reasons": each.decision.reasons,
                "actions": [action.key for action in each.decision.actions],
            }
            for each in report.decided
        ],
        "jobs": [
            {"id": job.id, "asset": job.subject, "status": job.status, "waits_for": job.waits_for, "output": job.output}
            for job in report.jobs
        ],
    }


def _decided(each: Planned) -> str:
    decision = each.decision
    what = ", ".join(action.text for action in decision.actions) or " ".join(decision.reasons)
    return f"{decision.choice} [dim]({escape(what)})[/]"


def _job(job: Job) -> str:
    outcome = str(job.output.get("outcome", job.status)).replace("_", " ")
    why = str(job.output.get("why", "")) if job.ended_at else job_text(job)
    return f"{outcome} [dim]({escape(why)})[/]"


def _finding(finding: Finding) -> dict[str, Any]:
    reading = finding.reading
    return {
        "asset": finding.asset,
        "objective": finding.objective,
        "state": finding.state.value,
        "slice": reading.slice,
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "n": reading.n,
    }


def round_report(report: RoundReport, seconds: float, *, as_json: bool) -> None:
    """What one round did."""
    if as_json:
        return print_json(_round(report))
    drained = report.drained
    put(f"[bold]round[/] at {instant(report.now)} UTC  [dim]{seconds:.1f} s[/]")
    brought = [part for part in report.ingested if part.n_rows or part.n_quarantined]
    if brought:
        put(Fitted(of_rows(_INTAKE, [_intake(part) for part in brought]), indent=2))
    put(
        f"  captured  {counted(drained.n_rows, 'row')}, {counted(drained.n_labels, 'label')}, "
        f"{drained.n_rejected:,} refused",
        f"  online    {counted(report.n_materialised, 'row')} written",
    )
    if drained.n_lost:
        put(f"  [red]lost[/]      {counted(drained.n_lost, 'event')} that could not be captured")
    _incidents(report.opened, "opened", indent=2)
    for each in report.decided:
        put(hanging("[cyan]decided[/]", Text.from_markup(f"{escape(each.asset)}: {_decided(each)}"), indent=2))
    for job in report.jobs:
        put(hanging("[cyan]work[/]   ", Text.from_markup(f"{escape(job.subject)}: {_job(job)}"), indent=2))
    for incident in report.closed:
        put(hanging(Text("closed ", "green"), Text(f"{incident.asset}: {incident.closing}"), indent=2))
    rows = [
        {"asset": escape(finding.asset), **_judged(finding.objective, finding.state.value, finding.reading)}
        for finding in report.findings
    ]
    put(
        Fitted(of_rows(_HEALTH, rows), indent=2)
        if rows
        else "  [dim]No objective was due, or none could be measured.[/]"
    )
    return None


def _intake(part: Ingested) -> dict[str, str]:
    return {
        "source": escape(part.source),
        "rows": f"{part.n_rows:,}",
        "quarantined": f"[yellow]{part.n_quarantined:,}[/]" if part.n_quarantined else "0",
        "late": f"{part.n_late:,}",
    }


def _judged(objective: str, state: str, reading: Reading | None) -> dict[str, str]:
    """An objective and its reading as cells; a slice stands behind the objective that asks for it."""
    cells = {"state": f"[{_STATE[state]}]{_WORD.get(state, state)}[/]", "objective": escape(objective)}
    if reading is None:
        return cells
    interval = "" if reading.low is None or reading.high is None else f"{number(reading.low)} to {number(reading.high)}"
    if reading.slice:
        cells["objective"] += f"  [bold]{escape(reading.slice)}[/]"
    # Why nothing could be measured, or not all of it.
    why = reading.facts.get("partial") or (reading.facts.get("text") if reading.value is None else "")
    if why:
        cells["objective"] += f"  [dim]{escape(str(why))}[/]"
    return {**cells, "reading": number(reading.value), "interval": interval, "n": f"{reading.n:,}"}


def status(found: Status, *, as_json: bool) -> None:
    """The project at a glance."""
    if as_json:
        return print_json(found)
    loop = f"loop run by {found.holder}" if found.holder else "loop not running"
    put(f"[bold]{escape(found.project)}[/]  [dim]{instant(found.at)} UTC, {escape(loop)}[/]")
    for asset in found.assets:
        _asset(asset)
    _quarantine(found.quarantined)
    if found.incidents or found.approvals or found.paused or found.alerts or found.telemetry:
        put("")
    _incidents(found.incidents, "open", indent=0, doing=found.doing)
    for name, why in found.paused.items():
        put(hanging(Text("paused", "yellow"), Text(f"{name}: {why}")))
    for each in found.approvals:
        told = f"{each.asset}, since {instant(each.asked_at)}: {each.text}, by a {each.role}  ({each.id})"
        put(hanging(Text("asked", "yellow"), Text(told)))
    if found.alerts:
        put(hanging(Text("alerts", "bold red"), Text(found.alerts)))
    if found.telemetry:
        put(hanging(Text("telemetry", "bold red"), Text(found.telemetry)))
    return None


def _incidents(found: Sequence[Incident], word: str, *, indent: int, doing: Mapping[str, str] | None = None) -> None:
    for incident in found:
        told = f"{incident.asset}, since {instant(incident.opened_at)}: {incident.summary}  ({incident.id})"
        put(hanging(Text(word, "bold red"), Text(told), indent=indent))
        for line in (_causes(incident), (doing or {}).get(incident.id, "")):
            if line:
                put(hanging(Text(" " * len(word)), Text(line, "dim"), indent=indent))


def _causes(incident: Incident) -> str:
    """The ranked causes with their weights; empty where none is known."""
    causes = incident.facts.get("causes", ())
    return ", ".join(f"{each['name'].replace('_', ' ')} {each['weight']:.0%}" for each in causes)


def _asset(asset: AssetStatus) -> None:
    facts = [
        *([] if asset.owner is None else [f"owner {escape(asset.owner)}" if asset.owner else "no owner"]),
        *(
            f"{pointer.name} [bold]{pointer.version}[/]" + ("" if pointer.share == 1.0 else f" {pointer.share:.0%}")
            for pointer in asset.pointers
        ),
    ]
    if asset.kind == "model" and not asset.pointers:
        facts.append("[yellow]nothing released[/]")
    put(f"\n{asset.kind} [bold]{escape(asset.name)}[/]  {'[dim],[/] '.join(facts)}")
    rows = [{**_judged(row.objective, row.state, row.reading), "owed": escape(row.stakeholder)} for row in asset.health]
    put(Fitted(of_rows(_HEALTH, rows), indent=2) if rows else "  [dim]no objectives[/]")


def _quarantine(by_origin: Mapping[str, int]) -> None:
    if not by_origin:
        return
    parts = [f"{counted(n, 'row')} of {origin.replace(':', ' ')}" for origin, n in by_origin.items()]
    told = ", ".join(parts) if len(parts) == 1 else f"{sum(by_origin.values()):,} rows: {', '.join(parts)}"
    put("")
    put(hanging(Text("quarantine", "yellow"), Text(told)))
