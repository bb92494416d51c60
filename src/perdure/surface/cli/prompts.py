"""`perdure prompt`: list, show, compare and render prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.text import Text

from perdure.assets.version import CHAMPION
from perdure.core.errors import DeclarationError
from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.cli.usage import Command, Group
from perdure.surface.prompting import DECLARED

if TYPE_CHECKING:
    from perdure.surface.prompting import PromptDiff, PromptRow, PromptShown

group = typer.Typer(name="prompt", cls=Group, help="Prompts: their versions, and what they render to.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The prompt.")]
_Version = Annotated[
    str, typer.Option("--version", metavar="V", help="Its id or how it begins, a pointer's name, or `declared`.")
]
_HEADINGS = {
    "name": Column("prompt", ()),
    "state": Column("state", ()),
    "route": Column("route", (), spare=1),
    "variables": Column("variables", (), spare=3),
    "champion": Column("champion", (), spare=2),
    "versions": Column("versions", (), right=True, spare=4),
    "file": Column("file", (), spare=5),
}
_STYLE = {"+": "green", "-": "red", "@": "cyan"}


@group.command("list", cls=Command)
def list_prompts(project: Folder = HERE, json: Json = False) -> None:
    """List the declared prompts with the version that answers."""
    _listed(opened(project).list_prompts(), as_json=json)


@group.command(cls=Command)
def show(name: _Name, version: _Version = DECLARED, project: Folder = HERE, json: Json = False) -> None:
    """Show one version: its route, variables, params and templates."""
    _shown(opened(project).show_prompt(name, version), as_json=json)


@group.command(cls=Command)
def diff(
    name: _Name,
    before: Annotated[str, typer.Argument(metavar="A", help="A version, as with `show`.")] = CHAMPION,
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")] = DECLARED,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Compare two versions; without any, the one that answers with what is declared now."""
    _compared(opened(project).diff_prompt(name, before, after), as_json=json)


@group.command(cls=Command)
def render(
    name: _Name,
    var: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A variable; what is no text is written as JSON.")
    ] = None,
    version: _Version = DECLARED,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Render a version with these variables, here: no server is asked, no model called."""
    found = opened(project)
    schema = found.show_prompt(name, version).definition["variables"]
    messages = found.render_prompt(name, _variables(var or [], schema), version)
    if json:
        return print_json(messages)
    for message in messages:
        put(Text(f"# {message['role']}", "dim"), Text(message["content"]))
    return None


def _variables(pairs: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign or name in found:
            raise DeclarationError(f"--var {pair!r} gives no variable, or one again.", hint="Write --var NAME=VALUE.")
        found[name] = _value(text, schema["properties"].get(name, {}))
    return found


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """Text for a variable that may be text; else what it is as JSON, where it is any."""
    if any(each.get("type") == "string" for each in (schema, *schema.get("anyOf", ()))):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _listed(found: Sequence[PromptRow], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("No prompt is declared: docs/prompts.md tells how.")
    return put(Fitted(of_rows(_HEADINGS, [_cells(row) for row in found])))


def _cells(row: PromptRow) -> dict[str, str]:
    state = "[green]released[/]" if row.champion == row.declared else "[yellow]changed[/]" if row.champion else "new"
    return {
        "name": escape(row.name),
        "state": state,
        "route": escape(row.route),
        "variables": escape(", ".join(row.variables)),
        "champion": escape(row.champion),
        "versions": str(row.n_versions),
        "file": escape(row.file),
    }


def _shown(found: PromptShown, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    pointers = ", ".join(f"{each.name} {each.share:.0%}" for each in found.pointers)
    put(Text.assemble((found.version, "bold"), f"  {pointers}" if pointers else ""), Text(""), Text(found.text()))
    return None


def _compared(found: PromptDiff, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found.lines:
        return put(Text(f"{found.before} and {found.after} are the same."))
    put(Text(f"{found.before} → {found.after}", "bold"))
    return put(*(Text(line, _STYLE.get(line[:1], "")) for line in found.lines))
