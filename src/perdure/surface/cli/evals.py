"""`perdure eval`: run suites, compare two versions, list and report runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from perdure.assets.version import CHAMPION
from perdure.surface.cli import evals_ci, evals_draft
from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, console, print_json, put
from perdure.surface.cli.taking import taking
from perdure.surface.cli.usage import Command, Group
from perdure.surface.eval_asking import Asking
from perdure.surface.evaluating import EvalRow
from perdure.surface.prompting import DECLARED
from perdure.surface.words import money

if TYPE_CHECKING:
    from perdure.assets.suite import Suite
    from perdure.loop.work.evals.driving import Progress as Drive
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.evaluating import Evals

group = typer.Typer(name="eval", cls=Group, help="Suites: run them, compare versions, report what came of it.")


@dataclass(frozen=True, slots=True)
class _Files:
    """What is written beside what is printed."""

    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write a report as CI servers read it.")
    ] = None
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write a report for a pull request.")
    ] = None
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page, case by case.")] = None

    def tell(self, told: Sequence[EvalTold], *, as_json: bool) -> None:
        """Write the files, and print."""
        _write(told, self.junit, self.markdown)
        _told(told, as_json=as_json)
        _pages(told, self.html, quiet=as_json)


@dataclass(frozen=True, slots=True)
class _Asked(_Files):
    """How suites are asked, and what is written."""

    samples: Annotated[
        int | None, typer.Option("--samples", metavar="N", min=1, help="Answers a case. Default: the suite's.")
    ] = None
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", metavar="USD", min=0.0, help="What each suite may spend. Default: [evals] budget_usd."
        ),
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask anew what is known.")] = False
    again: Annotated[str, typer.Option("--run", metavar="RUN", help="Go on with a run that stopped.")] = ""

    def asking(self, watching: Any) -> Asking:
        """The same as the SDK takes it."""
        return Asking(self.samples, self.budget, self.fresh, watching)

    def run(self, evals: Evals) -> str:
        """The run that goes on, by its id or how that begins; empty for a new one."""
        return evals.find(self.again) if self.again else ""


@group.command(cls=Command)
@taking(_Asked)
def run(
    asked: _Asked,
    suites: Annotated[list[str] | None, typer.Argument(metavar="SUITE…", help="By name. Default: all.")] = None,
    prompt: Annotated[str, typer.Option("--prompt", metavar="NAME[@V]", help="Ask this version of it.")] = "",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Run suites: ask what is not known yet, score it, tell it."""
    evals = opened(project).evals
    with _bar(quiet=json) as watching:
        told = evals.run(*(suites or ()), prompt=prompt, run=asked.run(evals), asking=asked.asking(watching))
    asked.tell(told, as_json=json)


@group.command(cls=Command)
@taking(_Asked)
def compare(
    asked: _Asked,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt.")],
    before: Annotated[str, typer.Argument(metavar="A", help="An id, a pointer's name, or `declared`.")] = CHAMPION,
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")] = DECLARED,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Compare two versions of a prompt in its suites; a clear difference ends a run early."""
    evals = opened(project).evals
    with _bar(quiet=json) as watching:
        told = evals.compare(prompt, before, after, run=asked.run(evals), asking=asked.asking(watching))
    asked.tell(told, as_json=json)


@group.command(cls=Command)
@taking(_Files)
def report(
    files: _Files,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how it begins.")],
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Tell a run again, from what is kept; nothing is asked."""
    files.tell([opened(project).evals.report(run)], as_json=json)


@group.command("list", cls=Command)
def list_runs(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The newest so many.")] = 20,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """List the runs of suites, newest first."""
    rows = opened(project).evals.runs(limit)
    if json:
        return print_json(rows)
    if not rows:
        return put("No suite was run yet: perdure eval run")
    return put(Fitted(_columns(rows)))


group.command("ci", cls=Command)(evals_ci.ci)
group.command("draft", cls=Command)(evals_draft.draft)


def _columns(rows: Sequence[EvalRow]) -> list[Column]:
    return [
        Column("run", [each.run for each in rows]),
        Column("suite", [escape(each.suite) for each in rows]),
        Column("versions", [escape(", ".join(each.versions)) for each in rows], spare=3),
        Column("at", [f"{each.at:%Y-%m-%d %H:%M}" for each in rows], spare=2),
        Column("state", [_STATES.get(each.status, each.status) for each in rows]),
        Column("answers", [f"{each.n_answers:,}" for each in rows], right=True, spare=1),
        Column("spent", [money(each.spent_usd) for each in rows], right=True),
    ]


_STATES = {"done": "[green]done[/green]", "partial": "[yellow]partial[/yellow]", "running": "[cyan]running[/cyan]"}


def _told(told: Sequence[EvalTold], *, as_json: bool) -> None:
    from perdure.surface.cli.show_evals import eval_json, show_comparison, show_summary

    if as_json:
        return print_json([eval_json(each) for each in told])
    for at, each in enumerate(told):
        if at:
            put("")
        (show_comparison if len(each.sides) > 1 else show_summary)(each)
    return None


def _write(told: Sequence[EvalTold], junit: Path | None, markdown: Path | None) -> None:
    if junit is not None:
        from perdure.surface.eval_junit import junit_xml

        _bytes(junit, junit_xml(told))
    if markdown is not None:
        from perdure.surface.eval_markdown import evals_markdown

        _bytes(markdown, evals_markdown(told).encode())


def _bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _pages(told: Sequence[EvalTold], path: Path | None, *, quiet: bool) -> None:
    """A page a suite; of several, each with the suite's name in its file's."""
    if path is None:
        return
    from perdure.surface.report.versus import write_versus

    for each in told:
        to = path if len(told) == 1 else path.with_stem(f"{path.stem}-{each.suite}")
        write_versus(each, to)
        if not quiet:
            put(Text(f"Wrote {to}"))


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    """A progress bar of each suite: how far, the score so far with its interval, what it cost, how long still."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def watch(suite: Suite, progress: Drive) -> None:
            task = tasks.get(suite.name)
            if task is None:
                task = tasks[suite.name] = bar.add_task(escape(suite.name), told="")
            bar.update(task, total=progress.n_total, completed=progress.n_done, told=_so_far(progress))

        yield watch


def _so_far(progress: Drive) -> str:
    """What a bar says beside how far it is."""
    from perdure.core.usage import usd_text
    from perdure.loop.work.evals.driving import score_so_far
    from perdure.surface.eval_told import interval_text

    found = score_so_far(progress)
    parts = [interval_text(found)] if found else []
    parts.append(usd_text(progress.spent_pusd))
    if progress.n_failed:
        parts.append(f"[red]{progress.n_failed} failed[/red]")
    if progress.eta_s:
        parts.append(f"{progress.eta_s:.0f} s left")
    return "  ".join(parts)
