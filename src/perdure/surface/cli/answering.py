"""`perdure index answer`: what a model says from an index, and what bears it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import print_json, put, working

if TYPE_CHECKING:
    from perdure.surface.answering import IndexAnswer


def answer(  # noqa: PLR0913 - a command takes what may be said with it
    name: Annotated[str, typer.Argument(metavar="NAME", help="The index.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="As a person asks.")],
    route: Annotated[str, typer.Option("--route", metavar="NAME", help="Who is asked.")],
    k: Annotated[int, typer.Option("--first", metavar="K", min=1, max=100, help="So many chunks are shown.")] = 6,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="INSTANT", help="From the index as it stood then. Default: now.")
    ] = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Let a model answer from what an index finds, and say which claims nothing bears."""
    with working("asking", quiet=json):
        found = opened(project).answer_index(name, question, route=route, k=k, as_of=as_of)
    if json:
        return print_json(msgspec.to_builtins(found))
    return _told(found)


def _told(found: IndexAnswer) -> None:
    if found.answer is None:
        return put("Nothing was found, and nobody was asked.")
    put(escape(found.answer))
    put()
    for each in found.citations:
        source = each["source"]
        place = "" if source["start"] is None else f" {source['start']}-{source['end']}"
        put(f"[green]\\[{source['number']}][/] {escape(source['document'])}[dim]{place}[/]  {escape(source['quote'])}")
    for each in found.unsupported:
        put(f"[red]unsupported[/] ({each['lacks']})  {escape(each['claim'])}")
    for number in found.unknown_marks:
        put(f"[red]no source[/]  {escape(f'[{number}]')}")
    for quote in found.misquoted:
        put(f"[red]misquoted[/]  {escape(quote)}")
    for each in found.left_out:
        put(f"[yellow]left out[/]  {escape(each['document'])}: it reads like instructions to a model")
    return None
