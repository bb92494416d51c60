"""What every command's output is made of: one console, tables that fit, errors, JSON.

On a terminal there are colours and lines wrap at words. Elsewhere (a pipe, a file) it is plain text
and a line is a line, however long, so that `grep` and `awk` see whole records; unless COLUMNS is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perdure.core.errors import PerdureError
from perdure.surface.words import counted as counted  # noqa: PLC0414 - whoever prints counts

if TYPE_CHECKING:
    from rich.console import ConsoleOptions

_ANY_WIDTH = 100_000
_GAP = 2


class _Screen(Console):
    """As wide as the terminal; without one, as wide as what is printed, or as COLUMNS says."""

    @property
    def size(self) -> ConsoleDimensions:
        if self.is_terminal:
            return super().size
        columns = os.environ.get("COLUMNS", "")
        return ConsoleDimensions((int(columns) if columns.isdecimal() else 0) or _ANY_WIDTH, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


console = _Screen(highlight=False)
errors = _Screen(highlight=False, stderr=True)


def put(*parts: RenderableType, screen: Console = console) -> None:
    """Print each part; without a terminal, no line ends in spaces."""
    for part in parts:
        if screen.is_terminal:
            screen.print(part)
            continue
        with screen.capture() as captured:
            screen.print(part)
        screen.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    screen.file.flush()


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    _write_json(value, sys.stdout)


def _write_json(value: Any, stream: Any) -> None:
    import msgspec

    from perdure.core.canonical import plain

    stream.write(msgspec.json.encode(plain(value)).decode() + "\n")
    stream.flush()


def error(problem: PerdureError, *, as_json: bool) -> None:
    """An error on standard error: what happened, then what to do."""
    if as_json:
        return _write_json({"error": problem.as_dict()}, sys.stderr)
    told = Text.assemble(("error", "bold red"), (f"[{problem.code}]", "red"), ": ", problem.message)
    put(told, screen=errors)
    if problem.hint:
        put(hanging(Text("hint:", "cyan"), Text(problem.hint), indent=2), screen=errors)
    return None


def hanging(lead: RenderableType, text: RenderableType, *, indent: int = 0) -> RenderableType:
    """A lead and its text; lines that wrap go on under the text, not under the lead."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(lead, text)
    return Padding(grid, (0, 0, 0, indent), expand=False)


@contextmanager
def working(text: str, *, quiet: bool) -> Iterator[None]:
    """A spinner around work of unknown length."""
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, its cells as markup, and how dear it is.

    Where a terminal is too narrow, columns go in the order of `spare`, greatest first; 0 always stays.
    """

    heading: str
    cells: Sequence[str]
    right: bool = False
    spare: int = 0

    @property
    def width(self) -> int:
        """Cells that the widest entry takes on a terminal."""
        return max((Text.from_markup(cell).cell_len for cell in (self.heading, *self.cells)), default=0)


def table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table in the house style; `right` columns are aligned as numbers."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, _GAP, 0, 0))
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading in right)
    return made


@dataclass(frozen=True, slots=True)
class Fitted:
    """A table of the columns that fit the width it is printed at; the others are named below it."""

    columns: Sequence[Column]
    indent: int = 0

    def __rich_console__(self, screen: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        filled = [column for column in self.columns if any(column.cells)]
        shown = _fitting(filled, options.max_width - self.indent)
        made = table(*(column.heading for column in shown), right=[each.heading for each in shown if each.right])
        made.show_header = any(column.heading for column in shown)
        for row in zip(*(column.cells for column in shown), strict=True):
            made.add_row(*row)
        yield Padding(made, (0, 0, 0, self.indent), expand=False)
        left_out = [column.heading for column in filled if column not in shown]
        if left_out:
            yield Text(f"{' ' * self.indent}not shown at this width: {', '.join(left_out)} (--json has all)", "dim")


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    shown = list(columns)
    while sum(each.width + _GAP for each in shown) - _GAP > width:
        dropped = max(reversed(shown), key=lambda each: each.spare, default=None)
        if dropped is None or not dropped.spare:
            break
        shown.remove(dropped)
    return shown


def of_rows(headings: Mapping[str, Column], rows: Sequence[Mapping[str, str]]) -> list[Column]:
    """The columns with the cells of `rows`, each a mapping from a column's key; a missing cell is empty."""
    return [replace(column, cells=[row.get(key, "") for row in rows]) for key, column in headings.items()]
