"""How the command line explains itself: help pages in the house style, and mistakes of use as errors of ours.

Typer's own pages import a Markdown renderer and every lexer of Pygments, three quarters of the time of
`perdure --help`. These need the console only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text
from typer import echo
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from perdure.core.errors import BadRequest
from perdure.surface.cli.printing import console, table

_Section = tuple[str, list[tuple[str, str]]]
"""A heading, and names with what they are."""
_INDENT = "  "
_NO_COMMAND = re.compile(r"No such command '([\w-]+)'")


class Command(TyperCommand):
    """A command whose help is printed in the house style."""

    def get_help(self, ctx: Any) -> str:
        """The help page, with colours where the output is a terminal."""
        return _page(self, ctx, [])


class Group(TyperGroup):
    """A group of commands whose help is printed in the house style, its commands by their panel."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without arguments the help page is printed, and nothing was done: exit code 2."""
        if not args:
            echo(self.get_help(ctx))
            ctx.exit(BadRequest.exit_code)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """The help page, with colours where the output is a terminal."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels.setdefault(panel, []).append((name, _first_sentence(command.help or "")))
        return _page(self, ctx, list(panels.items()))


def _page(command: TyperCommand | TyperGroup, ctx: Any, commands: list[_Section]) -> str:
    pieces = [piece.strip("{}") for piece in command.collect_usage_pieces(ctx)]
    usage = " ".join([ctx.command_path, *pieces])
    sections = [*commands, *_parameters(command, ctx)]
    with console.capture() as captured:
        console.print(Text.assemble(("Usage: ", "dim"), (usage, "bold")))
        console.print(f"\n{command.help or ''}", markup=False)
        for part in _sections(sections):
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _parameters(command: TyperCommand | TyperGroup, ctx: Any) -> Iterator[_Section]:
    arguments, options = [], []
    for param in command.get_params(ctx):
        name, text = param.get_help_record(ctx) or ("", "")
        if param.param_type_name == "argument":
            arguments.append((name.partition(" <")[0], text))
        else:
            options.append((name, text))
    if arguments:
        yield "Arguments", arguments
    yield "Options", options


def _sections(sections: list[_Section]) -> Iterator[RenderableType]:
    width = max((len(name) for _, rows in sections for name, _ in rows), default=0)
    for heading, rows in sections:
        shown = table("", "")
        shown.show_header = False
        for name, text in rows:
            shown.add_row(Text(f"{_INDENT}{name.ljust(width)}", "cyan"), Text(text))
        yield Text(f"\n{heading}", "bold")
        yield shown


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _elsewhere(ctx: Any, message: str) -> str:
    """Where a command stands that was looked for among others; empty where it is nowhere."""
    asked = _NO_COMMAND.match(message)
    groups = {} if asked is None else getattr(ctx.find_root().command, "commands", {})
    found = [name for name, each in groups.items() if asked is not None and asked[1] in getattr(each, "commands", {})]
    return f"Write: perdure {found[0]} {asked[1]}" if found and asked is not None else ""


def mistake(problem: TyperException) -> BadRequest:
    """A mistake of use as an error of ours: what is wrong, and where the help is."""
    ctx = getattr(problem, "ctx", None)
    message, _, suggestion = problem.format_message().partition(" Did you mean ")
    hint = f"Did you mean {suggestion}" if suggestion else ""
    if not hint and ctx is not None:
        hint = _elsewhere(ctx, message)
    if not hint and ctx is not None:
        hint = f"{ctx.command_path} --help tells what it takes."
    return BadRequest(message if message.endswith(".") else f"{message}.", hint=hint)
