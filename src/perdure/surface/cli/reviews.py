"""`perdure review`: cases that people label, and cases that a suite grows by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.text import Text

from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put, working
from perdure.surface.cli.usage import Command, Group
from perdure.surface.words import counted, instant

if TYPE_CHECKING:
    from perdure.surface.reviews import ReviewShown

group = typer.Typer(
    name="review", cls=Group, help="Cases that people label, for judges and suites.", no_args_is_help=True
)

_Id = Annotated[str, typer.Argument(metavar="REVIEW", help="Its id, or how it begins.")]
_Of = Annotated[str, typer.Option("--of", metavar="NAME", help="Of this judge or suite only.", show_default=False)]
_Over = Annotated[str, typer.Option("--over", metavar="SPAN", help="How far back, such as 7d.")]
_HEADINGS = {
    "id": Column("review", ()),
    "subject": Column("of", ()),
    "why": Column("why", (), spare=1),
    "inclusion": Column("drawn with", (), right=True, spare=3),
    "labels": Column("labels", (), spare=1),
    "status": Column("state", (), spare=2),
    "asked": Column("asked", (), spare=4),
}


@group.command("next", cls=Command)
def next_(
    of: _Of = "",
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")] = 1,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Show the case whose label is worth most, without what the judge said of it."""
    found = opened(project, actor)
    _cases(found.next_reviews(of, n, by=found.actor), as_json=json)


@group.command(cls=Command)
def label(  # noqa: PLR0913 - a command takes what may be said with it
    review: _Id,
    word: Annotated[str, typer.Argument(metavar="WORD", help="A word of its scale, or a number from 0 to 1.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.", show_default=False)] = "",
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Say what a case is worth; a second time, another opinion of the same person."""
    found = opened(project, actor).label_review(review, word, note=note, at=at)
    if json:
        return print_json(found)
    said = ", ".join(f"{each.labeller}: {each.word}" for each in found.labels)
    return put(f"[green]labelled[/]  {found.id}  {escape(said)}{_judged(found)}")


@group.command("list", cls=Command)
def list_reviews(
    of: _Of = "",
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """List the queue in the order in which cases were asked."""
    found = opened(project).list_reviews(of, every=every)
    if json:
        return print_json(found)
    if not found:
        return put("Nobody is asked about anything: perdure review draw asks about calls.")
    return put(Fitted(of_rows(_HEADINGS, [_row(each) for each in found])))


@group.command(cls=Command)
def draw(  # noqa: PLR0913 - a command takes what may be said with it
    judge: Annotated[str, typer.Argument(metavar="JUDGE", help="Who judges the calls.")],
    route: Annotated[str, typer.Option("--route", metavar="NAME", help="Whose calls.")],
    n: Annotated[float, typer.Option("-n", metavar="N", min=1, help="About how many.")] = 20,
    over: _Over = "30d",
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Judge the newest calls of a route, and ask people about some: likelier where the judge errs."""
    from perdure.core.units import parse_duration

    with working("judging", quiet=json):
        found = opened(project).draw_reviews(judge, route, n, over=parse_duration(over), at=at)
    if json:
        return print_json(found)
    return put(f"[green]asked[/]  {counted(len(found), 'case')} of {escape(route)}: perdure review next --of {judge}")


@group.command(cls=Command)
def ask(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Whose newest run.")],
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many at most.")] = 20,
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Ask people about a run's doubtful answers: bad in an incident, flipped between versions, or disputed by a judge."""
    found = opened(project).ask_about_suite(suite, n, at=at)
    if json:
        return print_json(found)
    return put(f"[green]asked[/]  {counted(len(found), 'answer')} of {escape(suite)}: perdure review next")


@group.command("import", cls=Command)
def import_(
    of: Annotated[str, typer.Argument(metavar="NAME", help="The judge or suite.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON lines with review, label, labeller. Default: feedback.")
    ] = None,
    over: _Over = "30d",
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Take in labels: of a file, or of feedback named `review:NAME`; again the same."""
    from perdure.core.units import parse_duration

    found = opened(project).import_reviews(of, file, over=parse_duration(over), at=at)
    if json:
        return print_json(found)
    return put(f"[green]imported[/]  {counted(len(found), 'label')} of {escape(of)}")


@group.command(cls=Command)
def accept(
    review: _Id,
    suite: Annotated[str, typer.Option("--suite", metavar="NAME", help="Whose JSONL file grows.")],
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="TEXT", help="What a good answer is; JSON, or else text.")
    ] = None,
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Take a labelled case into a suite, with where it came from; never twice."""
    found = opened(project).accept_review(review, suite, expected=_told(expected), at=at)
    if json:
        return print_json(found)
    what = "[green]added[/]" if found.added else "[dim]known[/]"
    return put(f"{what}  {escape(found.case)} in {escape(found.file)}")


@group.command(cls=Command)
def drop(review: _Id, at: At = None, project: Folder = HERE, json: Json = False) -> None:
    """End a review without a use for it; its labels stay."""
    found = opened(project).drop_review(review, at=at)
    return print_json(found) if json else put(f"[green]dropped[/]  {found.id}")


def _told(expected: str | None) -> Any:
    if expected is None:
        return None
    try:
        return msgspec.json.decode(expected)
    except msgspec.DecodeError:
        return expected


def _row(each: ReviewShown) -> dict[str, str]:
    return {
        "id": each.id,
        "subject": escape(each.subject),
        "why": each.why.replace("_", " "),
        "inclusion": "" if each.inclusion is None else f"{each.inclusion:.2f}",
        "labels": escape(", ".join(f"{label.labeller}: {label.word or label.value}" for label in each.labels)),
        "status": each.status,
        "asked": instant(each.asked_at),
    }


def _cases(found: Sequence[ReviewShown], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("Nothing is to be reviewed: perdure review draw asks about calls.")
    for each in found:
        put(f"[bold]{each.id}[/]  {escape(each.subject)}  [dim]{each.why.replace('_', ' ')}[/]")
        if each.rubric:
            put(Text(f"  {each.rubric}", "italic"))
        put(*(Text(line) for line in _lines(each)))
        put(f"  [dim]perdure review label {each.id} {escape('|'.join(each.words))}[/]", "")
    return None


def _lines(each: ReviewShown) -> list[str]:
    """The case as it is: texts of strangers are never markup."""
    if each.case is None:
        return ["  Its texts were forgotten."]
    told = [f"  {name}: {_text(value)}" for name, value in each.case["inputs"].items()]
    answers = each.case["answers"]
    names = ["answer"] if len(answers) == 1 else ["first", "second"]
    told += [f"  {name}: {answer}" for name, answer in zip(names, answers, strict=False)]
    return told if each.case["expected"] is None else [*told, f"  expected: {_text(each.case['expected'])}"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _judged(found: ReviewShown) -> str:
    return "" if found.judged is None else f"  [dim]the judge said {found.judged:.2f}[/]"
