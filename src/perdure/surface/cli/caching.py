"""`perdure cache`: how near is near enough, and answers dropped by their tags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import print_json, put, working
from perdure.surface.cli.usage import Command, Group
from perdure.surface.words import counted

if TYPE_CHECKING:
    from perdure.surface.caching import CalibratedCache

group = typer.Typer(name="cache", cls=Group, help="Answers of the gateway that are given again.", no_args_is_help=True)


@group.command(cls=Command)
def calibrate(  # noqa: PLR0913 - a command takes what may be said with it
    pairs: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines with question, other and same.")],
    embedder: Annotated[
        str, typer.Option(metavar="NAME", help="upstream/model or a route; with --url a model's name.")
    ],
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Ask another server, such as http://HOST:PORT/v1.")
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="Variable that holds its key.", show_default=False)
    ] = "",
    false_hits: Annotated[
        float, typer.Option("--false-hits", metavar="SHARE", help="Of different questions that may be hits.")
    ] = 0.01,
    confidence: Annotated[float, typer.Option("--confidence", metavar="SHARE", help="How sure to be.")] = 0.95,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """The cosine from which two questions mean the same, from pairs that people judged."""
    with working("embedding", quiet=json):
        found = opened(project).calibrate_cache(
            pairs, embedder, url=url, key_env=key_env, false_hits=false_hits, confidence=confidence
        )
    _calibrated(found, as_json=json)


@group.command(cls=Command)
def drop(
    tag: Annotated[list[str], typer.Option("--tag", metavar="TAG", help="source:NAME or route:NAME.")],
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Forget answers by their tags, where servers share the cache."""
    n = opened(project).drop_cache(tag)
    if json:
        return print_json({"dropped": n})
    return put(f"[green]dropped[/]  {counted(n, 'answer')} of {escape(', '.join(tag))}")


def _calibrated(found: CalibratedCache, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    put(f"[green]threshold[/]   [bold]{found.threshold:.4f}[/]  cosine")
    share = f"{found.false_hits:.2%} of {counted(found.n_different, 'pair')} that differ"
    put(f"  [dim]wrong[/]     {share}; at most {found.false_hits_at_most:.2%}, {found.confidence:.0%} sure")
    if found.hits is not None:
        put(f"  [dim]found[/]     {found.hits:.0%} of what means the same")
    put(f'\n[dim]Write:[/] Cache(…, semantic={found.threshold:.4f}, embedder="{escape(found.embedder)}")')
    return None
