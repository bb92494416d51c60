"""`perdure graph`: list graphs, tell what one takes and gives, draw it, run it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape
from rich.text import Text

from perdure.core.errors import DeclarationError
from perdure.surface.cli import show_runs
from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, console, counted, hanging, of_rows, print_json, put
from perdure.surface.cli.run_words import summary
from perdure.surface.cli.usage import Command, Group
from perdure.surface.graphing import DECLARED

if TYPE_CHECKING:
    from perdure.serve.runs.protocols import RunEvent
    from perdure.stores.runs.protocols import Told
    from perdure.surface.graphing import Drawing, GraphRow, GraphShown

group = typer.Typer(name="graph", cls=Group, help="Graphs: their nodes, types and versions, drawn.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The graph.")]
_WIDE = 200
"""Characters of a line where there is no terminal."""
_ROWS = {
    "name": Column("graph", ()),
    "state": Column("state", ()),
    "nodes": Column("nodes", (), right=True),
    "uses": Column("works with", (), spare=2),
    "champion": Column("champion", (), spare=1),
    "versions": Column("versions", (), right=True, spare=3),
}
_NODES = {
    "stage": Column("", (), right=True),
    "name": Column("node", ()),
    "kind": Column("kind", ()),
    "of": Column("works with", (), spare=1),
    "needs": Column("behind", (), spare=3),
    "fallback": Column("fallback", (), spare=4),
    "gives": Column("gives", (), spare=2),
}


@group.command("list", cls=Command)
def list_graphs(project: Folder = HERE, json: Json = False) -> None:
    """List the declared graphs with the version that answers."""
    _listed(opened(project).list_graphs(), as_json=json)


@group.command(cls=Command)
def show(
    name: _Name,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="Its id or how it begins, a pointer's name, or `declared`.")
    ] = DECLARED,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Show one version: what it takes and gives, its nodes in the order in which they can run."""
    _shown(opened(project).show_graph(name, version), as_json=json)


@group.command(cls=Command)
def draw(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    version: Annotated[
        str,
        typer.Option(
            "--version",
            metavar="V",
            help="As with `show`. Default: the run's, else what is declared.",
            show_default=False,
        ),
    ] = "",
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="Show how a run of it went.", show_default=False)
    ] = "",
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write an SVG there.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print it in Mermaid's words, for Markdown.")] = False,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Draw a graph: its nodes, what goes between them, and the versions that answer."""
    if svg is not None and mermaid:
        raise DeclarationError("--svg and --mermaid are two drawings.", hint="Leave one of them out.")
    form: Drawing = "svg" if svg is not None else "mermaid" if mermaid else "text"
    width = console.size.width if console.is_terminal else _WIDE
    drawn = opened(project).draw_graph(name, version, run=run, form=form, width=width)
    if svg is not None:
        svg.write_text(drawn, "utf-8")
    if json:
        return print_json({"graph": name, "form": form, "drawing": drawn})
    if svg is not None:
        return put(Text(f"{name} is drawn in {svg}."))
    return put(_coloured(drawn) if form == "text" else Text(drawn))


@group.command(cls=Command)
def run(
    name: _Name,
    given: Annotated[
        str, typer.Option("--input", metavar="JSON", help="What it is asked, or @FILE that holds it.")
    ] = "{}",
    version: Annotated[
        str,
        typer.Option(
            "--version", metavar="V", help="As with `show`. Default: the champion, else `declared`.", show_default=False
        ),
    ] = "",
    team: Annotated[
        str, typer.Option("--team", metavar="NAME", help="Whose key it acts for.", show_default=False)
    ] = "",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Run a graph in this process, until it is over or waits for a person."""
    asked = _object(given)
    found = opened(project)
    hears = None if json else _tell
    told = found.run_graph(name, asked, version=version, team=team, hears=hears)
    _ran(told, as_json=json)
    if told.run.status not in ("done", "waiting"):
        raise typer.Exit(1)


def _object(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except (msgspec.DecodeError, OSError) as error:
        raise DeclarationError(f"--input cannot be read: {error}.", hint='Write --input \'{"text": "…"}\'.') from error
    if not isinstance(found, dict):
        raise DeclarationError("--input is no JSON object.", hint='Write --input \'{"text": "…"}\'.')
    return found


def _tell(event: RunEvent) -> None:
    """A line for each node that is over."""
    data = event.data
    if event.name == "step" and data["kind"] == "node" and "." not in data["call"]:
        mark, style = ("✓", "green") if data["state"] == "done" else ("✗", "red")
        why = "" if data["state"] == "done" else f"  {data.get('error', '')}  {data.get('text', '')}"
        put(Text.assemble((f"{mark} ", style), data["call"], (f"  {data['took_ms']:,.1f} ms", "dim"), (why, style)))
    elif event.name == "begin":
        put(Text.assemble((data["id"], "bold"), ("  " + data["version"], "dim")))
    elif event.name == "wait":
        asks = data["text"].partition("\n")[0].rstrip(":")
        put(Text.assemble(("… ", "yellow"), asks, ("  waits for a person", "yellow")))


def _ran(told: Told, *, as_json: bool) -> None:
    from perdure.serve.runs.showing import shown_run

    run = told.run
    if as_json:
        return print_json(shown_run(run))
    if run.output:
        sys.stdout.write(msgspec.json.format(run.output, indent=2).decode() + "\n")
    put("", summary(run))
    if run.text:
        put(hanging(Text("why", "dim"), Text(f"{run.text} [{run.why}]" if run.why else run.text), indent=2))
    for wait in told.waits:
        if wait.answer is None:
            show_runs.question(run, wait)
    return None


def _coloured(drawn: str) -> Text:
    """The drawing with its lines dim, and what went wrong red."""
    text = Text(drawn.rstrip("\n"), no_wrap=True)
    text.highlight_regex(r"[│─╭╮╰╯├┤┬┴┼]+", "dim")
    text.highlight_regex(r"▼", "cyan")
    for mark, style in (("✓", "green"), ("✗", "red"), ("↺|…|▸", "yellow"), ("–", "dim")):
        text.highlight_regex(rf"(?<=│ )(?:{mark}) [^│\n]+", style)
    return text


def _listed(found: Sequence[GraphRow], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("No graph is declared: docs/graphs.md tells how.")
    return put(Fitted(of_rows(_ROWS, [_row(each) for each in found])))


def _row(row: GraphRow) -> dict[str, str]:
    state = "[green]released[/]" if row.champion == row.declared else "[yellow]changed[/]" if row.champion else "new"
    return {
        "name": escape(row.name),
        "state": f"[red]{counted(row.n_errors, 'error')}[/]" if row.n_errors else state,
        "nodes": str(len(row.nodes)),
        "uses": escape(", ".join(row.uses)),
        "champion": escape(row.champion),
        "versions": str(row.n_versions),
    }


def _shown(found: GraphShown, *, as_json: bool) -> None:
    from perdure.engines.graphs.schemas import told

    if as_json:
        return print_json(found)
    pointers = ", ".join(f"{each.name} {each.share:.0%}" for each in found.pointers)
    put(Text.assemble((found.version, "bold"), f"  {pointers}" if pointers else ""))
    if found.shadow is not None:
        put(Text.assemble(("shadow ", "dim"), found.shadow.words()))
    required = found.takes.get("required", ())
    for name, schema in found.takes.get("properties", {}).items():
        put(Text.assemble(("takes  ", "dim"), name, f"  {told(schema)}", "" if name in required else "  (optional)"))
    put(Text.assemble(("gives  ", "dim"), told(found.gives)), "")
    rows = [
        {
            "stage": str(node.stage),
            "name": escape(node.name),
            "kind": node.kind,
            "of": escape(node.version or node.of.partition(":")[2]),
            "needs": escape(", ".join(node.needs)),
            "fallback": escape(node.fallback),
            "gives": escape(node.gives),
        }
        for node in found.nodes
    ]
    return put(Fitted(of_rows(_NODES, rows)))
