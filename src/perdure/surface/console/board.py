"""The board: what the console knows of the whole project at this moment, in memory, so that no page reads 10,000 assets from stores.

One thread (`Boards.run`) looks at the ledger's sequence number and at the readings' newest row every half second, reads what is new, and
puts a new board in the place of the old one in one assignment. A page takes it once and sees one instant of the project.
What surprised us: asking the stores anew for 10,000 assets takes 10 s, and finding the entries of one asset in the chain 40 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from perdure.stores.ledger.protocols import Approval, AuditEntry, Incident, Job
from perdure.stores.telemetry.protocols import Newest

if TYPE_CHECKING:
    import polars as pl

    from perdure.assets.version import Pointer

State = Literal["broken", "unsure", "stale", "healthy", "not measured", "no objective"]
"""The worst first: an asset is in the first of these that one of its objectives is in."""
Topic = Literal["health", "incidents", "questions", "releases", "work", "money", "requests", "people", "ledger"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective with the newest reading that speaks of it: one a slice where it asks for slices."""

    objective: str
    """In words, such as `mae over 7d <= 9`."""
    signal: str
    """Name under which its readings are kept."""
    bound: float | None
    stakeholder: str
    state: State
    newest: Newest | None
    """None: not measured."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What one model or route was asked in one hour of domain time."""

    at_us: int
    """First instant of the hour."""
    kind: Literal["model", "route"]
    name: str
    n: int
    """Requests of others; shadows and probes are left out."""
    n_failed: int
    cost_usd: float
    """Of the calls whose price is known, shadows and probes too: they are billed."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One asset at a glance."""

    kind: str
    name: str
    owner: str
    state: State
    worst: str
    """The objective that makes it so, with its value, in words; empty where it is healthy."""
    champion: str
    moving: bool
    """A release is under way: another pointer has a share of its traffic."""
    incident: str
    """Id of its oldest open one; empty without."""
    paused: str
    declared: bool
    """False: known to the ledger alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """One instant of the project. Never changes; a newer one takes its place."""

    generation: int
    """Grows with each board; what `/live` numbers its events by."""
    sequence: int
    """Of the ledger."""
    at: datetime
    """Domain time: the newest round's; the machine's where `[console] clock = "machine"`."""
    made_at: datetime
    tiles: Sequence[Tile]
    """By kind and name."""
    by_name: Mapping[str, Tile]
    newest: Mapping[str, Sequence[Newest]]
    pointers: Mapping[str, Sequence[Pointer]]
    incidents: Sequence[Incident]
    """Open ones, oldest first."""
    doing: Mapping[str, str]
    questions: Sequence[Approval]
    jobs: Sequence[Job]
    """Open ones."""
    recent: Sequence[AuditEntry]
    """The newest 200 entries, newest first."""
    holder: str
    """Who runs the loop; empty: nobody."""
    problem: str
    """Why it is not newer: a store that cannot be read; empty when nothing is wrong."""
    runs: pl.DataFrame
    """Every run of the ledger without its facts: id, kind, asset, status, version, started_at, seconds, and a column
    `params.NAME` or `metrics.NAME` for each that any run has; newest first."""
    judged: Mapping[str, Sequence[Judged]] = field(default_factory=dict)
    """Objectives of every declared asset, in the order of declaration, by its name."""
    round: datetime | None = None
    """Domain time of the newest round, whatever `at` is; None: the loop has made none yet."""
    hours: Mapping[str, Sequence[Hour]] = field(default_factory=dict)
    """Requests and spend of the newest 90 days by the name of a model or route, oldest first; only hours in which something was asked."""


TOPICS: frozenset[Topic] = frozenset(
    ("health", "incidents", "questions", "releases", "work", "money", "requests", "people", "ledger")
)


class Boards(Protocol):
    """Holds the newest board."""

    def now(self) -> Board:
        """The newest. Cost: none. Before the first is made this waits for it."""
        ...

    def changed(self, after: int, timeout_s: float) -> tuple[int, frozenset[Topic]]:
        """Wait until a board newer than `after` is there, or the time is over; its generation, and what is new in it since."""
        ...

    def refresh(self) -> Board:
        """Look once now, and not only when it is time to; the newest board. Called after a deed."""
        ...

    def run(self, stop: Callable[[], bool]) -> None:
        """Keep it new until `stop()`; what a store does wrong stands in `Board.problem`, and is tried again."""
        ...


__all__ = ["TOPICS", "Board", "Boards", "Hour", "Judged", "Newest", "State", "Tile", "Topic"]
