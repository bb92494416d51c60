"""Draws pages: Jinja2 with the console's filters, where everything is escaped and nothing may be missing.

Called by `serving_pages` in the thread that made the view. What surprised us: a macro file sees who asks only when it is imported
`with context`, so pages import it so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from perdure.core.clock import iso
from perdure.surface.console import drawing
from perdure.surface.console.commanding import is_past
from perdure.surface.console.records import Page, Person, View
from perdure.surface.console.twins import api_path
from perdure.surface.eval_told import visible

if TYPE_CHECKING:
    from perdure.surface.console.board import Board

TEMPLATES = Path(__file__).parent / "templates"
_PLACES = (
    ("home", "Home"),
    ("inbox", "Inbox"),
    ("assets", "Assets"),
    ("incidents", "Incidents"),
    ("registry", "Registry"),
    ("runs", "Runs"),
    ("language", "Language"),
    ("money", "Money"),
    ("ledger", "Ledger"),
    ("people", "People"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the navigation."""

    place: str
    words: str
    href: str
    n: int
    """What waits there."""
    counted: bool
    """Its count is kept new by `/live`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is around a view: who asks, from where, and what stands on every page."""

    here: str
    """The page's own address with its query."""
    place: str = ""
    person: Person | None = None
    """None: nobody is signed in yet, so that there is no navigation."""
    board: Board | None = None
    theme: str = ""
    """`light` or `dark` where the viewer chose one; empty: as the system has it."""
    notice: str = ""
    csrf: Callable[[], str] = str


class Renderer:
    """Templates, loaded once.

    Args:
        pages: what the navigation leads to.
        static: the address of a static file.
    """

    def __init__(self, pages: Sequence[Page], static: Callable[[str], str]) -> None:
        self._entries = [(place, words, page) for place, words in _PLACES if (page := _first(pages, place)) is not None]
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {
            "visible": lambda value: visible(str(value)),
            "iso": iso,
            "instant": instant,
            "worded": worded,
            "svg": drawing.svg,
            "points": drawing.points,
            "as_table": drawing.as_table,
            "diff_kind": diff_kind,
        }
        self._environment.globals["static"] = static

    def page(self, template: str, view: View, frame: Frame) -> str:
        """The whole page of a view.

        Raises:
            UndefinedError: the template draws what the view does not have.
        """
        board = frame.board
        return self._environment.get_template(template).render(
            view=view,
            here=frame.here,
            twin=api_path(frame.here),
            place=frame.place,
            person=frame.person,
            board=board,
            theme=frame.theme,
            notice=frame.notice,
            csrf=frame.csrf,
            entries=self._navigation(frame),
            as_of=board.at if board is not None and is_past(board.at) else None,
        )

    def prepare(self) -> None:
        """Compile every template: else whoever opens a page first waits some 50 ms for its own."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def _navigation(self, frame: Frame) -> list[Entry]:
        person, board = frame.person, frame.board
        if person is None:
            return []
        waiting = {} if board is None else {"incidents": len(board.incidents)}
        if board is not None and person.may("decide"):
            waiting["inbox"] = len(board.questions)
        return [
            Entry(place, words, page.path, waiting.get(place, 0), place in waiting)
            for place, words, page in self._entries
            if person.may(page.permit)
        ]


def instant(at: datetime) -> str:
    """An instant as people read it, in UTC; scripts put the viewer's zone in its place.

    >>> instant(datetime(2014, 1, 2, 5, tzinfo=UTC))
    '2 Jan 2014 05:00'
    """
    there = at.astimezone(UTC)
    return f"{there.day} {there:%b %Y %H:%M}"


def worded(text: str) -> Markup:
    """A sentence of ours, whose commands stand between backticks.

    >>> worded("Run `perdure up` <first>.")
    Markup('Run <code>perdure up</code> &lt;first&gt;.')
    """
    parts = visible(text).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def diff_kind(line: str) -> str:
    """Which class a line of a unified diff has.

    >>> [diff_kind(each) for each in ("+new", "-old", "@@ -1 +1 @@", " same", "+++ b", "")]
    ['added', 'removed', 'hunk', 'same', 'file', 'same']
    """
    if line.startswith(("+++", "---")):
        return "file"
    return {"+": "added", "-": "removed", "@": "hunk"}.get(line[:1], "same")


def _first(pages: Sequence[Page], place: str) -> Page | None:
    return next((page for page in pages if page.place == place and "{" not in page.path), None)
