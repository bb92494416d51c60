"""`perdure index golden`, `draft`, `sample`, `accept` and `score`: golden questions of indexes, and what versions make of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.text import Text

from perdure.core.errors import UpstreamError
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put, working
from perdure.surface.cli.usage import Command
from perdure.surface.words import counted, money, words

if TYPE_CHECKING:
    from perdure.loop.work.indexes.golden_asking import Taken
    from perdure.loop.work.indexes.scoring import GoldenScore, Measure
    from perdure.surface.golden import GoldenDrafted

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The index.")]
_SCORED = {
    "measure": Column("measure", ()),
    "value": Column("value", (), right=True),
    "bounds": Column("95%", (), spare=1),
    "before": Column("before", (), right=True, spare=2),
    "verdict": Column("verdict", ()),
}


_LISTED = {
    "question": Column("question", ()),
    "state": Column("its text", ()),
    "documents": Column("documents", (), spare=1),
    "origin": Column("from", (), spare=2),
}


def golden(name: _Name, project: Folder = HERE, json: Json = False) -> None:
    """List the golden questions of an index, and whether the texts that they rest on still stand there."""
    found = opened(project).golden_questions(name)
    if json:
        return print_json(found)
    if not found:
        return put("There is no golden question yet: perdure index sample, perdure index draft")
    cells = [
        {
            "question": escape(shorten(each.query, 90, placeholder="…")),
            "state": each.state,
            "documents": escape(shorten(", ".join(each.documents), 60, placeholder="…")),
            "origin": escape(each.origin),
        }
        for each in found
    ]
    return put(Fitted(of_rows(_LISTED, cells)))


def draft(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    route: Annotated[str, typer.Option("--route", metavar="NAME", help="Who writes.")],
    n: Annotated[int, typer.Option("-n", "--n", metavar="N", min=1, help="Questions that are wanted.")] = 50,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=0.0, help="What it may spend. Default: [evals] budget_usd."),
    ] = None,
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Let a model write golden questions on an index's chunks, throw out what proves nothing, and ask people about the rest."""
    with working("drafting", quiet=json):
        found = opened(project, actor).draft_golden(name, n, route=route, budget_usd=budget, at=at)
    if json:
        print_json(found)
    else:
        _drafted(found)
    if found.failed and not found.questions:
        raise typer.Exit(UpstreamError.exit_code)


def sample(
    name: _Name,
    n: Annotated[int, typer.Option("-n", "--n", metavar="N", min=1, help="Questions.")] = 20,
    over: Annotated[str, typer.Option("--over", metavar="SPAN", help="How far back, such as 7d.")] = "30d",
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Draw questions that people searched for, and ask which chunks answer them."""
    from perdure.core.units import parse_duration

    found = opened(project).sample_golden(name, n, over=parse_duration(over), at=at)
    if json:
        return print_json(found)
    if not found.reviews:
        return put("Nothing was searched that was not asked about already.")
    asked = f"{counted(len(found.questions), 'question')}, {counted(len(found.reviews), 'chunk')}"
    return put(f"[green]asked[/]  {asked}: perdure review next --of {escape(name)}")


def accept(
    name: _Name,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The golden file. Default: the declared one.")
    ] = None,
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Take what people labelled into the index's golden file."""
    found = opened(project, actor).accept_golden(name, out=out, at=at)
    return print_json(found) if json else _taken(found)


def score(
    name: _Name,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="Its id or how it begins, `champion`, or `declared`.")
    ] = "",
    against: Annotated[str, typer.Option("--against", metavar="V", help="A version that it is held against.")] = "",
    k: Annotated[int, typer.Option("--first", metavar="K", min=1, max=1000, help="So many are looked at.")] = 10,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Ask golden questions of a version: recall, precision, nDCG, MRR and hit rate, alone or against another version."""
    with working("asking", quiet=json):
        found = opened(project).score_index(name, version, against=against, k=k)
    return print_json(found) if json else _scored(found)


def _drafted(found: GoldenDrafted) -> None:
    of, spent = counted(found.n_asked, "chunk"), money(found.spent_usd)
    if found.questions:
        put(
            f"[green]drafted[/]  {counted(len(found.questions), 'question')} of {found.n_wanted} from {of}, for {spent}"
        )
    else:
        put(f"Nothing was kept of {of}, for {spent}.")
    for reason, count in found.reasons.items():
        put(f"  {count} thrown out: {reason}")
    if found.partial:
        put(Text.assemble(("partial", "yellow"), f"  {found.partial}"))
    for code, count in found.failed.items():
        put(Text(f"{counted(count, 'question')} failed: {code}"))
    if found.questions:
        put(f"To say which are good: perdure review next --of {escape(found.index)}")


def _taken(found: Taken) -> None:
    put(f"[green]accepted[/]  {counted(len(found.added), 'golden question')}")
    told = {
        "stood there already": found.n_there,
        "turned down": found.n_bad,
        "without every chunk labelled": found.n_waiting,
    }
    for what, count in told.items():
        if count:
            put(f"  {count} {what}")
    for query in found.unanswered:
        put(Text(f"  nothing answers: {query}"))


def _scored(found: GoldenScore) -> None:
    questions = f"{counted(found.n_questions, 'golden question')} in {counted(found.n_clusters, 'cluster')}"
    beside = f" against {found.against}" if found.against else ""
    put(escape(f"{found.version}{beside}, first {found.k} of {questions}"))
    rows = []
    for name, measure in found.measures.items():
        other = found.compared.get(name)
        rows.append(
            {
                "measure": name,
                "value": f"{measure.value:.3f}",
                "bounds": _bounds(measure),
                "before": "" if other is None else f"{other.before:.3f}",
                "verdict": "" if other is None else words(other.verdict),
            }
        )
    shown = _SCORED if found.compared else {name: _SCORED[name] for name in ("measure", "value", "bounds")}
    put(Fitted(of_rows(shown, rows)))
    if found.n_missed:
        put(f"{counted(found.n_missed, 'question')} find nothing of what they should, such as:")
        for query in found.missed:
            put(Text(f"  {query}"))
    for trouble in found.troubles:
        put(Text(trouble, "yellow"))


def _bounds(measure: Measure) -> str:
    return "unknown" if measure.low is None or measure.high is None else f"{measure.low:.3f} to {measure.high:.3f}"


COMMANDS = (golden, draft, sample, accept, score)


def add_to(group: typer.Typer) -> None:
    """Add these commands to `perdure index`."""
    for command in COMMANDS:
        group.command(cls=Command)(command)
