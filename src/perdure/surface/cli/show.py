"""How the results of `init`, `check`, `train`, `runs`, `apply` and `ledger` look, and their JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from perdure.surface.cli.printing import (
    Column,
    Fitted,
    console,
    hanging,
    of_rows,
    print_json,
    put,
    table,
)
from perdure.surface.words import counted, instant, number

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.engines.training.tuning import TrialRecord, Tuned
    from perdure.loop.work.training import TrainedVersion
    from perdure.stores.ledger.protocols import AuditEntry, ChainReport
    from perdure.surface.project import CheckNote
    from perdure.surface.records import Change, RunRow, TrainedGuard
    from perdure.surface.scaffold import MadeProject

_LEVEL = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_N_IMPORTANT = 6
_WORTH_TELLING = 0.001


def made(project: MadeProject, *, as_json: bool) -> None:
    """The files that `init` made, and what to do next."""
    if as_json:
        return print_json(project)
    put(f"[green]made[/]  [bold]{escape(project.folder)}[/]")
    for file in project.files:
        put(f"  {escape(file)}")
    for note in project.notes:
        put(hanging(Text("note ", "yellow"), Text(note)))
    put("\n[dim]next[/]", f"  cd {escape(project.folder)}", "  perdure check", f"  perdure train {project.model}")
    return None


def notes(project: Project, found: Sequence[CheckNote], *, as_json: bool) -> None:
    """What `check` found."""
    if as_json:
        return print_json(found)
    counts = [
        counted(len(project.contracts), "contract"),
        counted(len(project.sources), "source"),
        counted(len(project.views), "feature view"),
        counted(len(project.models), "model"),
        *(
            counted(len(each), kind, "indexes" if kind == "index" else "")
            for kind, each in _gateway(project).items()
            if each
        ),
    ]
    put(f"[bold]{escape(project.name)}[/]  {', '.join(counts)}")
    for note in found:
        told = Text.assemble((note.where, "bold"), "  ", note.text)
        if note.hint:
            told.append(f"\n{note.hint}", "dim")
        put(hanging(Text(f"{note.level:7}", _LEVEL[note.level]), told))
    if not any(note.level == "error" for note in found):
        put("[green]ok[/]      every declaration loads")
    return None


def _gateway(project: Project) -> dict[str, Sized]:
    return {
        "route": project.routes,
        "guard": project.guards,
        "prompt": project.prompts,
        "suite": project.suites,
        "judge": project.judges,
        "index": project.indexes,
        "agent": project.agents,
        "graph": project.graphs,
        "team": project.teams,
    }


@contextmanager
def trials(n: int, *, quiet: bool) -> Iterator[Callable[[TrialRecord], None]]:
    """A progress bar over the trials of a search, with the newest trial's value."""
    if quiet or not console.is_terminal:
        yield lambda _trial: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("[dim]last[/] {task.fields[last]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("tuning", total=n, last="")

        def update(trial: TrialRecord) -> None:
            progress.update(task, advance=1, last=number(trial.value))

        yield update


def trained(result: TrainedVersion, tuned: Tuned | None = None, *, as_json: bool) -> None:
    """A new candidate: its data, metrics, importance and runtime; before it, the search that chose its parameters."""
    run, version, card = result.run, result.version, result.dataset.card
    if as_json:
        searched = {"tuned": tuned} if tuned else {}
        return print_json({"version": version.id, "run": run.id, "metrics": run.metrics, "dataset": card, **searched})
    if tuned is not None:
        _tuned(tuned)
    put(f"[green]trained[/]  [bold]{version.id}[/]")
    put(hanging(Text("  data    ", "dim"), Text(_data(card))))
    put(Padding(_metrics(run.metrics), (0, 0, 0, 2), expand=False))
    importance = sorted(run.facts["importance"].items(), key=lambda item: -item[1])[:_N_IMPORTANT]
    parts = ", ".join(f"{name} {share:.1%}" for name, share in importance if share >= _WORTH_TELLING)
    put(hanging(Text("  rests on", "dim"), Text(parts)))
    put(f"  [dim]runtime[/]  {version.definition['runtime']}", f"  [dim]run[/]      {run.id}")
    put(f"\n[dim]Nothing is released yet:[/] perdure apply [dim]points the champion of {version.asset} at it.[/]")
    return None


def trained_guard(result: TrainedGuard, *, as_json: bool) -> None:
    """A new candidate of a guard, with what was measured of its learned check on texts that it had not seen."""
    run, version = result.run, result.version
    if as_json:
        return print_json({"version": version.id, "run": run.id, "metrics": run.metrics})
    put(f"[green]trained[/]  [bold]{version.id}[/]")
    told = ", ".join(f"{name.replace('_', ' ')} {number(value)}" for name, value in run.metrics.items())
    put(hanging(Text("  unseen  ", "dim"), Text(told)), f"  [dim]run[/]      {run.id}")
    put(f"\n[dim]Nothing is released yet:[/] perdure apply [dim]points the champion of {version.asset} at it.[/]")
    return None


def _tuned(tuned: Tuned) -> None:
    failed = sum(trial.state == "failed" for trial in tuned.trials)
    told = f"{counted(len(tuned.trials), 'trial')}{f', {failed} failed' if failed else ''}"
    best = ", ".join(f"{name} {_value(value)}" for name, value in tuned.best_params.items())
    put(f"[green]tuned[/]    {told}, best {tuned.metric} {number(tuned.best_value)}")
    put(hanging(Text("  with    ", "dim"), Text(best)))


def _data(card: Mapping[str, Any]) -> str:
    counts = card["counts"]
    left_out = f", {counts['n_unlabelled']:,} left out without a label" if counts["n_unlabelled"] else ""
    return (
        f"{counts['n_train']:,} rows to fit, {counts['n_valid']:,} held out from {card['split_at'][:10]} on{left_out}"
    )


def _metrics(metrics: Mapping[str, float]) -> Any:
    """One line for the rows that were fitted, one for those held out."""
    names = list(dict.fromkeys(name.partition("_")[2] for name in metrics))
    shown = table("", *names, right=names)
    shown.columns[0].min_width = 8
    for part, label in (("train", "fit"), ("valid", "held out")):
        shown.add_row(f"[dim]{label}[/]", *(number(metrics.get(f"{part}_{name}")) for name in names))
    return shown


def runs(rows: Sequence[RunRow], *, as_json: bool) -> None:
    """Runs side by side."""
    if as_json:
        return print_json(rows)
    put(Fitted(_run_columns(rows)) if rows else "No runs yet: [bold]perdure train MODEL[/] makes one.")
    return None


def _run_columns(rows: Sequence[RunRow]) -> list[Column]:
    measured = [_measured(row) for row in rows]
    metrics = sorted({name for metrics in measured for name in metrics}, key=_metric_order)
    headings = {
        "run": Column("run", (), spare=4),
        "what": Column("what", ()),
        "version": Column("version", ()),
        "started": Column("started", (), spare=2),
        "took": Column("took", (), right=True, spare=1),
        **{f"m.{name}": Column(name, (), right=True, spare=5 * _metric_order(name)[0]) for name in metrics},
        **{f"p.{name}": Column(escape(name), (), right=True, spare=3) for name in _varying(rows)},
    }
    cells = [
        {
            "run": row.id,
            "what": row.kind if row.status == "done" else f"{row.kind} [red]{row.status}[/]",
            "version": row.version or row.asset,
            "started": instant(row.started_at)[:16],
            "took": "" if row.seconds is None else f"{row.seconds:.1f} s",
            **{f"m.{name}": number(value) for name, value in figures.items()},
            **{f"p.{name}": escape(_value(value)) for name, value in row.params.items()},
        }
        for row, figures in zip(rows, measured, strict=True)
    ]
    return of_rows(headings, cells)


def _measured(row: RunRow) -> dict[str, float]:
    """A run's metrics; what a search improved was measured on the rows held out."""
    return {f"valid_{name}" if row.kind == "tune" else name: value for name, value in row.metrics.items()}


def _metric_order(name: str) -> tuple[int, str]:
    """Held-out errors are what runs are compared by; figures of the fitted rows come last."""
    return (2 if name.startswith("train_") else 1 if name.endswith("bias") else 0), name


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _varying(rows: Sequence[RunRow]) -> list[str]:
    """Parameters whose value differs between the runs: the ones worth a column."""
    names = dict.fromkeys(name for row in rows for name in row.params)
    return [name for name in names if len({str(row.params.get(name)) for row in rows}) > 1]


def changes(found: Sequence[Change], *, dry_run: bool, as_json: bool) -> None:
    """What `apply` changed, or would change."""
    if as_json:
        return print_json(found)
    headings = {"what": Column("", ()), "asset": Column("", ()), "how": Column("", (), spare=1)}
    moved = [change for change in found if change.what != "unchanged"]
    if moved:
        shown = Fitted(of_rows(headings, [_change(change) for change in moved]))
        put(shown)
        apart = [change for change in moved if _is_apart(change)]
        width = max((len(change.asset) for change in apart), default=0) + 1
        for change in apart:
            name = f"[{_COLOURS.get(change.what, 'green')}]{escape(change.asset.ljust(width))}[/]"
            put(hanging(name, Text(change.why), indent=2))
    n_same = len(found) - len(moved)
    same = f"{counted(n_same, 'declaration')} unchanged" if n_same else ""
    dry = "dry run: nothing was written" if dry_run else ""
    put(*(f"[dim]{line}[/]" for line in (same, dry, _blocked(found)) if line))
    return None


def _is_apart(change: Change) -> bool:
    """Whether its reason stands below the table: a column that does not fit is left out whole."""
    return bool(change.why) and (change.what == "blocked" or len(change.why) > _LONG)


def _blocked(found: Sequence[Change]) -> str:
    """What to do where a gate refused a change."""
    blocked = {change.kind for change in found if change.what == "blocked"}
    if not blocked:
        return ""
    cases = "" if blocked == {"index"} else "case by case: perdure eval list, perdure eval report RUN; "
    return f"{cases}release it all the same: perdure apply --unproven REASON"


def _change(change: Change) -> dict[str, str]:
    before = f"{change.before} [dim]→[/] " if change.before else ""
    asked = "  a person must say yes: perdure approvals" if change.what == "asked" else ""
    why = f"  [dim]{escape(change.why)}[/]" if change.why and not _is_apart(change) else ""
    told = change.before or change.what not in ("declared", "changed", "unchanged")
    return {
        "what": f"[{_COLOURS.get(change.what, 'green')}]{change.what}[/]",
        "asset": f"{change.kind.replace('_', ' ')} [bold]{change.asset}[/]",
        "how": f"{before}{change.after}{asked}{why}" if told else "",
    }


_LONG = 60
_COLOURS = {"blocked": "red", **dict.fromkeys(("asked", "proving", "waiting", "unproven"), "yellow")}


def chain(report: ChainReport, *, as_json: bool) -> None:
    """Outcome of verifying the chain."""
    if as_json:
        return print_json(report)
    mark = "[green]intact[/]" if report.intact else "[bold red]broken[/]"
    put(hanging(mark, Text(report.text)))
    if report.head:
        put(f"[dim]head[/]   {report.head}")
    return None


def entries(found: Sequence[AuditEntry], *, as_json: bool) -> None:
    """Entries of the chain."""
    if as_json:
        return print_json(found)
    headings = {
        "sequence": Column("#", (), right=True),
        "at": Column("at", ()),
        "actor": Column("actor", (), spare=2),
        "action": Column("action", ()),
        "subject": Column("subject", ()),
        "reason": Column("reason", (), spare=1),
        "hash": Column("hash", (), spare=3),
    }
    cells = [
        {
            "sequence": str(entry.sequence),
            "at": instant(entry.at),
            "actor": escape(entry.actor),
            "action": entry.action,
            "subject": escape(entry.subject),
            "reason": escape(entry.reason),
            "hash": f"[dim]{entry.hash[:10]}[/]",
        }
        for entry in found
    ]
    put(Fitted(of_rows(headings, cells)) if found else "No entries.")
    return None
