"""What a page of the console is: who may look, what it reads, how it is drawn; and what a deed is. Data only: `app` serves it.

An area is a package under `surface/console` with `PAGES` and `DEEDS` in its `__init__`. It imports nothing of another area.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from perdure.surface.console.board import Board
    from perdure.surface.console.parts import ConsoleParts
    from perdure.surface.sdk import Perdure

Role = Literal["viewer", "scientist", "engineer", "reviewer", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "scientist", "engineer", "reviewer", "admin")
Permit = Literal["look", "bodies", "note", "label", "ask", "work", "brake", "decide", "keys", "people"]
"""`bodies`: texts of prompts, answers, documents and rows; `note`: cards, hand-offs, taking over, snoozing; `ask`: what costs money of models;
`work`: train, evaluate, repair, apply, call off; `brake`: pause, resume, roll back."""
PERMITS: Mapping[Role, frozenset[Permit]] = {
    "viewer": frozenset({"look"}),
    "scientist": frozenset({"look", "bodies", "note", "label", "ask", "work", "brake"}),
    "engineer": frozenset({"look", "bodies", "note", "label", "ask", "work", "brake"}),
    "reviewer": frozenset({"look", "bodies", "note", "label", "ask", "brake", "decide"}),
    "admin": frozenset({"look", "bodies", "note", "brake", "keys", "people"}),
}
"""An administrator decides and trains nothing unless that role is given too: who hands out roles is not who uses them."""
NEVER_BY_KEY: frozenset[Permit] = frozenset({"label", "decide", "keys", "people"})
"""What a program never does, whatever its roles: people judge, and people let people in."""
Duty = Literal[
    "data_engineer", "analyst", "data_scientist", "ml_engineer", "reviewer", "on_call", "prompt_author", "owner"
]
"""Which stage of the lifecycle a person looks after: chooses the inbox, permits nothing."""
Tone = Literal["good", "bad", "warn", "info", "mute"]
Shape = Literal["release", "back", "incident", "fault", "note"]
"""How a mark is drawn, for colour alone tells nobody: ▲ release, ▼ back, ● incident, ▮ fault, | note."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks."""

    name: str
    roles: frozenset[Role]
    duties: tuple[Duty, ...] = ()
    service: bool = False
    """A key of a program: it has no session, and needs no CSRF token."""

    def may(self, permit: Permit) -> bool:
        """Whether one of the roles permits it, and it is nothing that only people do."""
        if self.service and permit in NEVER_BY_KEY:
            return False
        return any(permit in PERMITS[role] for role in self.roles)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One request, as pages and deeds see it: HTTP is over, who asks is known and permitted."""

    project: Perdure
    """Acts as the person."""
    board: Board
    person: Person
    now: datetime
    """Domain time that the page is as of."""
    path: Mapping[str, str]
    query: Mapping[str, str]
    """Of several values of one name the last."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Of a deed; without the CSRF token."""
    parts: ConsoleParts | None = None
    """The stores of people's secrets and sessions, for the area `people`."""
    session: str = ""
    """Digest of the session that asks; empty for a key of a program."""


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows. `data` is the JSON twin as it is, and what the template draws: nothing is drawn that is not in it."""

    title: str
    data: Any
    """A frozen record of plain values."""
    crumbs: Sequence[tuple[str, str]] = ()
    """(words, local address) of what is above."""
    cli: str = ""
    """The command that tells the same, such as `perdure explain inc_1m8`; empty: `perdure look` and the page's address."""
    live: Sequence[str] = ()
    """Topics of the board that make it stale: the page's panels with that topic are asked for again."""


@dataclass(frozen=True, slots=True)
class Page:
    """A GET: `path` is HTML, `/api` + `path` its JSON."""

    name: str
    path: str
    template: str
    view: Callable[[Asked], View]
    """Called in a thread of the console's pool; raises errors of `core.errors`."""
    permit: Permit = "look"
    place: str = ""
    """Entry of the navigation that it belongs to: `home`, `inbox`, `assets`, `incidents`, `registry`, `runs`, `language`, `money`, `ledger`, `people`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a deed."""

    text: str
    """One sentence, shown once on the next page."""
    to: str
    """Local address to go to."""
    data: Any = None
    """For the JSON twin."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A POST: a form of HTML answers 303 to `Done.to`; `/api` + `path` takes JSON or a form, and answers `Done.data`."""

    name: str
    path: str
    do: Callable[[Asked], Done]
    permit: Permit
    asks_reason: bool = True
    """Refused without `reason`, before it is called."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell where text alone does not do."""

    text: str
    href: str = ""
    tone: Tone | None = None
    at: datetime | None = None
    """Drawn in the viewer's zone; `text` is what stands there without scripts."""
    value: float | None = None
    unit: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows; the macro `table` draws it, and a chart's own table is one too."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str
    numeric: frozenset[int] = frozenset()
    """Columns set to the right in figures of one width."""
    more: str = ""
    """Local address of the next page; empty: these are all."""
    empty: str = "Nothing yet."
    """What to do next, where there are no rows."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values at instants; `low` and `high` make a band. All as long as `Picture.at_us`."""

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened."""

    text: str
    at_us: int
    until_us: int | None = None
    tone: Tone = "info"
    href: str = ""
    shape: Shape = "note"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart over time: uPlot draws it where scripts run, an SVG of the same stands there before, a table lies under it."""

    id: str
    title: str
    unit: str
    at_us: Sequence[int]
    series: Sequence[Series]
    bound: float | None = None
    bound_text: str = ""
    marks: Sequence[Mark] = ()
    n_whole: int = 0
    """Values behind it, where it was thinned to buckets."""
    across: str = ""
    """Empty: `at_us` are instants. Else they are whole numbers of this, such as `tree` or `epoch`."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Lengths side by side: shares, contributions, money by team. The filters `svg` and `as_table` take each of these records."""

    id: str
    title: str
    unit: str
    rows: Sequence[tuple[str, float, float | None]]
    """Name, value (below zero to the left), and what it was before: drawn as a line across."""
    was: str = "before"
    """What the third one is called in the table."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Two histograms over each other: the reference filled, the current as a line. One small multiple."""

    id: str
    title: str
    unit: str
    reference: Sequence[float]
    """Counts or shares of the bins; each side is drawn as shares of its own sum."""
    current: Sequence[float]
    edges: Sequence[float]
    """One more than there are bins; empty where `labels` name them."""
    labels: Sequence[str] = ()
    note: str = ""
    """One line under the title, such as `PSI 0.31, n 1,204`."""
    tone: Tone | None = None
    sides: tuple[str, str] = ("reference", "current")


@dataclass(frozen=True, slots=True)
class Node:
    """One box of a lineage."""

    id: str
    kind: str
    text: str
    href: str = ""
    here: bool = False
    """What the page is about."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What rests on what, drawn from left to right. `lines` name nodes by `id`; none go in a circle."""

    id: str
    title: str
    nodes: Sequence[Node]
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points on a plane without a unit, such as a map of embeddings."""

    id: str
    title: str
    at: Sequence[tuple[float, float]]
    kinds: Sequence[int]
    """Of each point its group's place in `groups`."""
    names: Sequence[str]
    groups: Sequence[str]
    rings: Sequence[int] = ()
    """Groups that are drawn over the others as rings, two at most: what is asked beside what is there."""


Drawn = Picture | Bars | Steps | Lineage | Scatter
