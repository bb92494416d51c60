"""What the ledger says now, kept up to date by reading what is new: an entry of the chain tells which records it wrote.

Called by `boards`, in its one thread. `fill` reads everything once; after that `follow` reads the entries since, and again only the
records that they changed: an asset's pointers, the open incidents, the runs. What stands in no entry (which round was the newest, who is
paused until when, who holds the lease) is some rows, and is read at each look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.core.clock import parse_at
from perdure.loop.pausing import list_paused
from perdure.surface.console.board import Topic
from perdure.surface.console.run_frames import frame_of, laid_on, no_runs
from perdure.surface.governance.doing import doing_about

if TYPE_CHECKING:
    import polars as pl

    from perdure.assets.version import Pointer
    from perdure.stores.ledger.protocols import Approval, AuditEntry, Incident, Job, LedgerSession

N_RECENT = 200
_ROUND = "round"
_PAGE = 1000
_MOST_NEW = 10_000
"""Entries that are followed one by one; after more, everything is read anew."""
_JOBS = 1000
_TOPICS: Mapping[str, Sequence[Topic]] = {
    "registry": ("health", "releases"),
    "pointers": ("health", "releases"),
    "incidents": ("health", "incidents"),
    "incident": ("incidents",),
    "approvals": ("questions",),
    "reviews": ("questions",),
    "jobs": ("work", "releases", "incidents"),
    "runs": ("work",),
    "keys": ("money", "people"),
    "people": ("people",),
    "card": ("health",),
    "loop": ("work", "incidents"),
}
"""First word of an action → what is new by it, beside the ledger."""


@dataclass(slots=True)
class Folded:
    """The ledger's records that the board shows."""

    sequence: int = -1
    """Of the newest entry that is in; -1: nothing is."""
    registered: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) of every asset that the ledger knows → its owner."""
    pointers: dict[str, Sequence[Pointer]] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    doing: dict[str, str] = field(default_factory=dict)
    questions: Sequence[Approval] = ()
    jobs: Sequence[Job] = ()
    recent: Sequence[AuditEntry] = ()
    runs: pl.DataFrame = field(default_factory=no_runs)
    runs_sequence: int = 0
    round: datetime | None = None
    """Domain time of the newest round."""
    paused: Mapping[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    """Assets of which something changed since this was last emptied …"""
    anew: bool = True
    """… or everything, for all was read anew."""

    def fill(self, session: LedgerSession) -> None:
        """Read everything. Cost: some 10 µs an asset and a pointer, 10 µs a run, 1 ms an open incident."""
        recent = session.audit.list(newest=True, limit=N_RECENT)
        self.sequence, self.recent = (recent[0].sequence if recent else 0), recent
        self._read_assets(session)
        pointers: dict[str, list[Pointer]] = {}
        for pointer in session.pointers.list():
            pointers.setdefault(pointer.asset, []).append(pointer)
        self.pointers = {**pointers}
        self.runs, self.runs_sequence = no_runs(), 0
        self._read_runs(session)
        self.incidents, self.doing = session.incidents.list(open_only=True), {}
        self._tell(session, self.incidents)
        self._read_work(session)
        self.anew = True

    def follow(self, session: LedgerSession) -> set[Topic]:
        """Read what is new; which topics it is of. Cost: where nothing is, one read."""
        new = _since(session, self.recent, self.sequence)
        if new is None:
            self.fill(session)
            return set(_ALL)
        if not new:
            return set()
        self.sequence, self.recent = new[-1].sequence, [*reversed(new), *self.recent][:N_RECENT]
        words = {entry.action for entry in new}
        actions = {word.partition(".")[0] for word in words}
        subjects = {name for entry in new for name in entry.subject.split(",")}
        self.changed |= subjects
        if "registry.put_asset" in words:
            self._read_assets(session)
        if "pointers" in actions:
            self._read_pointers(session, {entry.subject for entry in new if entry.action.startswith("pointers.")})
        if "runs" in actions:
            self._read_runs(session)
        if actions & {"incidents", "jobs", "loop"}:
            self._read_incidents(session, subjects)
        if actions & {"approvals", "jobs"}:
            self._read_work(session)
        return {"ledger", *(topic for action in actions for topic in _TOPICS.get(action, ()))}

    def read_now(self, session: LedgerSession, now: datetime | None) -> bool:
        """Read what stands in no entry; True where any of it changed.

        Args:
            session: what to read.
            now: domain time; None: the newest round's.
        """
        told = session.cursors.get(_ROUND)
        before = self.round, self.paused
        self.round = parse_at(str(told)) if told else None
        at = now or self.round
        paused = {} if at is None else list_paused(session, at)
        self.changed |= {name for name, why in {*self.paused.items()} ^ {*paused.items()} if why}
        self.paused = paused
        return before != (self.round, self.paused)

    def _read_assets(self, session: LedgerSession) -> None:
        known = {
            (each.kind, each.name): str(each.definition.get("owner", "")) for each in session.registry.list_assets()
        }
        self.changed |= {name for (_, name), _ in known.items() ^ self.registered.items()}
        self.registered = known

    def _read_pointers(self, session: LedgerSession, subjects: Collection[str]) -> None:
        for asset in {name for subject in subjects for name in subject.split(",")}:
            found = session.pointers.list(asset)
            if found:
                self.pointers[asset] = found
            else:
                self.pointers.pop(asset, None)

    def _read_runs(self, session: LedgerSession) -> None:
        lines = session.runs.lines(self.runs_sequence)
        if lines:
            self.runs = laid_on(self.runs, lines) if self.runs_sequence else frame_of(lines)
            self.runs_sequence = lines[-1].sequence

    def _read_incidents(self, session: LedgerSession, subjects: Collection[str]) -> None:
        before = {each.id for each in self.incidents}
        self.incidents = session.incidents.list(open_only=True)
        present = {each.id for each in self.incidents}
        self.doing = {name: told for name, told in self.doing.items() if name in present}
        self._tell(session, [each for each in self.incidents if each.asset in subjects or each.id not in before])

    def _tell(self, session: LedgerSession, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            told = doing_about(session, incident)
            if told:
                self.doing[incident.id] = told
            else:
                self.doing.pop(incident.id, None)

    def _read_work(self, session: LedgerSession) -> None:
        self.questions = session.approvals.list(open_only=True)
        self.jobs = session.jobs.list(open_only=True, limit=_JOBS)


_ALL: tuple[Topic, ...] = (
    "health", "incidents", "questions", "releases", "work", "money", "requests", "people", "ledger",
)  # fmt: skip


def _since(session: LedgerSession, newest: Sequence[AuditEntry], sequence: int) -> list[AuditEntry] | None:
    """The entries since; None: too many, or the ledger is another one, which has not what was the newest."""
    if sequence < 0 or newest[:1] != session.audit.list(after=sequence - 1, before=sequence + 1, limit=1):
        return None
    new: list[AuditEntry] = []
    while len(new) < _MOST_NEW:
        page = session.audit.list(after=new[-1].sequence if new else sequence, limit=_PAGE)
        new += page
        if len(page) < _PAGE:
            return new
    return None
