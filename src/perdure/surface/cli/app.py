"""The commands. Each is a few lines over a verb of the SDK, prints for a person or, with --json, one JSON value.

Exit codes are those of the error families in `core.errors`: 2 a wrong declaration or input, 3 not
found, 4 not ready, 5 refused, 6 a store, 7 an upstream, 8 a missing extra.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import DeclarationError, PerdureError, StoreError
from perdure.surface.cli import (
    agents,
    alerting,
    answering,
    backtesting,
    caching,
    calls,
    console,
    evals,
    govern,
    graphs,
    indexes,
    judges,
    keys,
    people,
    printing,
    prompts,
    reviews,
    show,
    show_ci,
    show_health,
    show_story,
    spending,
    tend,
)
from perdure.surface.cli.options import HERE, Actor, At, Folder, Json, Port, Reason, opened
from perdure.surface.cli.stopping import until_signalled
from perdure.surface.cli.usage import Command, Group, mistake

app = typer.Typer(
    name="perdure",
    cls=Group,
    help="Models decay. Systems perdure: declare, train, serve, measure, repair.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
ledger = typer.Typer(name="ledger", cls=Group, help="The record of who did what, when and why.", no_args_is_help=True)


def run() -> None:
    """Run the command line; an error becomes its message, hint and exit code."""
    try:
        code = get_command(app).main(prog_name="perdure", standalone_mode=False)
    except TyperException as error:
        raise SystemExit(_told(mistake(error))) from None
    except PerdureError as error:
        raise SystemExit(_told(error)) from None
    raise SystemExit(code)


def _told(error: PerdureError) -> int:
    printing.error(error, as_json="--json" in sys.argv)
    return error.exit_code


@app.command(cls=Command, rich_help_panel="Declare")
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to make; empty, or not there yet.")],
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV file to declare the sources from.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="What the model predicts.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="Each row's instant.")] = None,
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="What identifies a row.")] = None,
    json: Json = False,
) -> None:
    """Make a new project: perdure.toml and a package of declarations, from a CSV file or made-up data."""
    from perdure.surface.scaffold import Columns, make_project

    made = make_project(folder, csv, Columns(label=label, time=time, key=key))
    show.made(made, as_json=json)


@app.command(cls=Command, rich_help_panel="Declare")
def check(
    project: Folder = HERE,
    ci: Annotated[bool, typer.Option("--ci", help="Review a pull request: compare with a base, in Markdown.")] = False,
    base: Annotated[
        Path | None, typer.Option("--base", metavar="FOLDER|LEDGER", help="Another checkout, or a ledger.")
    ] = None,
    allow: Annotated[
        str | None, typer.Option("--allow", metavar="RISK,…", help="Risks that are accepted.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the Markdown there.")] = None,
    json: Json = False,
) -> None:
    """Load every declaration and tell what is wrong or doubtful, with file, line and what to write."""
    found = opened(project)
    if ci:
        review = found.review(base, allow=(allow or "").split(","))
        show_ci.review(review, out, as_json=json)
        raise typer.Exit(review.exit_code)
    if base is not None or allow is not None or out is not None:
        raise DeclarationError(
            "--base, --allow and --out go with --ci.", hint="Write: perdure check --ci --base FOLDER"
        )
    notes = found.check()
    show.notes(found.project, notes, as_json=json)
    if any(note.level == "error" for note in notes):
        raise typer.Exit(DeclarationError.exit_code)


@app.command(cls=Command, rich_help_panel="Train")
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, or of a guard that learns.")],
    project: Folder = HERE,
    at: At = None,
    tune: Annotated[
        int, typer.Option("--tune", metavar="N", help="Search parameters in N trials first.", show_default=False)
    ] = 0,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Fit a model, or what a guard learns, on what was known at an instant; register the candidate version."""
    found, tuned = opened(project, actor), None
    if model in found.project.guards:
        if tune:
            raise DeclarationError(f"--tune goes with a model, and {model!r} is a guard.", hint="Leave --tune out.")
        with printing.working(f"training {model}", quiet=json):
            guard = found.train_guard(model, at=at)
        return show.trained_guard(guard, as_json=json)
    if tune:
        with show.trials(tune, quiet=json) as progress:
            tuned = found.tune(model, n_trials=tune, at=at, progress=progress)
    with printing.working(f"training {model}", quiet=json):
        trained = found.train(model, at=at, params=dict(tuned.best_params) if tuned else None)
    return show.trained(trained, tuned, as_json=json)


@app.command(cls=Command, rich_help_panel="Train")
def runs(
    asset: Annotated[str | None, typer.Argument(metavar="MODEL", help="Only runs of this model.")] = None,
    project: Folder = HERE,
    limit: Annotated[int, typer.Option(metavar="N", help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """List runs side by side: metrics, durations, the parameters that differ."""
    show.runs(opened(project).runs(asset, limit=limit), as_json=json)


@app.command(cls=Command, rich_help_panel="Run")
def apply(  # noqa: PLR0913 - a command takes what may be said with it
    project: Folder = HERE,
    at: At = None,
    release: Annotated[
        list[str] | None, typer.Option(metavar="MODEL=VERSION", help="Release this version, whoever made it.")
    ] = None,
    repair: Annotated[str | None, typer.Option(metavar="ASSET", help="Begin a repair of this asset instead.")] = None,
    reason: Reason = "",
    unproven: Annotated[
        str,
        typer.Option(
            "--unproven", metavar="REASON", help="Release prompts past their suites; an incident until passed."
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change; change nothing.")] = False,
    actor: Actor = None,
    json: Json = False,
) -> None:
    """Register what is declared and release what was trained by hand since the last release."""
    found, chosen = opened(project, actor), dict(_pair(text) for text in release or [])
    if repair is None:
        changes = found.apply(at=at, release=chosen, dry_run=dry_run, reason=reason, unproven=unproven)
        return show.changes(changes, dry_run=dry_run, as_json=json)
    if chosen or dry_run or unproven:
        raise DeclarationError(
            "--repair goes with neither --release, --unproven nor --dry-run.", hint="perdure plan tells, first."
        )
    return show_story.repairing(found.repair(repair, reason=reason, at=at), as_json=json)


def _pair(text: str) -> tuple[str, str]:
    model, sign, version = text.partition("=")
    if not sign:
        raise DeclarationError(f"--release {text!r} names no version.", hint="Write --release MODEL=VERSION.")
    return model, version


@app.command(cls=Command, rich_help_panel="Run")
def up(
    project: Folder = HERE,
    port: Port = None,
    json: Json = False,
) -> None:
    """Serve and run the loop, everything in this process, until interrupted."""
    from perdure.surface.serving import Listener

    found = opened(project)
    listener = Listener(
        ready=lambda url: show_health.serving(url, found.project, as_json=json),
        round=lambda report: show_health.round_line(report, as_json=json),
        error=lambda problem: printing.error(problem, as_json=json),
        console=lambda opening: console.told(opening, as_json=json, ends=False),
    )
    found.up(port=port, stop=until_signalled(), listener=listener)


@app.command(cls=Command, rich_help_panel="Run")
def serve(
    project: Folder = HERE,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to serve on.")] = None,
    port: Port = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that share the port.", min=1)
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Accept domain time from requests.")] = False,
    json: Json = False,
) -> None:
    """Serve only: the data plane without the loop."""
    from perdure.surface.serving import serving

    found = opened(project)
    stopping = until_signalled()
    with serving(found, host=host, port=port, replay=replay or None, workers=workers) as (url, check):
        show_health.serving(url, found.project, as_json=json)
        while not stopping():
            check()
            sleep_s(0.1)


@app.command(cls=Command, rich_help_panel="Run")
def tick(project: Folder = HERE, at: At = None, json: Json = False) -> None:
    """Run one round of the loop: take in sources and captures, measure what is due."""
    began = monotonic_s()
    report = opened(project).tick(at=at)
    show_health.round_report(report, monotonic_s() - began, as_json=json)


@app.command(cls=Command, rich_help_panel="Look")
def status(project: Folder = HERE, at: At = None, json: Json = False) -> None:
    """What runs, how healthy it is, what is open."""
    show_health.status(opened(project).status(at=at), as_json=json)


for look in (spending.spend, spending.budgets, calls.calls, calls.call, console.console, console.look):
    app.command(cls=Command, rich_help_panel="Look")(look)
app.add_typer(ledger, rich_help_panel="Look")
app.add_typer(keys.group, rich_help_panel="Run")
app.add_typer(people.group, rich_help_panel="Run")
app.add_typer(caching.group, rich_help_panel="Run")
app.add_typer(prompts.group, rich_help_panel="Look")
app.add_typer(evals.group, rich_help_panel="Run")
app.add_typer(judges.group, rich_help_panel="Look")
indexes.group.command(cls=Command)(answering.answer)
app.add_typer(indexes.group, rich_help_panel="Look")
app.add_typer(agents.group, rich_help_panel="Run")
app.add_typer(graphs.group, rich_help_panel="Look")
app.add_typer(reviews.group, rich_help_panel="Look")
for panel, commands in (*govern.COMMANDS.items(), *tend.COMMANDS.items()):
    for command in commands:
        app.command(cls=Command, rich_help_panel=panel)(command)
app.command(cls=Command, rich_help_panel="Train")(backtesting.backtest)
app.command(cls=Command, rich_help_panel="Explain")(alerting.alerts)


@ledger.command(cls=Command)
def verify(project: Folder = HERE, json: Json = False) -> None:
    """Recompute the hash chain; exit code 6 when it is broken."""
    report = opened(project).verify_ledger()
    show.chain(report, as_json=json)
    if not report.intact:
        raise typer.Exit(StoreError.exit_code)


@ledger.command("list", cls=Command)
def list_entries(
    project: Folder = HERE,
    after: Annotated[int, typer.Option(metavar="N", help="Only entries after this sequence number.")] = 0,
    limit: Annotated[int, typer.Option(metavar="N", help="How many.")] = 50,
    json: Json = False,
) -> None:
    """Print entries of the chain, oldest first."""
    show.entries(opened(project).audit(after=after, limit=limit), as_json=json)


@app.command(cls=Command, rich_help_panel="Look")
def demo(
    name: Annotated[str, typer.Argument(metavar="EXAMPLE", help="Name of the example.")] = "flights",
    days: Annotated[int | None, typer.Option(metavar="N", help="Replay only so many days.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the output; default: `out` in the example.")
    ] = None,
    json: Json = False,
) -> None:
    """Run an example whole: prepare, train, release, serve, replay, measure."""
    from perdure.surface.examples import run_demo

    summary = run_demo(name, days=days, out=out, quiet=json)
    if json:
        printing.print_json(summary)
