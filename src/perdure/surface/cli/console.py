"""`perdure console`: the whole system in a browser, without the loop and without the data plane; `perdure look`: one page of it as text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.core.clock import sleep_s
from perdure.surface.cli.options import HERE, Actor, Folder, Json, Port, opened
from perdure.surface.cli.printing import print_json, put
from perdure.surface.cli.stopping import until_signalled

if TYPE_CHECKING:
    from perdure.surface.compose_console import Opening

OpenAs = Annotated[
    str, typer.Option("--open-as", metavar="NAME", help="Print a new invite for this person.", show_default=False)
]
Demo = Annotated[
    str, typer.Option("--demo", metavar="EXAMPLE", help="On what this example's demo left.", show_default=False)
]


def console(
    project: Folder = HERE, port: Port = None, open_as: OpenAs = "", demo: Demo = "", json: Json = False
) -> None:
    """Open the console: the whole system in a browser, until interrupted."""
    from perdure.surface.compose_console import console_running
    from perdure.surface.examples import open_demo

    found = open_demo(demo) if demo else opened(project)
    settings = found.settings.console if port is None else replace(found.settings.console, port=port)
    stopping = until_signalled()
    with console_running(found, settings, open_as=open_as) as opening:
        told(opening, as_json=json)
        while not stopping():
            sleep_s(0.1)


def look(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of a page, such as /assets/model/eta/drift.")],
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Print what a page of the console shows."""
    from perdure.surface.cli.show_page import page
    from perdure.surface.compose_console import look_at

    page(*look_at(opened(project, actor), address), as_json=json)


def told(opening: Opening, *, as_json: bool, ends: bool = True) -> None:
    """Where it is, and how to come in."""
    if as_json:
        return print_json({"console": opening.url, "invite": opening.invite})
    put(f"[green]console[/]  [bold]{opening.url}[/]")
    if opening.invite:
        put("  Open this once, within 15 minutes, and choose a password:", f"  [bold]{opening.invite}[/]")
    if ends:
        put("[dim]Ctrl-C stops.[/]")
    return None
