"""How the story is told in a terminal: chapters, lines with their hour, tables, and how far long work is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDTH = 112
_INDENT = 9
"""Where text stands behind the hour of its line."""
Heard = Callable[[int, int], None]


class Teller:
    """Prints the story.

    Args:
        start: the instant that is told as 00:00.
    """

    def __init__(self, start: datetime) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal or self.console.width > WIDTH:
            self.console.width = WIDTH
        self._start = start
        self._n_chapters = 0

    def chapter(self, name: str, about: str) -> None:
        """A heading, and a sentence on what is to be seen."""
        self._n_chapters += 1
        self.console.print(f"\n[bold]{self._n_chapters}  {name}[/]")
        self.put(f"[dim]{about}[/]", 3)
        self.console.print()

    def put(self, text: str, indent: int = _INDENT) -> None:
        """A paragraph, with markup."""
        self._print(text, indent)

    def _print(self, what: RenderableType, indent: int) -> None:
        """Without a terminal no line ends in spaces."""
        part = Padding(what, (0, 0, 0, indent), expand=False)
        if self.console.is_terminal:
            return self.console.print(part)
        with self.console.capture() as captured:
            self.console.print(part)
        return print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)

    def note(self, text: str) -> None:
        """What a reader should know, dim."""
        self.put(f"[dim]{escape(text)}[/]")

    def line(self, at: datetime, text: str, style: str = "") -> None:
        """What happened at an instant of the story."""
        minutes = round((at - self._start).total_seconds() / 60)
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=5, style="dim")
        grid.add_column(overflow="fold")
        grid.add_row(
            f"{minutes // 60:02d}:{minutes % 60:02d}", f"[{style}]{escape(text)}[/]" if style else escape(text)
        )
        self._print(grid, 2)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under heads; a head that begins with `>` stands over numbers."""
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", border_style="dim")
        for head in heads:
            right = head.startswith(">")
            shown.add_column(head.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in rows:
            shown.add_row(*row)
        self._print(shown, _INDENT)

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """What is said of one thing: names, dim, and what they are."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for row in rows:
            grid.add_row(*row)
        self._print(Padding(grid, (0, 0, 1, 0)), _INDENT)

    @contextmanager
    def working(self, what: str) -> Iterator[Heard]:
        """How far long work is: gives what is to be called with how much is done, and of how much. Gone when it is over."""
        columns = (
            TextColumn(" " * (_INDENT - 1)), TextColumn("{task.description}"), BarColumn(28), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(what, total=None)
            yield lambda n, total: progress.update(task, completed=n, total=total)
