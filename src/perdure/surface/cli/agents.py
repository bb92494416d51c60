"""`perdure agent`: run agents, look at their runs, answer, call off, do runs again with something changed, compare two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer

from perdure.core.clock import machine_now
from perdure.core.errors import DeclarationError, nearest
from perdure.core.runs import RunStatus
from perdure.surface.cli import printing, show_run_trace, show_runs, show_runs_compared
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, Reason, opened
from perdure.surface.cli.printing import console
from perdure.surface.cli.taking import taking
from perdure.surface.cli.usage import Command, Group
from perdure.surface.running import RunAsked

if TYPE_CHECKING:
    from perdure.stores.runs.protocols import Told

group = typer.Typer(
    name="agent",
    cls=Group,
    help="Agents: run them, see what their runs did, answer what they ask, do runs again with something changed.",
    no_args_is_help=True,
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent.")]
_Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.")]
_Url = Annotated[
    str,
    typer.Option(
        "--url", metavar="URL", help="Ask this server. Default: [agents] url, else this process.", show_default=False
    ),
]
_SINCE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ENDED_ILL = ("failed", "limited", "cancelled")


@group.command("list", cls=Command)
def list_agents(project: Folder = HERE, json: Json = False) -> None:
    """List the declared agents: what answers, what they work with, what their runs of the last day cost."""
    show_runs.agents(opened(project).agents.list(), as_json=json)


@group.command(cls=Command)
def show(
    name: _Name,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="Its id or how it begins, a pointer's name, or `declared`.")
    ] = "declared",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Show one version of an agent: its prompt, its tools with their terms, its limits."""
    show_runs.agent(opened(project).agents.show(name, version), as_json=json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a run is asked for."""

    var: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="A variable of its prompt; what is no text is written as JSON."),
    ] = None
    given: Annotated[
        str,
        typer.Option("--input", metavar="JSON", help="All variables, or @FILE that holds them.", show_default=False),
    ] = ""
    expected: Annotated[
        str, typer.Option(metavar="TEXT", help="What it should give, for its scorers.", show_default=False)
    ] = ""
    user: Annotated[str, typer.Option(metavar="NAME", help="On whose behalf.", show_default=False)] = ""
    tag: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Kept with the run.")] = None
    version: Annotated[
        str,
        typer.Option(
            "--version", metavar="V", help="As with `show`. Default: the champion, else `declared`.", show_default=False
        ),
    ] = ""
    team: Annotated[str, typer.Option("--team", metavar="NAME", help="Whose key it acts for.", show_default=False)] = ""
    url: _Url = ""

    def asked(self) -> RunAsked:
        """The same as the SDK takes it."""
        variables = {name: _json_or_text(text) for name, text in _pairs(self.var, "--var").items()}
        given = _object(self.given, "--input") if self.given else {}
        return RunAsked(
            input={**given, **variables} or None,
            expected=self.expected or None,
            user=self.user,
            tags=_pairs(self.tag, "--tag"),
            version=self.version,
            team=self.team,
        )


@group.command(cls=Command)
@taking(_Asked)
def run(
    asked: _Asked,
    name: _Name,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What it is to do, in words.")] = "",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Run an agent until it is over or waits for a person; its text and its steps are shown as they come."""
    found = opened(project)
    live = show_runs.Live()
    told = found.agents.run(name, task, asked.asked(), hears=None if json else live.hear, url=asked.url)
    _ran(told, live, as_json=json)


@group.command(cls=Command)
def resume(run: _Run, project: Folder = HERE, json: Json = False) -> None:
    """Go on in this process with a run that was answered, or whose process died; a server does so by itself."""
    live = show_runs.Live()
    told = opened(project).agents.resume(run, hears=None if json else live.hear)
    _ran(told, live, as_json=json)


@group.command(cls=Command)
def runs(  # noqa: PLR0913 - a command takes what may be said with it
    name: Annotated[str, typer.Argument(metavar="NAME", help="Only of this agent or graph.")] = "",
    status: Annotated[
        str, typer.Option("--status", metavar="S,…", help="Only those that stand so.", show_default=False)
    ] = "",
    since: Annotated[
        str,
        typer.Option("--since", metavar="SPAN", help="Begun in the last while, such as 1d or 90m.", show_default=False),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The newest so many.")] = 20,
    below: Annotated[bool, typer.Option("--below", help="Those that runs began, too.")] = False,
    url: _Url = "",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """List runs of agents and graphs, newest first."""
    start = machine_now() - _span(since) if since else None
    found = opened(project).agents.runs(
        name, statuses=_statuses(status), since=start, limit=limit, below=below, url=url
    )
    show_runs.runs(found, as_json=json)


@group.command(cls=Command)
def trace(
    run: _Run,
    full: Annotated[bool, typer.Option("--full", help="Texts whole, not cut to a line.")] = False,
    url: _Url = "",
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Print one run as a tree: steps with times, tokens, cost, versions and errors, and the runs below it."""
    agents = opened(project).agents
    show_run_trace.trace(agents.get(run, url=url), lambda each: agents.get(each, url=url), full=full, as_json=json)


@group.command(cls=Command)
def waiting(url: _Url = "", project: Folder = HERE, json: Json = False) -> None:
    """List what runs ask people, those first that were asked first; `perdure inbox` has all that waits."""
    show_runs.waiting(opened(project).agents.waiting(url=url), as_json=json)


@group.command(cls=Command)
def answer(  # noqa: PLR0913 - a command takes what may be said with it
    question: Annotated[str, typer.Argument(metavar="ID", help="The question's id, or how it begins.")],
    yes: Annotated[bool, typer.Option("--yes/--no", help="What you say.", show_default=False)],
    reason: Reason = "",
    value: Annotated[
        str,
        typer.Option(
            "--value", metavar="JSON", help="Arguments to use instead; of an effect that happened what it gave.",
            show_default=False,
        ),
    ] = "",
    url: _Url = "",
    project: Folder = HERE,
    actor: Actor = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Answer what a run asks; your role is checked, and what serves the project goes on with the run."""
    given = _json(value, "--value") if value else None
    found = opened(project, actor).agents.answer(question, yes, reason=reason, value=given, url=url)
    show_runs.answered(found, as_json=json)


@group.command(cls=Command)
def cancel(
    run: _Run, reason: Reason = "", url: _Url = "", project: Folder = HERE, actor: Actor = None, json: Json = False
) -> None:
    """Call a run off, and the runs below it."""
    show_runs.cancelled(opened(project, actor).agents.cancel(run, reason=reason, url=url), as_json=json)


@group.command(cls=Command)
def replay(  # noqa: PLR0913 - a command takes what may be said with it
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A run; or with --since an agent or graph.")],
    swap: Annotated[
        list[str], typer.Option("--swap", metavar="KIND:NAME=VALUE", help="What takes the place of what; once or more.")
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="SPAN", help="Its runs of the last while, such as 1d.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The newest so many.")] = 200,
    at: At = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Do recorded runs again with something changed, and tell what would have come of it; nothing is changed by it."""
    found, swaps = opened(project), _pairs(swap, "--swap")
    told = found.agents.last(target, _span(since), at=at, limit=limit) if since else [found.agents.get(target)]
    with _bar(quiet=json) as watching:
        table = found.agents.replay(told, swaps, watching=watching)
    show_runs_compared.replays(table, as_json=json)


@group.command(cls=Command)
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A run.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    full: Annotated[bool, typer.Option("--full", help="Steps that are the same, too.")] = False,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Lay two runs side by side, step by step."""
    show_runs_compared.diff(opened(project).agents.diff(before, after), full=full, as_json=json)


@group.command(cls=Command)
def redteam(
    name: _Name,
    blind: Annotated[
        bool, typer.Option("--blind", help="As if no rule saw an injection: only rules of where data comes from.")
    ] = False,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Attack an agent's tools by every case of a corpus, as a model that obeys each would; nothing is executed."""
    with printing.working("attacking", quiet=json):
        found = opened(project).agents.red_team(name, blind=blind)
    show_runs.red_team(found, as_json=json)
    if not found.held:
        raise typer.Exit(1)


def _ran(told: Told, live: show_runs.Live, *, as_json: bool) -> None:
    show_runs.ran(told, live, as_json=as_json)
    if told.run.status in _ENDED_ILL:
        raise typer.Exit(1)


def _pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, sign, text = pair.partition("=")
        if not sign or not name or name in found:
            raise DeclarationError(
                f"{option} {pair!r} gives nothing, or one again.",
                hint=f"Write {option} {'KIND:NAME=VALUE' if option == '--swap' else 'NAME=VALUE'}.",
            )
        found[name] = text
    return found


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _json(text: str, option: str) -> Any:
    try:
        return msgspec.json.decode(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except (msgspec.DecodeError, OSError) as error:
        raise DeclarationError(
            f"{option} cannot be read: {error}.", hint=f'Write {option} \'{{"text": "…"}}\'.'
        ) from error


def _object(text: str, option: str) -> Mapping[str, Any]:
    found = _json(text, option)
    if not isinstance(found, dict):
        raise DeclarationError(f"{option} is no JSON object.", hint=f'Write {option} \'{{"tone": "formal"}}\'.')
    return found


def _span(text: str) -> timedelta:
    """A stretch of time as people write it.

    >>> _span("90m"), _span("1d")
    (datetime.timedelta(seconds=5400), datetime.timedelta(days=1))
    """
    found = _SINCE.fullmatch(text)
    if found is None:
        raise DeclarationError(f"--since {text!r} is no stretch of time.", hint="Write 90m, 12h, 1d or 2w.")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def _statuses(text: str) -> tuple[RunStatus, ...]:
    known: tuple[RunStatus, ...] = get_args(RunStatus)
    wanted = [each.strip() for each in text.split(",") if each.strip()]
    for each in wanted:
        if each not in known:
            near = nearest(each, known)
            hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known)}."
            raise DeclarationError(f"No run stands as {each!r}.", hint=hint)
    return tuple(each for each in known if each in wanted)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """How many runs are done again, and how long it takes still."""
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("doing runs again"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
