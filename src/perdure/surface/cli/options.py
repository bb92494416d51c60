"""Options that several commands share, and how a command opens its project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from perdure.surface.sdk import Perdure

Folder = Annotated[
    Path, typer.Option("--project", "-p", metavar="FOLDER", help="Folder of perdure.toml, or one below it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="Instant in domain time, ISO 8601. Default: now.")
]
Port = Annotated[int | None, typer.Option(metavar="PORT", help="Port to serve on; 0 takes a free one.")]
Actor = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="Who acts. Default: PERDURE_ACTOR, else the project's actor.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Those that are over, too.")]
HERE = Path()


def opened(folder: Path, actor: str | None = None) -> Perdure:
    """The project of a command's `--project` and `--as`."""
    from perdure.surface.sdk import open_project

    return open_project(folder, actor=actor)
