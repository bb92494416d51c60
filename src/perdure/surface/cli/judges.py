"""`perdure judge`: calibrate judges on what people say, and show how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from perdure.surface.cli.options import HERE, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put, working
from perdure.surface.cli.usage import Command, Group
from perdure.surface.words import instant

if TYPE_CHECKING:
    from perdure.core.stats.intervals import Interval
    from perdure.surface.judging import JudgeRow, JudgeShown

group = typer.Typer(
    name="judge", cls=Group, help="Judges: how far they can be trusted, by what people say.", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The judge.")]
_Version = Annotated[
    str,
    typer.Option(
        "--version",
        metavar="V",
        help="Its id or how it begins, `champion`, or `declared`. Default: what answers.",
        show_default=False,
    ),
]
_HEADINGS = {
    "name": Column("judge", ()),
    "verdict": Column("verdict", ()),
    "agreement": Column("agrees", (), right=True),
    "labels": Column("labels", (), right=True, spare=1),
    "queue": Column("to review", (), right=True, spare=2),
    "at": Column("calibrated", (), spare=3),
    "route": Column("route", (), spare=4),
    "champion": Column("champion", (), spare=5),
}
_VERDICT = {"usable": "[green]usable[/]", "weak": "[yellow]weak[/]", "refused": "[red]refused[/]", "": "[dim]never[/]"}
_FIGURES = {
    "accuracy": "agrees with people",
    "kappa": "beyond chance (kappa)",
    "sensitivity": "good called good",
    "specificity": "bad called bad",
    "informedness": "informedness",
    "auc": "AUC",
    "position_bias": "favours the first place",
    "length_bias": "favours the longer",
    "consistency": "repeats itself",
    "obeyed": "obeys what it judges",
}


@group.command("list", cls=Command)
def list_judges(project: Folder = HERE, json: Json = False) -> None:
    """List the declared judges with the verdict of their newest calibration."""
    _listed(opened(project).list_judges(), as_json=json)


@group.command(cls=Command)
def show(name: _Name, version: _Version = "", project: Folder = HERE, json: Json = False) -> None:
    """Show one version of a judge and its newest calibration."""
    _shown(opened(project).show_judge(name, version), as_json=json)


@group.command(cls=Command)
def calibrate(name: _Name, version: _Version = "", at: At = None, project: Folder = HERE, json: Json = False) -> None:
    """Ask a judge about everything that people labelled, and keep how far it can be trusted."""
    with working("judging", quiet=json):
        found = opened(project).calibrate_judge(name, version, at=at)
    _shown(found, as_json=json)


def _listed(found: Sequence[JudgeRow], *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    if not found:
        return put("No judge is declared: docs/judges.md tells how.")
    return put(Fitted(of_rows(_HEADINGS, [_cells(row) for row in found])))


def _cells(row: JudgeRow) -> dict[str, str]:
    return {
        "name": escape(row.name),
        "verdict": _VERDICT[row.verdict],
        "agreement": "" if row.agreement is None else f"{row.agreement:.0%}",
        "labels": str(row.n_labels or ""),
        "queue": str(row.n_to_review or ""),
        "at": "" if row.calibrated_at is None else instant(row.calibrated_at),
        "route": escape(row.route),
        "champion": escape(row.champion),
    }


def _shown(found: JudgeShown, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    calibration = found.calibration
    verdict = _VERDICT["" if calibration is None else calibration.verdict]
    put(f"[bold]{escape(found.version)}[/]  {verdict}")
    model = f", pinned to {found.model}" if found.model else ""
    put(f"  {found.form} by {escape(found.route)}{escape(model)}; says {escape(', '.join(found.scale))}")
    if calibration is None or found.calibrated_at is None:
        return put("  It was never calibrated: its figures are not used.")
    put(f"  {escape(calibration.text)}", "")
    for name, words in _FIGURES.items():
        told: Interval | None = getattr(calibration, name)
        if told is not None and told.n:
            put(f"  {words:<24} {told.value:6.2f}  [dim]{told.low:.2f} to {told.high:.2f}, n {told.n}[/]")
    asked = f"asked {instant(found.calibrated_at)} of {', '.join(found.models) or 'nobody'}"
    return put("", f"  [dim]{escape(asked)}; {found.n_unanswered} without an opinion[/]")
