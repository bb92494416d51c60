"""`perdure index`: build indexes, hold them against their sources, mend them, and look into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.surface.cli import golden, show_indexes
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, opened
from perdure.surface.cli.printing import console
from perdure.surface.cli.taking import taking
from perdure.surface.cli.usage import Command, Group

if TYPE_CHECKING:
    from perdure.engines.retrieval.embedders.batching import EmbeddingProgress
    from perdure.loop.work.indexes.resyncing import Progress

group = typer.Typer(
    name="index",
    cls=Group,
    help="Indexes: what is in them, whether it is what their sources say, and how it is mended.",
    no_args_is_help=True,
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The index.")]
_Version = Annotated[
    str,
    typer.Option(
        "--version",
        metavar="V",
        help="Its id or how it begins, `champion`, or `declared`. Default: what answers.",
        show_default=False,
    ),
]
_Deep = Annotated[bool, typer.Option("--deep", help="Read every document and embed every chunk anew.")]
_Processes = Annotated[
    int,
    typer.Option(
        "--processes", metavar="N", min=1, max=256, help="Embed texts in so many processes. Default: in this one."
    ),
]


@group.command("list", cls=Command)
def list_indexes(project: Folder = HERE, json: Json = False) -> None:
    """List the declared indexes: what is in them, how fresh it is, what the newest census found."""
    show_indexes.listed(opened(project).list_indexes(), as_json=json)


@group.command(cls=Command)
def show(name: _Name, version: _Version = "", project: Folder = HERE, json: Json = False) -> None:
    """Show one version of an index: its generation, its newest census and resync, documents in trouble."""
    show_indexes.shown(opened(project).show_index(name, version), as_json=json)


@group.command(cls=Command)
def build(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    version: Annotated[str, typer.Option("--version", metavar="V", help="Its id or how it begins, or `champion`.")] = (
        "declared"
    ),
    anew: Annotated[
        bool, typer.Option("--anew", help="Beside what is there, which it replaces when it is whole.")
    ] = False,
    processes: _Processes = 1,
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Fill a version with what its source has now; one that was begun goes on where it was."""
    with _progress("building", quiet=json) as told:
        found = opened(project).build_index(name, version, anew=anew, at=at, progress=told, processes=processes)
    show_indexes.filled(found, as_json=json)


@group.command(cls=Command)
def sync(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    allow_deletion: Annotated[
        bool, typer.Option("--allow-deletion", help="What is gone at the source is gone for good, however much it is.")
    ] = False,
    processes: _Processes = 1,
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Make every version that is kept filled what its source says now."""
    with _progress("syncing", quiet=json) as told:
        here = opened(project, actor)
        found = here.sync_index(name, allow_deletion=allow_deletion, at=at, progress=told, processes=processes)
    show_indexes.resynced(found, as_json=json)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a census of an index, or of one of others, may be told."""

    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The index; or chroma:FOLDER#COLLECTION, qdrant:FOLDER#COLLECTION.")
    ]
    version: _Version = ""
    deep: _Deep = False
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FOLDER", help="What an index of others was made from.")
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option("--include", metavar="PATTERN", help="Files of the source that should be in it. Default: all."),
    ] = None
    member: Annotated[
        str,
        typer.Option("--map", metavar="MEMBER", help="Member of its metadata that names documents. Default: found."),
    ] = ""
    text: Annotated[
        str,
        typer.Option("--text", metavar="MEMBER", help="Member of a Qdrant point that holds its text. Default: found."),
    ] = ""
    n_sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Rows of it that are searched by their own vectors.")
    ] = 64


@group.command(cls=Command)
@taking(_Counted)
def census(of: _Counted, at: At = None, project: Folder = HERE, json: Json = False) -> None:
    """Hold source, record and what really stands in an index against each other; nothing is mended."""
    from perdure.stores.vectors.foreign import is_foreign
    from perdure.surface.cli import foreign
    from perdure.surface.foreign import ForeignAsked

    with _progress("counting", quiet=json):
        if is_foreign(of.name):
            asked = ForeignAsked(tuple(of.include or ("**/*",)), of.member, of.text, of.n_sample)
            return foreign.census(of.name, of.source, asked, as_json=json)
        found = opened(project).census_index(of.name, of.version, deep=of.deep, at=at)
    return show_indexes.census(found, as_json=json)


@group.command(cls=Command)
def plan(
    name: _Name, version: _Version = "", deep: _Deep = False, at: At = None, project: Folder = HERE, json: Json = False
) -> None:
    """Tell the least that would mend an index, by a new census; nothing is done."""
    with _progress("counting", quiet=json):
        found = opened(project).plan_index(name, version, deep=deep, at=at)
    show_indexes.plan(found, as_json=json)


@group.command(cls=Command)
def repair(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    deep: _Deep = False,
    processes: _Processes = 1,
    at: At = None,
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Take a census, do the least that mends what it finds, and look again."""
    with _progress("mending", quiet=json) as told:
        found = opened(project, actor).repair_index(name, deep=deep, at=at, progress=told, processes=processes)
    show_indexes.filled(found, as_json=json)


@group.command(cls=Command)
def history(name: _Name, version: _Version = "", project: Folder = HERE, json: Json = False) -> None:
    """List the generations of an index that can still be asked, oldest first."""
    show_indexes.history(opened(project).index_history(name, version), as_json=json)


@group.command(cls=Command)
def push(
    name: _Name,
    documents: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files; with --delete, ids.")],
    delete: Annotated[bool, typer.Option("--delete", help="Delete what was pushed under these ids.")] = False,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Keep files for an index whose documents are pushed; a file's id is its path as it is written."""
    here = opened(project)
    found = here.delete_documents(name, documents) if delete else here.push_documents(name, documents)
    show_indexes.pushed(found, deleted=delete, as_json=json)


@group.command(cls=Command)
def search(  # noqa: PLR0913 - a command takes what may be said with it
    name: _Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to find, as a person asks.")] = "",
    k: Annotated[int, typer.Option("--first", metavar="K", min=1, max=1000, help="So many at most.")] = 10,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="INSTANT", help="As the index stood then. Default: now.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Find what is like it, of an index of pictures.",
        ),
    ] = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Find chunks by vectors and words, exactly, now or as the index stood once."""
    data = None if picture is None else picture.read_bytes()
    show_indexes.found(opened(project).search_index(name, text, k=k, as_of=as_of, picture=data), as_json=json)


golden.add_to(group)


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal: documents done of all, texts embedded of all, how many a second, how long it still takes."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[texts]}"), console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, texts="")
        yield lambda at: bar.update(task, completed=at.n_done, total=at.n_steps, texts=embedding_line(at.texts))


def embedding_line(texts: EmbeddingProgress) -> str:
    """How far the texts are, how many come a second, and how long the rest takes; empty: there are none.

    >>> from perdure.engines.retrieval.embedders.batching import EmbeddingProgress
    >>> embedding_line(EmbeddingProgress(6_400, 90_000, 8.0))
    '6,400 of 90,000 texts, 800 a second, 0:01:44 left'
    """
    if not texts.n_all:
        return ""
    left = "" if texts.left_s is None else f", {timedelta(seconds=round(texts.left_s))} left"
    return f"{texts.n_done:,} of {texts.n_all:,} texts, {texts.per_s:,.0f} a second{left}"
