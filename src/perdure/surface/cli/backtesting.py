"""The command `backtest`, and how its result looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from perdure.core.units import duration_text, parse_duration
from perdure.surface.backtest import BacktestTerms, check_out, shown, stretch_of, write_backtest
from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, console, of_rows, print_json, put, table
from perdure.surface.cli.replay_view import sparkline
from perdure.surface.cli.taking import taking
from perdure.surface.words import counted

if TYPE_CHECKING:
    from perdure.loop.work.backtesting.results import Backtest, PolicyResult

_COLUMNS = {
    "policy": Column("policy", ()),
    "error": Column("error", (), right=True),
    "change": Column("against never", (), right=True),
    "retrains": Column("retrains", (), right=True),
    "releases": Column("releases", (), right=True, spare=1),
    "rejected": Column("rejected", (), right=True, spare=4),
    "back": Column("rolled back", (), right=True, spare=3),
    "false": Column("false", (), right=True),
    "cpu": Column("CPU s", (), right=True, spare=2),
    "cost": Column("cost", (), right=True),
    "regret": Column("regret", (), right=True),
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which replay is wanted, and what becomes of it."""

    start: Annotated[
        str | None,
        typer.Option("--from", metavar="INSTANT", help="Where the replay begins. Default: its first version."),
    ] = None
    end: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Look at nothing that was known later. Default: now.")
    ] = None
    step: Annotated[str, typer.Option(metavar="SPAN", help="From one chance to act to the next.")] = "3d"
    holdout: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Kept from every fit. Default: the model's own.")
    ] = None
    label_delay: Annotated[
        str, typer.Option(metavar="SPAN", help="Labels come after: 0, 2d …, declared, infinite.")
    ] = "declared"
    quiet: Annotated[
        str | None, typer.Option(metavar="FROM/TO", help="Nothing drifts there: count its retrains as false.")
    ] = None
    cost: Annotated[float, typer.Option(metavar="DAYS", help="A retrain's worth in days of the error of never.")] = 1.0
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page (.html) or a table (.csv).")] = None

    def terms(self) -> BacktestTerms:
        """The same as the SDK takes it."""
        return BacktestTerms(
            start=self.start,
            end=self.end,
            step=parse_duration(self.step),
            holdout=None if self.holdout is None else parse_duration(self.holdout),
            label_delay=self.label_delay,
            quiet=None if self.quiet is None else stretch_of(self.quiet),
            cost=self.cost,
        )


@taking(_Asked)
def backtest(
    asked: _Asked,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Replay a model's history through policies: never, always, on alarm, its own, and what hindsight would do."""
    out, cost = asked.out, asked.cost
    if out is not None:
        check_out(out)
    found, terms = opened(project), asked.terms()
    with _progress(quiet=json) as progress:
        result = found.backtest(model, terms, progress=progress)
    if out is not None:
        write_backtest(result, out, cost=cost)
    if json:
        return print_json(result)
    _told(result, cost)
    if out is not None:
        put(f"\n[dim]written to[/] {out}")
    return None


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A bar over the fits and policies of a backtest."""
    if quiet or not console.is_terminal:
        yield lambda _done, _total, _text: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("backtest"), BarColumn(), MofNCompleteColumn(), TextColumn("[dim]{task.description}[/]"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def _told(result: Backtest, cost: float) -> None:
    what = "mean absolute error" if result.metric == "mae" else "mean log loss"
    put(
        f"[bold]{result.model}[/]  {result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}, {result.n_rows:,} labelled rows, "
        f"a step every {duration_text(result.step)}, label delay {result.label_delay}",
        f"[dim]{what}, {result.unit}; the declared policy: {result.policy}[/]\n",
    )
    put(Fitted([*of_rows(_COLUMNS, [*(_row(each, cost) for each in result.policies), _best(result, cost)])]))
    put(
        f"\n[dim]cost: error with retrains, each worth {cost:g} days of the error of never; "
        f"{counted(result.n_fits, 'retrain fit')} in {result.fits_cpu_s:.1f} s CPU, shared by all[/]\n"
    )
    put(_weeks(result))


def _row(each: PolicyResult, cost: float) -> dict[str, str]:
    colour = "green" if each.change < 0 else "red" if each.change > 0 else "dim"
    return {
        "policy": each.name,
        "error": f"{each.error:.4g}",
        "change": f"[{colour}]{each.change:+.1%}[/]",
        "retrains": str(each.n_retrains),
        "releases": str(each.n_releases),
        "rejected": str(each.n_rejected),
        "back": str(each.n_rollbacks),
        "false": "" if each.n_false_retrains is None else str(each.n_false_retrains),
        "cpu": f"{each.cpu_s:.1f}",
        "cost": f"{each.costs[cost]:.4g}",
        "regret": f"{each.regrets[cost]:.3g}",
    }


def _best(result: Backtest, cost: float) -> dict[str, str]:
    best, never = result.optimum(cost), result.policies[0].error
    return {
        "policy": "[dim]hindsight[/]",
        "error": f"[dim]{best.error:.4g}[/]",
        "change": f"[dim]{best.error / never - 1.0 if never else 0.0:+.1%}[/]",
        "retrains": f"[dim]{best.n_retrains}[/]",
        "cost": f"[dim]{best.cost:.4g}[/]",
        "regret": "[dim]0[/]",
    }


def _weeks(result: Backtest) -> Table:
    """The error of each week as a bar, to one scale."""
    drawn = shown(result)
    top = max((week.error for each in drawn for week in each.by_week), default=0.0)
    made = table("by week", "", "worst", right=["worst"])
    for each in drawn:
        errors = [week.error for week in each.by_week]
        made.add_row(each.name, sparkline(errors, top), f"{max(errors):.4g}")
    return made
