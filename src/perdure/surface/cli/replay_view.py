"""What a person watches while deployments are replayed: how far each is, its error so far, what is open, what is done.

On a terminal it is drawn in place; elsewhere one line is printed as each month of each deployment ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from perdure.surface.cli.printing import table

if TYPE_CHECKING:
    from perdure.surface.deployments import Heard

_BARS = "▁▂▃▄▅▆▇█"
_WEEKS = 24
"""Weeks of error that a row shows."""
_SHOWN = 2
"""Open incidents told of each deployment."""


def sparkline(values: Sequence[float], top: float | None = None) -> str:
    """Values as a line of bars, from zero to the largest, or to `top`.

    >>> sparkline([0.0, 5.0, 10.0])
    '▁▅█'
    """
    highest = max(values, default=0.0) if top is None else top
    return "".join(_BARS[min(7, int(8 * value / highest))] if highest > 0 else _BARS[0] for value in values)


@dataclass(slots=True)
class _Row:
    """One deployment."""

    name: str
    start: datetime
    heard: Heard | None = None
    weeks: list[float] = field(default_factory=list)
    last_week: datetime | None = None
    month: str = ""


class ReplayView:
    """Use it as a context manager; `update` is the listener of `side_by_side`.

    Args:
        console: where it is drawn.
        spans: each deployment's first and last instant, in the order of the rows.
        unit: of the error.
        quiet: nothing is printed.
    """

    def __init__(
        self, console: Console, spans: Sequence[tuple[str, datetime, datetime]], unit: str, *, quiet: bool = False
    ) -> None:
        self._console = console
        self._quiet = quiet
        self._unit = unit
        self._rows = {name: _Row(name, start) for name, start, _ in spans}
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal and not quiet else None
        self._bar = Progress(
            TextColumn("[bold]replay[/]"),
            BarColumn(bar_width=40),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        total = sum(((end - start) for _, start, end in spans), timedelta(0))
        self._task = self._bar.add_task("replay", total=total.total_seconds())

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
            self._live.update(self._drawn())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(self, heard: Heard) -> None:
        """Take in what a deployment told at a barrier."""
        row = self._rows[heard.deployment]
        before, row.heard = row.heard, heard
        if heard.error is not None and (row.last_week is None or heard.now - row.last_week >= timedelta(days=7)):
            row.weeks.append(heard.error)
            row.last_week = heard.now
        month = f"{heard.now:%B %Y}"
        if self._live is not None:
            done = sum(((each.heard.now - each.start) for each in self._rows.values() if each.heard), timedelta(0))
            self._bar.update(self._task, completed=done.total_seconds())
            self._live.update(self._drawn())
        elif not self._quiet and before is not None and row.month != month:
            self._console.print(self._line(row.name, before, row), soft_wrap=True)
        row.month = month

    def _line(self, name: str, heard: Heard, row: _Row) -> str:
        opened = "; ".join(heard.incidents) or "nothing is open"
        doing = f"  {heard.doing}" if heard.doing else ""
        return escape(
            f"  {name:22} {heard.now:%B %Y}  error {_error(heard):>5} {self._unit}  {sparkline(row.weeks)}  {opened}{doing}"
        )

    def _drawn(self) -> RenderableType:
        shown = table(
            "deployment", "until", f"error of 7 days, {self._unit}", "", right=["error of 7 days, " + self._unit]
        )
        top = max((value for row in self._rows.values() for value in row.weeks), default=0.0)
        told: list[str] = []
        for row in self._rows.values():
            if row.heard is None:
                shown.add_row(row.name, "[dim]waits[/]", "", "")
                continue
            colour = "green" if row.name.startswith("managed") else "cyan"
            line = f"[{colour}]{sparkline(row.weeks[-_WEEKS:], top)}[/]"
            shown.add_row(f"[bold]{row.name}[/]", f"{row.heard.now:%d %b %Y}", _error(row.heard), line)
            told += _told(row.name, row.heard)
        return Group(self._bar, "", shown, *(told or ["[green]every objective holds[/]"]))


def _told(name: str, heard: Heard) -> list[str]:
    lines = [f"[red]open[/]  [dim]{name}[/]  {escape(each)}" for each in heard.incidents[:_SHOWN]]
    if heard.doing:
        lines.append(f"[green]does[/]  [dim]{name}[/]  {escape(heard.doing)}")
    return lines


def _error(heard: Heard) -> str:
    return "–" if heard.error is None else f"{heard.error:.1f}"
