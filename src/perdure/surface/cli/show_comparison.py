"""How two deployments that answered the same traffic look side by side in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.text import Text

from perdure.surface.cli.printing import hanging, put, table
from perdure.surface.comparison import MonthPair, Pair, incident_text, release_text
from perdure.surface.repairs import Release
from perdure.surface.words import counted

_WIDTH = 26
_FEW_RELEASES = 12


def comparison(pair: Pair, console: Console, *, unit: str) -> None:
    """The months of both, then what the loop did, an incident and a release a line."""
    head = f"\n[bold]{escape(pair.title)}[/]  mean absolute error, {escape(unit)}\n"
    put(head, _months(pair.months()), _deeds(pair), screen=console)


def _months(rows: list[MonthPair]) -> RenderableType:
    shown = table(
        "month", "labelled", "frozen", "managed", "change", "", right=["labelled", "frozen", "managed", "change"]
    )
    top = max((max(row.frozen, row.managed) for row in rows), default=1.0)
    for row in rows:
        colour = "green" if row.change < 0 else "red" if row.change > 0.05 else "yellow"
        change = f"[{colour}]{row.change:+.0%}[/]"
        shown.add_row(row.month, f"{row.n:,}", f"{row.frozen:.2f}", f"{row.managed:.2f}", change, bar(row, top))
    legend = Text.assemble(
        ("\n█ ", "green"),
        ("managed  ", "dim"),
        ("░ ", "red"),
        ("what frozen has more  ", "dim"),
        ("█ ", "yellow"),
        ("what managed has more", "dim"),
    )
    return Group(shown, legend)


def bar(row: MonthPair, top: float) -> str:
    """The managed error as a bar, then by how much the frozen one is longer, or the managed one was.

    >>> bar(MonthPair("2013-06", 10, 26.0, 13.0), 26.0)
    '[green]█████████████[/][red]░░░░░░░░░░░░░[/]'
    """
    managed, frozen = (round(_WIDTH * value / top) for value in (row.managed, row.frozen))
    shared, rest = "█" * min(managed, frozen), abs(managed - frozen)
    more = "" if not rest else f"[red]{'░' * rest}[/]" if frozen > managed else f"[yellow]{'█' * rest}[/]"
    return f"[green]{shared}[/]{more}"


def _releases(releases: Sequence[Release]) -> list[RenderableType]:
    """A line each while they are few, else how many there were a month."""
    if len(releases) <= _FEW_RELEASES:
        return [
            hanging(Text(f"{each.at:%d %b}  ", "green"), Text(f"{each.asset}: {release_text(each)}"))
            for each in releases
        ]
    months = Counter(f"{each.at:%b}" for each in releases)
    each_month = ", ".join(f"{month} {n}" for month, n in months.items())
    return [hanging(Text("releases  ", "green"), Text(f"{each_month}; the report has each with its evidence"))]


def _deeds(pair: Pair) -> RenderableType:
    done = pair.repairs
    lines: list[RenderableType] = [Text()]
    lines += [
        hanging(Text(f"{fault.start:%d %b}  ", "magenta"), Text(f"injected: {fault.text}, until {fault.end:%d %b}"))
        for fault in pair.faults
    ]
    lines += [
        hanging(
            Text(f"{each.opened:%d %b}  ", "bold red" if each.closed is None else "cyan"),
            Text(f"{each.asset}: {incident_text(each)}"),
        )
        for each in done.incidents
    ]
    lines += _releases(done.releases)
    told = ", ".join(
        [
            counted(len(done.incidents), "incident"),
            counted(done.n_retrains, "retraining"),
            counted(done.n_rejected, "candidate refused", "candidates refused"),
            counted(len(done.releases), "release"),
            counted(done.n_rollbacks, "rollback"),
            f"{done.n_equal:,} of {counted(done.n_decisions, 'decision')} replayed byte for byte",
        ]
    )
    return Group(*lines, Text(f"\n{told}", "dim"))
