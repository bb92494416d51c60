"""The same year of flights meets two deployments: one frozen, one that the loop alone keeps healthy.

Run it by `perdure demo` (or `make demo`). Both answer every flight from March on through real servers. In
October a fault is injected into the weather feed; up to there the runs with and without it are the same,
so they are replayed once, the stores are copied, and four deployments go on. It uses nothing but what
perdure gives to everybody.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from flights import data
from flights.fault import VARIABLE, WEATHER, Fault, inject, injected_keys, n_rows_touched
from flights.telling import counts, headline, report_figures
from flights.traffic import LAST, MODEL, flights_asked, traffic
from rich.console import Console

from perdure.core.canonical import plain
from perdure.core.clock import monotonic_s
from perdure.loop.work.outcomes import feature_matrix, read_captures
from perdure.loop.work.versions import get_version, plan_of
from perdure.surface.cli import show
from perdure.surface.cli.replay_view import ReplayView
from perdure.surface.cli.show_comparison import comparison
from perdure.surface.comparison import Pair, Stretch
from perdure.surface.deployments import Deployment, Heard, Part, Task, close_stores, copy_stores, side_by_side
from perdure.surface.examples import console_command
from perdure.surface.repairs import Repairs, repairs
from perdure.surface.replay import Traffic
from perdure.surface.report import ComparisonData, write_comparison
from perdure.surface.sdk import Perdure
from perdure.surface.summary import Outcome, gaps, outcome

HERE = Path(__file__).resolve().parent
ZONE = "America/New_York"
SUMMER = date(2013, 6, 1), date(2013, 9, 30)
FROZEN = {"PERDURE_LOOP_AUTONOMY": "observe"}
"""The frozen deployment is the managed one under another setting: its loop measures, and does nothing."""
SILENT_H = 7
"""A feed without an observation for so many hours really was silent: no fault needs to explain that incident."""


@dataclass(slots=True)
class Runs:
    """The deployments of the demo. Until the fault's onset there are two; where it is not reached, to the end."""

    frozen: Deployment
    managed: Deployment
    end: datetime
    fault: Fault
    whole: Traffic
    heard: dict[str, list[Heard]] = field(default_factory=dict)
    """What each told last, part by part."""

    @property
    def forks_at(self) -> datetime:
        """Where the runs with and without the fault part: the last barrier before its onset."""
        return min(self.whole.last_barrier(self.fault.onset), self.end)

    @property
    def faulty(self) -> bool:
        """Whether the replay reaches the fault."""
        return self.forks_at < self.end

    def without_fault(self, deployment: Deployment) -> Deployment:
        """The same deployment of the run without the fault; itself where there is only one run."""
        if not self.faulty:
            return deployment
        root = deployment.root.parents[1] / f"{deployment.name}-without-fault" / ".perdure"
        return replace(deployment, name=f"{deployment.name}, no fault", root=root)

    @property
    def all(self) -> list[Deployment]:
        """Every deployment, those with the fault first."""
        first = [self.frozen, self.managed]
        return first + [self.without_fault(each) for each in first] if self.faulty else first


def run(
    *, days: int | None = None, out: Path | None = None, quiet: bool = False, fault: Fault | None = None
) -> dict[str, Any]:
    """The whole story; returns what is written to `summary.json`.

    Args:
        days: replay only so many days.
        out: folder of what is written.
        quiet: print nothing.
        fault: another one than October's.
    """
    began, console = monotonic_s(), Console(highlight=False, quiet=quiet)
    out = (out or HERE / "out").resolve()
    shutil.rmtree(out, ignore_errors=True)
    runs = _runs(out, days, fault or Fault())
    console.print("\n[bold]perdure[/] [dim]models decay, systems perdure[/]   flights from New York, 2013\n")
    project = runs.frozen.open()
    _prepare(project, console, quiet)
    close_stores(project)
    copy_stores(runs.frozen, runs.managed)
    _replay(runs, console, quiet)
    (out / "fault.json").write_text(json.dumps(inject(data.true_weather(), runs.fault)[1], indent=1) + "\n", "utf-8")
    story = Story(runs, project)
    summary = story.summary()
    summary |= {"cpu_seconds": round(_cpu_seconds(), 1), "seconds": round(monotonic_s() - began, 1)}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    write_comparison(story.report(summary), out / "report.html")
    story.tell(summary, console, out)
    return summary


def _runs(out: Path, days: int | None, fault: Fault) -> Runs:
    end = LAST if days is None else data.TRAINED_AT + timedelta(days=days)
    kept = out / "flights.parquet"
    kept.parent.mkdir(parents=True)
    data.all_flights().write_parquet(kept)
    shared = {data.KEPT: str(kept)}
    frozen = Deployment("frozen", HERE, out / "frozen" / ".perdure", {**FROZEN, **shared})
    managed = Deployment("managed", HERE, out / "managed" / ".perdure", shared)
    return Runs(frozen, managed, end, fault, traffic(data.TRAINED_AT, end, end))


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
    console.print(f"[bold]released[/] champion → {trained.version.id}, to both deployments\n")


def _replay(runs: Runs, console: Console, quiet: bool) -> None:
    """Two deployments up to the onset; there the stores are copied, and four go on, never more than two at once."""
    onset, start = runs.forks_at, data.TRAINED_AT
    console.print(
        f"[bold]replay[/]   {flights_asked(runs.end).height:,} flights from {start:%d %B} on, each to a frozen deployment "
        "and to one that the loop manages, labels when they have landed",
        soft_wrap=True,
    )
    _announce(runs, console)
    spans = [(each.name, start if each in (runs.frozen, runs.managed) else onset, runs.end) for each in runs.all]
    with ReplayView(console, spans, "min", quiet=quiet) as view:
        _side_by_side(runs, [runs.frozen, runs.managed], (start, onset), view)
        if runs.faulty:
            clean = [runs.without_fault(each) for each in (runs.frozen, runs.managed)]
            for source, target in zip((runs.frozen, runs.managed), clean, strict=True):
                copy_stores(source, target)
                runs.heard[target.name] = list(runs.heard.get(source.name, ()))
            faulty = [
                replace(each, settings={**each.settings, VARIABLE: runs.fault.as_json()}) for each in runs.all[:2]
            ]
            _side_by_side(runs, [*faulty, *clean], (onset, runs.end), view)


def _announce(runs: Runs, console: Console) -> None:
    if not runs.faulty:
        console.print(
            f"[magenta]injected[/] nothing: the fault begins on {runs.fault.onset:%d %B}, after the last flight\n"
        )
        return
    for kind, start, end in runs.fault.stretches:
        console.print(f"[magenta]injected[/] into the weather feed: {kind}, {start:%d %B} to {end:%d %B}")
    console.print("         a copy of each deployment goes on without it\n")


def _side_by_side(
    runs: Runs, deployments: Sequence[Deployment], span: tuple[datetime, datetime], view: ReplayView
) -> None:
    if span[0] >= span[1]:
        return
    tasks = [Task(each, Part(each.name, *span, runs.end), (sys.executable, "-m", "flights")) for each in deployments]
    for name, heard in side_by_side(tasks, view.update).items():
        runs.heard.setdefault(name, []).append(heard)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


class Story:
    """What the runs came to: counted from the stores, told, drawn, written."""

    def __init__(self, runs: Runs, project: Perdure) -> None:
        self._runs = runs
        self._model = project.project.model(MODEL)
        self._sources = set(project.project.sources)
        self._opened = {each.name: each.open(project.project) for each in runs.all}
        self._outcomes = {name: self._outcome(opened) for name, opened in self._opened.items()}
        self._repairs = {name: repairs(opened.place.stores.ledger, [MODEL]) for name, opened in self._opened.items()}
        self.with_fault = self._pair("with the injected fault", runs.frozen, runs.managed, faulty=runs.faulty)
        clean = [runs.without_fault(each) for each in (runs.frozen, runs.managed)]
        self.without_fault = self._pair("without the fault", *clean, faulty=False)

    def _outcome(self, opened: Perdure) -> Outcome:
        end = self._runs.end + timedelta(seconds=1)
        return outcome(opened.place.stores, self._model, data.TRAINED_AT, end, ZONE)

    def _pair(self, title: str, frozen: Deployment, managed: Deployment, *, faulty: bool) -> Pair:
        stretches = [Stretch(*stretch) for stretch in self._runs.fault.stretches] if faulty else []
        found = self._repairs[managed.name]
        return Pair(title, self._outcomes[frozen.name], self._outcomes[managed.name], found, stretches)

    def summary(self) -> dict[str, Any]:
        """Everything but durations; equal for two runs."""
        frozen, heard = self.with_fault.frozen, self._runs.heard[self._runs.frozen.name]
        return {
            "requests": sum(part.n_requests for part in heard),
            "rows": sum(part.n_rows for part in heard),
            "rows_refused": sum(part.n_rows_refused for part in heard),
            "rows_captured": frozen.rows_captured,
            "labels": frozen.labels,
            "labels_joined": frozen.labels_joined,
            "labels_orphaned": frozen.labels_orphaned,
            **_figures(self.with_fault),
            **self._of_the_fault(),
            **self._quiet_weeks(),
            "skew_checked": frozen.skew_checked,
            "skew_mismatches": sum(each.skew_mismatches for each in self._outcomes.values()),
            "quarantined_rows": frozen.quarantined_rows,
            "ledger_intact": all(opened.verify_ledger().intact for opened in self._opened.values()),
            "without_fault": _figures(self.without_fault),
        }

    def _of_the_fault(self) -> dict[str, Any]:
        """When it was found, and whether anything was fitted on it afterwards."""
        stretches = self._runs.fault.stretches if self._runs.faulty else []
        found = [self._detected(start, end) for _, start, end in stretches]
        hours = [
            None if at is None else round((at - start).total_seconds() / 3600, 2)
            for at, (_, start, _) in zip(found, stretches, strict=True)
        ] or [None, None]
        since = (found[0] if found else None) or self._runs.fault.onset
        return {
            "fault": [{"kind": kind, "onset": plain(start), "end": plain(end)} for kind, start, end in stretches],
            "fault_detected_after_h": hours[0],
            "stop_detected_after_h": hours[1],
            "retrained_on_injected_rows": self._retrained_on(since) if stretches else 0,
        }

    def _detected(self, start: datetime, end: datetime) -> datetime | None:
        """When an incident of the feed opened, or an open one was given another cause than before."""
        done = self.with_fault.repairs
        opened = [each.opened for each in done.incidents if each.asset == "weather" and start <= each.opened <= end]
        told = [each for each in done.diagnoses if each.asset == "weather" and each.cause]
        before = next((each.cause for each in reversed(told) if each.at < start), "")
        named = [each.at for each in told if start <= each.at <= end and each.cause != before]
        return min([*opened, *named], default=None)

    def _retrained_on(self, since: datetime) -> int:
        """Rows fitted from `since` on whose weather was injected, by the injector's record and nothing of the loop's."""
        shown, record = inject(data.true_weather(), self._runs.fault)
        opened, injected = self._opened[self._runs.managed.name], injected_keys(record)
        made = [version for version in opened.versions(MODEL) if version.created_at >= since]
        served, total = self._served_weather(opened), 0
        for dataset in sorted({str(version.lineage["dataset"]) for version in made}):
            name, _, digest = dataset.partition("@")
            rows = opened.place.stores.lake.read(f"datasets/{name}/{digest}", columns=["_key", "_as_of"])
            asked = rows.select(flight_id="_key", as_of="_as_of").join(served, on=["flight_id", "as_of"])
            total += n_rows_touched(asked, shown, injected)
        return total

    def _served_weather(self, opened: Perdure) -> pl.DataFrame:
        """The weather that each flight was answered with from the onset on: flight_id, as_of, origin, features."""
        stores, parts = opened.place.stores, []
        columns = ["key", "version", "features"]
        captures = read_captures(stores.lake, MODEL, self._runs.fault.onset, self._runs.end, columns)
        for (version,), rows in captures.group_by("version", maintain_order=True):
            names = [feature.name for feature in plan_of(get_version(stores.ledger, str(version))).features]
            values = pl.DataFrame(feature_matrix(rows["features"]), schema=names, orient="row").select(WEATHER)
            parts.append(rows.select(flight_id="key", as_of="served_at").hstack(values.fill_nan(None)))
        return pl.concat(parts).join(data.all_flights().select("flight_id", "origin"), on="flight_id")

    def _quiet_weeks(self) -> dict[str, int]:
        """Weeks without any fault, and those of them in which a source's incident opened although its feed was well."""
        start, weather = data.TRAINED_AT, data.true_weather()["observed_at"]
        false = set()
        for each in self.without_fault.repairs.incidents:
            newest = weather.filter(weather <= each.opened).max()
            silent = isinstance(newest, datetime) and each.opened - newest > timedelta(hours=SILENT_H)
            if each.asset in self._sources and not (each.asset == "weather" and silent):
                false.add((each.opened - start) // timedelta(days=7))
        weeks = (self._runs.end - start) // timedelta(days=7)
        return {"quiet_weeks": weeks, "false_incidents_quiet_weeks": len(false)}

    def report(self, summary: dict[str, Any]) -> ComparisonData:
        """What the page shows."""
        pairs = [self.with_fault, self.without_fault] if self._runs.faulty else [self.with_fault]
        return ComparisonData(
            self._opened[self._runs.managed.name],
            self._model,
            pairs,
            report_figures(summary),
            data.TRAINED_AT,
            self._runs.end,
        )

    def tell(self, summary: dict[str, Any], console: Console, out: Path) -> None:
        """The story's end on the console."""
        comparison(self.with_fault, console, unit="minutes of air time")
        frozen = self.with_fault.frozen
        place = self._opened[self._runs.frozen.name].place
        missing = gaps(place.stores, self._model, data.TRAINED_AT, self._runs.end)
        for line in [*headline(summary, self._runs.faulty), *counts(summary, frozen, missing)]:
            console.print(line, soft_wrap=True)
        written = [_short(out / name) for name in ("report.html", "summary.json", "fault.json")]
        console.print(f"written  {written[0]}\n" + "\n".join(f"         {path}" for path in written[1:]))
        stores = _short(self._runs.managed.root)
        console.print(
            f"\n[bold]next[/]     cd {_short(HERE)} && export PERDURE_STORES_ROOT={self._runs.managed.root}\n"
            "         perdure explain        [dim]each incident: what was seen, why, what was done, what it gave[/]\n"
            "         perdure history air_time   [dim]who moved what, when, on which evidence[/]\n"
            f"         [dim]the managed deployment's stores are in {stores}[/]\n\n"
            "[bold]look[/]     the whole story in a browser:\n"
            f"         [bold green]{console_command(HERE.name, out)}[/]",
            soft_wrap=True,
        )


def _figures(pair: Pair) -> dict[str, Any]:
    """The figures of one run, with or without the fault."""
    done, gained = pair.repairs, pair.improvement(*SUMMER)
    return {
        "mae_frozen_by_month": {month.month: round(month.mae, 4) for month in pair.frozen.months},
        "mae_managed_by_month": {month.month: round(month.mae, 4) for month in pair.managed.months},
        "improvement_june_to_september": None if gained is None else round(gained, 3),
        "releases": len(done.releases),
        "retrains": done.n_retrains,
        "rollbacks": done.n_rollbacks,
        "rejected_candidates": done.n_rejected,
        "incidents": _incidents(done),
        "decisions_replayed": done.n_decisions,
        "decisions_equal": done.n_equal,
    }


def _incidents(done: Repairs) -> list[dict[str, Any]]:
    return [
        {
            "asset": each.asset,
            "kind": each.kind,
            "cause": each.cause,
            "opened": plain(each.opened),
            "closed": plain(each.closed),
            "remedy": each.remedy,
        }
        for each in done.incidents
    ]


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
