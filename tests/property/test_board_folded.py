"""A board that is folded from what is new says the same as one that is made anew, whatever was written in which order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import Perdure, Project, Source, days, freshness_h, hours
from perdure.assets.contract import Contract
from perdure.assets.health import Reading
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.clock import iso
from perdure.loop.pausing import pause
from perdure.stores.ledger.protocols import Answer, Approval, Job, LedgerSession, Run
from perdure.surface.console.board import Board
from perdure.surface.console.boards import ProjectBoards

START = datetime(2025, 3, 1, tzinfo=UTC)
NAMES = ("north", "south", "east")
WIDTHS = (days(1), hours(6))


class Row(Contract):
    """A row of a feed."""

    key: str


def declared() -> Project:
    """Three feeds, each measured over two windows."""
    feeds = [
        Source(
            name,
            Row,
            list,
            event_at="key",
            key=("key",),
            owner=f"{name}ers",
            healthy=[freshness_h(over=width) <= 6 for width in WIDTHS],
        )
        for name in NAMES
    ]
    return Project.of("feeds", *feeds)


def version(name: str, number: int) -> Version:
    """A version that a pointer may name."""
    return Version(f"{name}@{number:012x}", name, "source", {}, {}, {}, {}, START)


Write = Callable[[Perdure, datetime], None]


def in_ledger(write: Callable[[LedgerSession], object]) -> Write:
    """A write of one transaction."""

    def done(project: Perdure, at: datetime) -> None:
        with project.place.stores.ledger.transaction(actor="ann", at=at, reason="so") as session:
            write(session)

    return done


def measured(name: str, hour: int, width: timedelta, value: float, where: str) -> Write:
    """A reading; the same window with another value is one that is replaced, also when it was taken at another time."""

    def done(project: Perdure, at: datetime) -> None:
        end = START + timedelta(hours=hour)
        taken = end + timedelta(hours=int(value) % 3)
        reading = Reading(
            name, "freshness_h", taken, end - width, end, value, value, value, 1, "h", where, f"v{int(value) % 2}"
        )
        project.place.stores.readings.put([reading])

    return done


def pointed(name: str, number: int, pointer: str, share: float) -> Write:
    """A pointer that is set."""

    def write(session: LedgerSession) -> None:
        session.registry.put_version(version(name, number))
        session.pointers.set([Pointer(name, pointer, version(name, number).id, share)])

    return in_ledger(write)


def unpointed(name: str) -> Write:
    """Every pointer taken away."""
    return in_ledger(
        lambda session: session.pointers.set(
            [], remove=[(each.asset, each.name) for each in session.pointers.list(name)]
        )
    )


def closed(session: LedgerSession) -> None:
    """The oldest incident ends."""
    for incident in session.incidents.list(open_only=True)[:1]:
        session.incidents.close(incident.id, "over")


def decided(name: str) -> Write:
    """A decision about the newest incident."""

    def write(session: LedgerSession) -> None:
        for incident in session.incidents.list(asset=name, open_only=True)[:1]:
            decision = {
                "choice": "wait",
                "reasons": [f"of {session.audit.list(newest=True, limit=1)[0].sequence}"],
                "again_at": "",
            }
            session.audit.append("loop.decide", name, {"incident": incident.id, "decision": decision})

    return in_ledger(write)


def job(name: str, number: int, status: str) -> Write:
    """Work that an incident names."""

    def write(session: LedgerSession) -> None:
        made = Job(f"job_{name}_{number}", "repair", f"{name}/{number}", name, status, "c", START)
        session.jobs.put(made)
        for incident in session.incidents.list(asset=name, open_only=True):
            session.incidents.update(incident.id, facts={"jobs": [made.id]})

    return in_ledger(write)


def asked(name: str, number: int) -> Write:
    """A question, or its answer where it was asked."""

    def write(session: LedgerSession) -> None:
        approval = session.approvals.ask(
            Approval(f"apr_{number}", name, f"key {number}", "May it?", "reviewer", 1, "loop", START, "open")
        )
        if approval.id in {each.id for each in session.approvals.list(open_only=True)} and number % 2:
            session.approvals.answer(approval.id, Answer("bo", number % 3 == 0, "so", START))

    return in_ledger(write)


def ran(number: int, params: dict[str, object], seconds: int | None) -> Write:
    """A run, or another state of it."""
    ended = None if seconds is None else START + timedelta(seconds=seconds)
    run = Run(f"run_{number}", "train", "north", "done" if ended else "running", START, ended, params, {"mae": 1.5})
    return in_ledger(lambda session: session.runs.put(run))


def round_at(hour: int) -> Write:
    """The loop's newest round; time may go back, as where a replay begins anew."""
    return in_ledger(lambda session: session.cursors.put("round", iso(START + timedelta(hours=hour))))


def paused(name: str, n_hours: int) -> Write:
    """A pause that ends."""
    return lambda project, at: pause(project.place, name, at, "so", at + timedelta(hours=n_hours))


NAME = st.sampled_from(NAMES)
MEASURED = st.builds(measured, st.sampled_from(NAMES[:2]), st.integers(0, 1), st.just(WIDTHS[0]), st.sampled_from([1.0, 5.0, 6.0, 9.0]), st.sampled_from(["", "site=a"]))  # fmt: skip
WRITES = st.one_of(
    *[MEASURED] * 6,
    st.builds(pointed, NAME, st.integers(1, 3), st.sampled_from([CHAMPION, "canary"]), st.sampled_from([0.0, 0.5, 1.0])),
    st.builds(unpointed, NAME),
    st.builds(lambda name, kind: in_ledger(lambda s: s.incidents.open(name, kind, "it broke", {})), NAME, st.sampled_from("ab")),
    st.just(in_ledger(closed)),
    st.builds(decided, NAME),
    st.builds(job, NAME, st.integers(0, 2), st.sampled_from(["running", "parked", "done"])),
    st.builds(asked, NAME, st.integers(0, 5)),
    st.builds(ran, st.integers(0, 3), st.dictionaries(st.sampled_from("xyz"), st.sampled_from([1, 2.5, True, "s", None, [1]]), max_size=2), st.sampled_from([None, 3])),
    st.builds(round_at, st.integers(0, 80)),
    st.builds(paused, NAME, st.integers(1, 30)),
    st.builds(lambda name: in_ledger(lambda s: s.registry.put_asset("model", name, {"owner": name})), st.sampled_from(["old", "older"])),
)  # fmt: skip


def told(board: Board) -> dict[str, object]:
    """What it says, but for when and how often it was made; a column of runs without values says nothing."""
    said = {
        field.name: getattr(board, field.name)
        for field in fields(board)
        if field.name not in ("generation", "made_at", "runs", "at")
    }
    rows = board.runs.to_dicts()
    runs = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return {**said, "runs": runs}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(WRITES, st.booleans()), min_size=1, max_size=25))
def test_a_folded_board_equals_one_that_is_made_anew(writes):
    folder = Path(tempfile.mkdtemp())
    try:
        project = Perdure(folder, project=declared(), actor="ann")
        round_at(1)(project, START)
        folded = ProjectBoards(project)
        folded.refresh()
        for place, (write, looks) in enumerate(writes):
            write(project, START + timedelta(hours=place))
            if looks:
                folded.refresh()
        seen, anew = folded.refresh(), ProjectBoards(project).refresh()
        assert seen.problem == anew.problem == ""
        assert told(seen) == told(anew)
    finally:
        shutil.rmtree(folder)
