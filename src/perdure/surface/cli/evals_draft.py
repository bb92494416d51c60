"""`perdure eval draft`: cases that a model writes on a corpus, without those that prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from perdure.core.errors import UpstreamError
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, console, counted, print_json, put
from perdure.surface.cli.taking import taking
from perdure.surface.words import money

if TYPE_CHECKING:
    from perdure.loop.work.evals.drafting import Drafting
    from perdure.surface.eval_drafting import DraftTold

_EXAMPLE_CHARS = 70


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be written, by whom, and where to."""

    corpus: Annotated[
        list[Path],
        typer.Option("--corpus", metavar="PATH", help="A folder of text and Markdown, or a file; repeatable."),
    ]
    n: Annotated[int, typer.Option("-n", "--n", metavar="N", min=1, help="Cases that are wanted.")] = 50
    route: Annotated[str, typer.Option("--route", metavar="NAME", help="Who writes. Default: who answers it.")] = ""
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=0.0, help="What it may spend. Default: [evals] budget_usd."),
    ] = None
    question: Annotated[
        str, typer.Option("--question", metavar="VARIABLE", help="Which of the prompt's holds the question.")
    ] = ""
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write JSON lines there. Default: the review queue.")
    ] = None


@taking(_Wanted)
def draft(
    wanted: _Wanted,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="That is to grow.")],
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Let a model write cases on a corpus, throw out what proves nothing, and ask people about the rest."""
    from perdure.surface.eval_drafting import DraftHow

    evals = opened(project, actor).evals
    with _bar(wanted.n, quiet=json) as watching:
        how = DraftHow(wanted.question, wanted.out, watching, at)
        told = evals.draft(suite, wanted.corpus, wanted.n, route=wanted.route, budget_usd=wanted.budget, how=how)
    if json:
        print_json(told)
    else:
        _show(told, wanted.out)
    if told.failed and not told.kept:
        raise typer.Exit(UpstreamError.exit_code)


def _show(told: DraftTold, out: Path | None) -> None:
    spent, of = money(told.spent_usd), counted(told.n_asked, "passage")
    if told.kept:
        put(f"[green]drafted[/]  {counted(len(told.kept), 'case')} of {told.n_wanted} from {of}, for {spent}")
    elif not told.n_passages:
        why = "of each passage there are cases already" if told.n_used else "the corpus is empty"
        return put(f"Nothing was drafted: {why}.")
    else:
        put(f"Nothing was kept of {of}, for {spent}.")
    if told.partial:
        put(Text.assemble(("partial", "yellow"), f"  {told.partial}"))
    elif len(told.kept) < told.n_wanted:
        put("The corpus holds no more: every passage was asked about.")
    _rejected(told)
    _trouble(told)
    if not told.kept:
        return None
    if out is not None:
        return put(Text(f"Wrote {out}"))
    return put(f"To say which are good: perdure review next --of {told.suite}")


def _rejected(told: DraftTold) -> None:
    """How many were thrown out, why, and one of each."""
    from perdure.loop.work.evals.drafting import REASONS

    if not told.reasons:
        return
    first = {each.reason: each.question for each in reversed(told.rejected)}
    columns = [
        Column("thrown out", [str(count) for count in told.reasons.values()], right=True),
        Column("reason", list(told.reasons)),
        Column("that is", [REASONS[reason] for reason in told.reasons], spare=1),
        Column("such as", [_short(first[reason]) for reason in told.reasons], spare=2),
    ]
    put(Fitted(columns))


def _trouble(told: DraftTold) -> None:
    if told.n_unread:
        put(f"{counted(told.n_unread, 'answer')} held no cases.")
    for code, count in told.failed.items():
        put(Text(f"{counted(count, 'question')} failed: {code}"))


def _short(question: str) -> str:
    """A stranger's text on one line, never markup."""
    from rich.markup import escape

    from perdure.surface.eval_told import visible

    said = " ".join(visible(question).split())
    return escape(said if len(said) <= _EXAMPLE_CHARS else f"{said[: _EXAMPLE_CHARS - 1]}…")


@contextmanager
def _bar(n: int, *, quiet: bool) -> Iterator[Callable[[Drafting], None] | None]:
    """A progress bar: cases kept, thrown out, passages asked about, what it cost."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("drafting", total=n, told="")

        def watch(sofar: Drafting) -> None:
            from perdure.core.usage import usd_text

            said = f"{len(sofar.rejected)} thrown out  {sofar.n_asked}/{sofar.n_passages} passages"
            bar.update(task, completed=len(sofar.kept), told=f"{said}  {usd_text(sofar.cost_pusd)}")

        yield watch
