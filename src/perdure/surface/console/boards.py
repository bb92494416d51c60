"""Keeps the board new, and holds it: what every page of the console begins with.

`compose_console` makes it and gives it a thread. A look costs one number of the ledger, one row of the readings and one file of the lake
where nothing is new; else what is new is read (`folding`, `tiling`, `counting`), and a new board takes the place of the old one in one
assignment. Stores are only read, by connections of the board's own: the loop beside it waits for none of them.

What surprised us: a ledger that is opened for writing waits 10 s for a lock before it says so, one that only reads 0.08 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Condition, Lock
from typing import TYPE_CHECKING

from perdure.core.clock import machine_now, to_us
from perdure.core.errors import NotFound, NotReady
from perdure.serve.boundary import contained
from perdure.surface.console.board import TOPICS, Board, Topic
from perdure.surface.console.folding import Folded
from perdure.surface.console.run_frames import no_runs
from perdure.surface.console.tiling import Tiles

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings
    from perdure.stores.ledger.sqlite import SqliteLedger
    from perdure.surface.console.counting import Counting
    from perdure.surface.opened import Opened

POLL_S = 0.5
"""Between two looks."""
_FIRST_S = 120.0
"""How long a page waits for the first board."""
_KEPT = 1000
"""Boards of which is remembered what was new in them."""
_MACHINE = timedelta(seconds=15)
"""Where the machine's clock is the board's, it is that much behind at most."""
_COUNTED_EVERY = 4
"""Looks after which the lake is looked at: its rows come every some seconds."""


class ProjectBoards:
    """Boards of one project.

    Args:
        project: whose; nothing of it is written.
        settings: `clock` says what is taken for now; those of the project where none are given.
    """

    def __init__(self, project: Opened, settings: ConsoleSettings | None = None) -> None:
        self._project = project
        self._clock = (settings or project.settings.console).clock
        self._board: Board | None = None
        self._new = Condition()
        self._told: deque[tuple[int, frozenset[Topic]]] = deque(maxlen=_KEPT)
        self._looking = Lock()
        self._ledger: SqliteLedger | None = None
        self._folded = Folded()
        self._tiles: Tiles | None = None
        self._counting: Counting | None = None
        self._sequence = -1
        self._holder = ""
        self._looks = 0

    def now(self) -> Board:
        """The newest board; waits for the first.

        Raises:
            NotReady: nobody keeps it: `run` or `refresh` makes the first.
        """
        if self._board is None:
            with self._new:
                self._new.wait_for(lambda: self._board is not None, _FIRST_S)
        if self._board is None:
            raise NotReady("The console has no board yet.", hint="Try again in a moment.")
        return self._board

    def changed(self, after: int, timeout_s: float) -> tuple[int, frozenset[Topic]]:
        """Wait until a board newer than `after` is there, or the time is over; its generation, and what is new in it since."""
        with self._new:
            self._new.wait_for(lambda: self._generation() > after, timeout_s)
            newest = self._generation()
            if newest <= after:
                return newest, frozenset()
            if self._told[0][0] > after + 1:
                return newest, TOPICS
            return newest, frozenset[Topic]().union(*(topics for number, topics in self._told if number > after))

    def run(self, stop: Callable[[], bool]) -> None:
        """Keep it new until `stop()`; what a store does wrong stands in `Board.problem`, and is tried again."""
        while not stop():
            self.refresh()
            with self._new:
                self._new.wait_for(stop, POLL_S)

    def refresh(self) -> Board:
        """Look once, and put a newer board in the place of the old one where anything is new."""
        with self._looking:
            # Whatever a store, or a file of it, does wrong: what was known stays, with what is wrong.
            contained(self._look, self._failed)
        return self.now()

    def _look(self) -> None:
        ledger, tiles = self._opened()
        topics: set[Topic] = set(TOPICS) if self._board is None or self._board.problem != self._uncounted() else set()
        sequence = ledger.sequence()
        with ledger.read() as session:
            if sequence != self._sequence or self._folded.sequence < 0:
                # Until it is through, what is half read counts as nothing.
                self._sequence = -1
                topics |= self._folded.follow(session)
                self._sequence = sequence
            if self._folded.read_now(session, machine_now() if self._clock == "machine" else None):
                topics.add("work")
        topics |= self._held(ledger)
        at = self._at()
        if self._read_readings(tiles):
            topics.add("health")
        changed = tiles.judge(to_us(at))
        topics |= {"health"} if changed else set()
        topics |= self._count(at)
        if topics or self._board is None or at - self._board.at > _MACHINE:
            tiles.lay(self._folded, changed)
            self._put(self._made(tiles, at), frozenset(topics))

    def _opened(self) -> tuple[SqliteLedger, Tiles]:
        from perdure.stores.ledger.sqlite import SqliteLedger
        from perdure.surface.compose import stores_root, watched_assets

        if self._ledger is None:
            # The project's own is opened first: it makes the file, and brings it to the newest revision.
            settings, _ = self._project.settings, self._project.place.stores
            path = stores_root(self._project.folder, settings) / "ledger.db"
            self._ledger = SqliteLedger.open_read_only(path, project=settings.project.name)
        if self._tiles is None:
            self._tiles = Tiles(self._project.project, watched_assets(self._project.project))
        return self._ledger, self._tiles

    def _held(self, ledger: SqliteLedger) -> set[Topic]:
        from perdure.loop.protocols import LEASE

        before, self._holder = self._holder, ledger.leases.holder(LEASE) or ""
        return {"work"} if before != self._holder else set()

    def _at(self) -> datetime:
        return machine_now() if self._clock == "machine" else self._folded.round or machine_now()

    def _read_readings(self, tiles: Tiles) -> bool:
        readings = self._project.place.stores.readings
        try:
            return tiles.read(readings)
        except NotFound:
            tiles.forget()
            return tiles.read(readings)

    def _count(self, at: datetime) -> set[Topic]:
        """Requests and spend; not before the first board is there, which needs no lake."""
        from perdure.stores.lake.delta import DeltaLake
        from perdure.surface.compose import stores_root
        from perdure.surface.console.counting import Counting

        self._looks += 1
        if self._board is None or self._looks % _COUNTED_EVERY != 2:
            return set()
        if self._counting is None:
            self._counting = Counting(DeltaLake(stores_root(self._project.folder, self._project.settings) / "lake"))
        return {"requests", "money", "work"} if self._counting.look(at) else set()

    def _uncounted(self) -> str:
        """What is wrong with the lake: all else is new, and stays so."""
        return "" if self._counting is None else self._counting.problem

    def _made(self, tiles: Tiles, at: datetime) -> Board:
        folded = self._folded
        return Board(
            generation=self._generation() + 1,
            sequence=folded.sequence,
            at=at,
            made_at=machine_now(),
            tiles=tiles.tiles,
            by_name=tiles.by_name,
            newest=dict(tiles.newest),
            pointers=dict(folded.pointers),
            incidents=folded.incidents,
            doing=dict(folded.doing),
            questions=folded.questions,
            jobs=folded.jobs,
            recent=folded.recent,
            holder=self._holder,
            problem=self._uncounted(),
            runs=folded.runs,
            round=folded.round,
            judged=dict(tiles.judged),
            hours=self._counting.hours if self._counting else {},
        )

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}" if not str(error) else str(error)
        if self._sequence < 0:
            # It broke off while it was read: everything is read again.
            self._folded = Folded()
        if self._board is None:
            self._put(_nothing(text), TOPICS)
        elif self._board.problem != text:
            board = replace(self._board, generation=self._generation() + 1, made_at=machine_now(), problem=text)
            self._put(board, frozenset({"work", "ledger"}))

    def _generation(self) -> int:
        return 0 if self._board is None else self._board.generation

    def _put(self, board: Board, topics: frozenset[Topic]) -> None:
        with self._new:
            self._board = board
            self._told.append((board.generation, topics))
            self._new.notify_all()


def _nothing(problem: str) -> Board:
    """The board of a project of which nothing can be read."""
    now = machine_now()
    return Board(
        generation=1,
        sequence=0,
        at=now,
        made_at=now,
        tiles=(),
        by_name={},
        newest={},
        pointers={},
        incidents=(),
        doing={},
        questions=(),
        jobs=(),
        recent=(),
        holder="",
        problem=problem,
        runs=no_runs(),
    )
