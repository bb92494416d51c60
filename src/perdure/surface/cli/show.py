"""How results look on a terminal, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from perdure.assets.health import Finding, Reading
from perdure.assets.project import Project
from perdure.core.canonical import plain
from perdure.core.clock import iso
from perdure.core.errors import PerdureError
from perdure.stores.ledger.protocols import AuditEntry, ChainReport
from perdure.surface.project import CheckNote
from perdure.surface.records import Change, RunRow, Status

if TYPE_CHECKING:
    from perdure.engines.training.tuning import TrialRecord
    from perdure.loop.round import RoundReport
    from perdure.loop.work.training import TrainedVersion

console = Console(highlight=False)
_STATE = {"healthy": "green", "broken": "bold red", "unsure": "yellow", "not measured": "dim"}
_LEVEL = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    sys.stdout.write(msgspec.json.encode(plain(value)).decode() + "\n")
    sys.stdout.flush()


def error(problem: PerdureError, *, as_json: bool) -> None:
    """An error on standard error: what happened, then what to do."""
    if as_json:
        sys.stderr.write(msgspec.json.encode({"error": plain(problem.as_dict())}).decode() + "\n")
        return
    stderr = Console(stderr=True, highlight=False)
    stderr.print(f"[bold red]error[/] [dim]{problem.code}[/]  {escape(problem.message)}")
    if problem.hint:
        stderr.print(f"       {escape(problem.hint)}")


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table in the house style; `right` columns are aligned as numbers."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return made


def made(files: Sequence[Any], *, as_json: bool) -> None:
    """The files that `init` made, and what to do next."""
    if as_json:
        return print_json([str(file) for file in files])
    for file in files:
        console.print(f"[green]made[/]  {file}")
    console.print("\nNext: [bold]perdure check[/], then [bold]perdure train[/].")
    return None


def notes(project: Project, found: Sequence[CheckNote], *, as_json: bool) -> None:
    """What `check` found."""
    if as_json:
        return print_json(found)
    counts = {
        "contracts": len(project.contracts),
        "sources": len(project.sources),
        "feature views": len(project.views),
        "models": len(project.models),
    }
    console.print(f"[bold]{project.name}[/]  " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    for note in found:
        console.print(f"[{_LEVEL[note.level]}]{note.level:8}[/] {escape(note.where)}  {escape(note.text)}")
        if note.hint:
            console.print(f"         [dim]{escape(note.hint)}[/]")
    if not any(note.level == "error" for note in found):
        console.print("[green]ok[/]  every declaration loads")
    return None


@contextmanager
def working(text: str, *, quiet: bool) -> Iterator[None]:
    """A spinner around work of unknown length."""
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


@contextmanager
def trials(n: int, *, quiet: bool) -> Iterator[Callable[[TrialRecord], None]]:
    """A progress bar over the trials of a search, with the newest trial's value."""
    columns = (TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("last {task.fields[last]:.4g}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=quiet) as progress:
        task = progress.add_task("tuning", total=n, last=float("nan"))

        def update(trial: TrialRecord) -> None:
            progress.update(task, advance=1, last=float("nan") if trial.value is None else trial.value)

        yield update


def trained(result: TrainedVersion, *, as_json: bool) -> None:
    """A new candidate: its data, metrics, importance and parity."""
    run, version, card = result.run, result.version, result.dataset.card
    if as_json:
        return print_json({"version": version.id, "run": run.id, "metrics": run.metrics, "dataset": card})
    console.print(f"[green]trained[/] [bold]{version.id}[/]  by {run.id}")
    counts = card["counts"]
    console.print(
        f"  data     {counts['n_train']:,} rows to fit, {counts['n_valid']:,} newer ones held out from "
        f"{card['split_at'][:10]}; {counts['n_unlabelled']:,} without a label left out",
        soft_wrap=True,
    )
    figures = "  ".join(f"{name} {value:.4g}" for name, value in run.metrics.items())
    console.print(f"  metrics  {figures}", soft_wrap=True)
    importance = sorted(run.facts["importance"].items(), key=lambda item: -item[1])[:5]
    console.print("  rests on " + ", ".join(f"{name} {share:.1%}" for name, share in importance), soft_wrap=True)
    console.print(f"  runtime  {version.definition['runtime']}")
    console.print("\nNothing is released yet: [bold]perdure apply[/] points the champion at it.")
    return None


def runs(rows: Sequence[RunRow], *, as_json: bool) -> None:
    """Runs side by side."""
    if as_json:
        return print_json(rows)
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    params = _varying(rows)
    shown = table("run", "kind", "asset", "status", "version", "started", "s", *metrics, *params, right=["s", *metrics])
    for row in rows:
        shown.add_row(
            row.id,
            row.kind,
            row.asset,
            row.status,
            row.version.partition("@")[2],
            iso(row.started_at)[:19].replace("T", " "),
            "" if row.seconds is None else f"{row.seconds:.1f}",
            *(f"{row.metrics[name]:.4g}" if name in row.metrics else "" for name in metrics),
            *(str(row.params.get(name, "")) for name in params),
        )
    console.print(shown if rows else "No runs yet: [bold]perdure train MODEL[/] makes one.")
    return None


def _varying(rows: Sequence[RunRow]) -> list[str]:
    """Parameters whose value differs between the runs: the ones worth a column."""
    names = dict.fromkeys(name for row in rows for name in row.params)
    return [name for name in names if len({str(row.params.get(name)) for row in rows}) > 1]


def changes(found: Sequence[Change], *, dry_run: bool, as_json: bool) -> None:
    """What `apply` changed."""
    if as_json:
        return print_json(found)
    shown = table("kind", "asset", "", "before", "after")
    for change in found:
        if change.what != "unchanged":
            shown.add_row(change.kind, change.asset, f"[green]{change.what}[/]", change.before, change.after)
    if shown.row_count:
        console.print(shown)
    n_same = sum(change.what == "unchanged" for change in found)
    console.print(f"[dim]{n_same} unchanged{'; nothing was written (dry run)' if dry_run else ''}[/]")
    return None


def serving(url: str, opened: Any, *, as_json: bool) -> None:
    """Where the server answers, and how to ask it."""
    if as_json:
        return print_json({"url": url})
    console.print(f"[green]serving[/] {url}")
    for name in opened.project.models:
        console.print(f"  POST {url}/v1/models/{name}/predict")
    console.print(f"  POST {url}/v1/labels    GET {url}/readyz    GET {url}/metrics\n[dim]Ctrl-C stops.[/]")
    return None


def round_line(report: RoundReport, *, as_json: bool) -> None:
    """One line a round that did something."""
    if as_json:
        return print_json(_round(report))
    broken = ", ".join(f"{finding.asset}: {finding.objective}" for finding in report.broken)
    if report.drained.n_rows or report.drained.n_labels or report.findings:
        console.print(
            f"[dim]{iso(report.now)[:19]}[/]  {report.drained.n_rows:,} rows  {report.drained.n_labels:,} labels  "
            f"{len(report.findings)} findings" + (f"  [red]{escape(broken)}[/]" if broken else "")
        )
    return None


def _round(report: RoundReport) -> dict[str, Any]:
    return {
        "now": report.now,
        "ingested": report.ingested,
        "drained": report.drained,
        "n_materialised": report.n_materialised,
        "findings": [_finding(finding) for finding in report.findings],
    }


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
    shown = table("source", "rows", "quarantined", "late", right=["rows", "quarantined", "late"])
    for part in report.ingested:
        shown.add_row(part.source, f"{part.n_rows:,}", f"{part.n_quarantined:,}", f"{part.n_late:,}")
    if report.ingested:
        console.print(shown)
    drained = report.drained
    console.print(
        f"captured {drained.n_rows:,} rows, {drained.n_labels:,} labels, {drained.n_rejected:,} refused; "
        f"{report.n_materialised:,} online rows written; {seconds:.2f} s"
    )
    if report.findings:
        console.print()
        console.print(_findings(report.findings))
    return None


def _findings(findings: Sequence[Finding]) -> Table:
    shown = table("asset", "objective", "slice", "reading", "95% interval", "n", "state", right=["reading", "n"])
    for finding in findings:
        state = finding.state.value
        shown.add_row(finding.asset, finding.objective, *_numbers(finding.reading), f"[{_STATE[state]}]{state}[/]")
    return shown


def _numbers(reading: Reading | None) -> tuple[str, str, str, str]:
    """Slice, value, interval and n as text."""
    if reading is None:
        return "", "", "", ""
    value = "–" if reading.value is None else f"{reading.value:.4g}"
    interval = "" if reading.low is None or reading.high is None else f"{reading.low:.4g} to {reading.high:.4g}"
    return reading.slice, value, interval, f"{reading.n:,}"


def status(found: Status, *, as_json: bool) -> None:
    """The project at a glance."""
    if as_json:
        return print_json(found)
    console.print(f"[bold]{found.project}[/]  [dim]{iso(found.at)[:19]}Z, loop: {found.holder or 'not running'}[/]")
    for asset in found.assets:
        pointers = "  ".join(f"{pointer.name} → {pointer.version}" for pointer in asset.pointers)
        console.print(f"\n[bold]{asset.name}[/]  [dim]{asset.kind}, {asset.owner or 'no owner'}[/]  {pointers}")
        if asset.health:
            shown = table(
                "objective", "owed to", "slice", "reading", "95% interval", "n", "state", right=["reading", "n"]
            )
            for row in asset.health:
                part, value, interval, n = _numbers(row.reading)
                state = f"[{_STATE[row.state]}]{row.state}[/]"
                shown.add_row(row.objective, row.stakeholder, part, value, interval, n, state)
            console.print(shown)
    for incident in found.incidents:
        console.print(f"\n[bold red]open[/] {incident.id}  {incident.asset}  {escape(incident.summary)}")
    return None


def chain(report: ChainReport, *, as_json: bool) -> None:
    """Outcome of verifying the chain."""
    if as_json:
        return print_json(report)
    mark = "[green]intact[/]" if report.intact else "[bold red]broken[/]"
    console.print(f"{mark}  {report.n_entries:,} entries  {escape(report.text)}")
    return None


def entries(found: Sequence[AuditEntry], *, as_json: bool) -> None:
    """Entries of the chain."""
    if as_json:
        return print_json(found)
    shown = table("#", "at", "actor", "action", "subject", "reason", "hash", right=["#"])
    for entry in found:
        shown.add_row(
            str(entry.sequence),
            iso(entry.at)[:19],
            entry.actor,
            entry.action,
            entry.subject,
            entry.reason,
            entry.hash[:10],
        )
    console.print(shown)
    return None


def figures(values: Mapping[str, Any]) -> Table:
    """Names and figures in two aligned columns."""
    shown = table("", "", right=[""])
    for name, value in values.items():
        shown.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return shown
