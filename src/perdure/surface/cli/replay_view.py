"""What a person watches while a replay runs: a bar, the newest error with its history, what is broken.

On a terminal it is drawn in place; elsewhere one line is printed as each month ends.
"""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from perdure.assets.health import Finding, State
from perdure.surface.replay import Progress as ReplayProgress
from perdure.surface.replay import Traffic

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float]) -> str:
    """Values as a line of bars, from zero to the largest.

    >>> sparkline([0.0, 5.0, 10.0])
    '▁▅█'
    """
    top = max(values, default=0.0)
    return "".join(_BARS[min(7, int(8 * value / top))] if top > 0 else _BARS[0] for value in values)


class ReplayView:
    """Use it as a context manager; `update` is the replay's listener."""

    def __init__(self, console: Console, traffic: Traffic, *, quiet: bool = False) -> None:
        self._console = console
        self._traffic = traffic
        self._quiet = quiet
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal and not quiet else None
        self._bar = Progress(
            TextColumn("[bold]{task.fields[month]}"),
            BarColumn(bar_width=40),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f} rows"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("replay", total=traffic.requests.height, month="")
        self._weeks: list[float] = []
        self._last_week: datetime | None = None
        self._month = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(self, progress: ReplayProgress) -> None:
        """Take in the state at a barrier."""
        findings = list(progress.last_round.findings) if progress.last_round else []
        self._remember(progress, findings)
        month = f"{progress.now:%B %Y}"
        if self._live is not None:
            self._bar.update(self._task, completed=progress.n_rows, month=month)
            self._live.update(self._drawn(progress, findings))
        elif not self._quiet and self._month not in ("", month):
            self._console.print(self._line(progress, self._month), soft_wrap=True)
        self._month = month

    def _remember(self, progress: ReplayProgress, findings: list[Finding]) -> None:
        for finding in findings:
            reading = finding.reading
            if reading.signal != "mae" or reading.slice or reading.value is None:
                continue
            if self._last_week is None or (progress.now - self._last_week).days >= 7:
                self._weeks.append(reading.value)
                self._last_week = progress.now

    def _error(self) -> str:
        return f"{self._weeks[-1]:.1f}" if self._weeks else "–"

    def _line(self, progress: ReplayProgress, month: str) -> Text:
        share = progress.n_rows / max(progress.n_rows_total, 1)
        return Text(
            f"  {month:15} {share:4.0%}  {progress.n_rows:>9,} rows  {progress.n_labels:>9,} labels  "
            f"error {self._error():>5}  {sparkline(self._weeks)}  {progress.seconds:,.0f} s"
        )

    def _drawn(self, progress: ReplayProgress, findings: list[Finding]) -> Group:
        error = Text.assemble(
            ("mean absolute error  ", "dim"), (f"{self._error():>5}", "bold"), "  ", (sparkline(self._weeks), "cyan")
        )
        counts = Text(f"{progress.n_requests:,} requests   {progress.n_labels:,} labels", "dim")
        broken = [finding for finding in findings if finding.state is State.BROKEN]
        told = [
            Text.assemble(
                ("broken  ", "bold red"),
                f"{finding.asset}  {finding.objective}  {finding.reading.slice}  ",
                ("" if finding.reading.value is None else f"{finding.reading.value:.3g}", "bold"),
            )
            for finding in broken[:5]
        ]
        return Group(self._bar, error, counts, *(told or [Text("every objective holds", "green")]))
