"""A model trained in February meets the rest of the year: every flight, through the real server.

Run it by `perdure demo` (or `make demo`). It uses nothing but what perdure gives to everybody.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from flights import data
from rich.console import Console

import perdure
from perdure.core.clock import monotonic_s
from perdure.surface.cli import show
from perdure.surface.cli.replay_view import ReplayView
from perdure.surface.replay import AT, Progress, Replay, Traffic
from perdure.surface.report import ReportData, write_report
from perdure.surface.sdk import Perdure
from perdure.surface.serving import server_process
from perdure.surface.summary import Gaps, Outcome, gaps, outcome

HERE = Path(__file__).resolve().parent
ZONE = "America/New_York"
MODEL = "air_time"
LAST = datetime(2014, 1, 2, 5, tzinfo=UTC)
"""Midnight in New York after every flight of the year has landed."""


def run(*, days: int | None = None, out: Path | None = None, quiet: bool = False) -> dict[str, Any]:
    """The whole story; returns what is written to `summary.json`."""
    began, console = monotonic_s(), Console(highlight=False, quiet=quiet)
    out = (out or HERE / "out").resolve()
    shutil.rmtree(out, ignore_errors=True)
    project = _open(out)
    console.print("\n[bold]perdure[/] [dim]models decay, systems perdure[/]   flights from New York, 2013\n")
    _prepare(project, console, quiet)
    traffic = _traffic(days)
    with server_process(project, replay=True) as url:
        console.print(
            f"[bold]replay[/]   {traffic.requests.height:,} flights from {traffic.start:%d %B} on, through {url}, "
            "labels when they have landed\n",
            soft_wrap=True,
        )
        with ReplayView(console, traffic, quiet=quiet) as view:
            progress = Replay(project, traffic, url).run(view.update)
    found = outcome(
        project.place.stores, project.project.model(MODEL), traffic.start, traffic.end + timedelta(seconds=1), ZONE
    )
    missing = gaps(project.place.stores, project.project.model(MODEL), traffic.start, traffic.end)
    summary = _summary(project, progress, found, monotonic_s() - began)
    _finish(project, traffic, found, summary, out)
    _tell(found, missing, summary, console, out)
    return summary


def _open(out: Path) -> Perdure:
    project = perdure.open_project(HERE)
    stores = dataclasses.replace(project.settings.stores, root=str(out / ".perdure"))
    return Perdure(HERE, dataclasses.replace(project.settings, stores=stores))


def _prepare(project: Perdure, console: Console, quiet: bool) -> None:
    """Declare, take in what was on file at the end of February, train, release."""
    notes = project.check()
    console.print(
        f"[bold]declared[/] {len(project.project.sources)} sources, {len(project.project.views)} feature views, "
        f"1 model; check: {len([note for note in notes if note.level == 'error'])} errors"
    )
    report = project.tick(at=data.TRAINED_AT)
    for part in report.ingested:
        dirt = f"[yellow]{part.n_quarantined} quarantined[/]" if part.n_quarantined else "none quarantined"
        console.print(f"  {part.source:9} {part.n_rows:>7,} rows  {dirt}")
    trained = project.train(MODEL, at=data.TRAINED_AT)
    if not quiet:
        console.print()
        show.trained(trained, as_json=False)
    project.apply(at=data.TRAINED_AT)
    console.print(f"[bold]released[/] champion → {trained.version.id}\n")


def _traffic(days: int | None) -> Traffic:
    """Every flight from March on, asked at the hour in which it is planned; labels as they land."""
    end = LAST if days is None else data.TRAINED_AT + timedelta(days=days)
    last_asked = end if days is None else end - timedelta(days=1)
    asked = data.all_flights().filter((pl.col("planned_at") >= data.TRAINED_AT) & (pl.col("planned_at") < last_asked))
    landed = data.landings().join(asked.select("flight_id"), on="flight_id", how="semi")
    return Traffic(
        model=MODEL,
        requests=asked.select(*data.PLAN, pl.col("planned_at").alias(AT)),
        labels=landed.select(key="flight_id", value="air_time_min", known_at="landed_at"),
        start=data.TRAINED_AT,
        end=end,
    )


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def _summary(project: Perdure, progress: Progress, found: Outcome, seconds: float) -> dict[str, Any]:
    return {
        "requests": progress.n_requests,
        "rows": progress.n_rows,
        "rows_refused": progress.n_rows_refused,
        "rows_captured": found.rows_captured,
        "labels": found.labels,
        "labels_joined": found.labels_joined,
        "labels_orphaned": found.labels_orphaned,
        "mae_frozen_by_month": {month.month: round(month.mae, 4) for month in found.months},
        "skew_checked": found.skew_checked,
        "skew_mismatches": found.skew_mismatches,
        "quarantined_rows": found.quarantined_rows,
        "ledger_intact": project.verify_ledger().intact,
        "cpu_seconds": round(_cpu_seconds(), 1),
        "seconds": round(seconds, 1),
    }


def _finish(project: Perdure, traffic: Traffic, found: Outcome, summary: dict[str, Any], out: Path) -> None:
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    version = project.versions(MODEL)[-1].id
    figures = {
        "requests": f"{summary['requests']:,}",
        "rows answered": f"{summary['rows']:,}",
        "rows captured": f"{summary['rows_captured']:,}",
        "labels": f"{summary['labels']:,}",
        "labels without a row": f"{summary['labels_orphaned']:,}",
        "vectors recomputed": f"{summary['skew_checked']:,}",
        "of them different": f"{summary['skew_mismatches']:,}",
        "rows in quarantine": f"{summary['quarantined_rows']:,}",
        "CPU seconds": f"{summary['cpu_seconds']:,}",
    }
    model = project.project.model(MODEL)
    write_report(ReportData(project, model, version, found, figures, traffic.start, traffic.end), out / "report.html")


def _tell(found: Outcome, missing: Gaps, summary: dict[str, Any], console: Console, out: Path) -> None:
    table = show.table(
        "month", "labelled", "error, min", "95% interval", "bias", "", right=["labelled", "error, min", "bias"]
    )
    top = max((month.mae for month in found.months), default=1.0)
    for month in found.months:
        bar = "█" * round(20 * month.mae / top)
        table.add_row(
            month.month,
            f"{month.n:,}",
            f"{month.mae:.2f}",
            f"{month.low:.2f} to {month.high:.2f}",
            f"{month.bias:+.2f}",
            f"[cyan]{bar}[/]",
        )
    console.print("\n[bold]how the model of February decays[/]  mean absolute error of its air time\n")
    console.print(table)
    origins = ", ".join(f"{n:,} row of {origin}" for origin, n in found.quarantined_by_origin.items()) or "none"
    matched = "every one equal" if not summary["skew_mismatches"] else f"{summary['skew_mismatches']:,} DIFFER"
    console.print(
        f"\nserved   {summary['rows']:,} rows in {summary['requests']:,} requests, {summary['rows_captured']:,} captured\n"
        f"labels   {summary['labels']:,} arrived, {summary['labels_joined']:,} joined, "
        f"{summary['labels_orphaned']:,} without a row\n"
        f"skew     {summary['skew_checked']:,} served vectors recomputed offline, {matched}\n"
        f"dirt     quarantined {origins}\n"
        f"         {_gaps_text(missing)}\n"
        f"cost     {summary['cpu_seconds']:,} CPU s, {summary['seconds']:,} s\n"
        f"written  {_short(out / 'summary.json')}\n         {_short(out / 'report.html')}"
    )


def _gaps_text(missing: Gaps) -> str:
    """The dirt that the rows met, in words: it was served with, and counted."""
    weather, aircraft = missing.views["weather_now"], missing.views["aircraft"]
    return (
        f"{weather['missing'] + weather['expired']:,} rows without fresh weather, "
        f"{missing.features['pressure_mb']:,} without a pressure,\n"
        f"         {aircraft['missing']:,} of an aircraft not in the register,\n"
        f"         {missing.features['dest']:,} to an airport never seen in training"
    )


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
