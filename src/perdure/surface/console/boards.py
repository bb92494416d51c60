"""Keeps the board new, and holds it: what every page of the console begins with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.core.clock import machine_now, parse_at, to_us
from perdure.core.errors import NotReady
from perdure.surface.console.board import TOPICS, Board, Tile, Topic
from perdure.surface.console.judging import judge, newest_of

if TYPE_CHECKING:
    import polars as pl

    from perdure.core.settings import ConsoleSettings
    from perdure.stores.ledger.protocols import Run
    from perdure.surface.opened import Opened

POLL_S = 0.5
_FIRST_S = 120.0
_KEPT = 1000


class ProjectBoards:
    """Boards of one project.

    Args:
        project: whose; its stores are read, never written.
        settings: `clock` says what is taken for now.
    """

    def __init__(self, project: Opened, settings: ConsoleSettings | None = None) -> None:
        self._project = project
        self._clock = (settings or project.settings.console).clock
        self._board: Board | None = None
        self._new = Condition()
        self._told: deque[tuple[int, frozenset[Topic]]] = deque(maxlen=_KEPT)
        self._sequence = -1

    def now(self) -> Board:
        """The newest board; waits for the first.

        Raises:
            NotReady: nobody keeps it: `run` or `refresh` makes the first.
        """
        board = self._board
        if board is not None:
            return board
        with self._new:
            self._new.wait_for(lambda: self._board is not None, _FIRST_S)
        if self._board is None:
            raise NotReady("The console has no board yet.", hint="Try again in a moment.")
        return self._board

    def changed(self, after: int, timeout_s: float) -> tuple[int, frozenset[Topic]]:
        """Wait until a board newer than `after` is there, or the time is over; its generation, and what is new since."""
        with self._new:
            self._new.wait_for(lambda: self._generation() > after, timeout_s)
            newest = self._generation()
            if newest <= after:
                return newest, frozenset()
            if not self._told or self._told[0][0] > after + 1:
                return newest, TOPICS
            return newest, frozenset[Topic]().union(*(topics for number, topics in self._told if number > after))

    def run(self, stop: Callable[[], bool]) -> None:
        """Keep it new until `stop()`."""
        while not stop():
            self.refresh()
            with self._new:
                self._new.wait_for(stop, POLL_S)

    def refresh(self) -> Board:
        """Look once whether anything is new, and put a newer board in the place of the old one if so."""
        sequence = self._project.place.stores.ledger.sequence()
        if self._board is None or sequence != self._sequence:
            self._put(self._made(sequence), TOPICS)
            self._sequence = sequence
        return self.now()

    def _generation(self) -> int:
        return 0 if self._board is None else self._board.generation

    def _put(self, board: Board, topics: frozenset[Topic]) -> None:
        with self._new:
            self._board = board
            self._told.append((board.generation, topics))
            self._new.notify_all()

    def _made(self, sequence: int) -> Board:
        from perdure.loop.protocols import LEASE
        from perdure.surface.compose import watched_assets
        from perdure.surface.glance import glance

        place, project = self._project.place, self._project.project
        with place.stores.ledger.read() as session:
            told = session.cursors.get("round")
            jobs = session.jobs.list(open_only=True)
            recent = session.audit.list(after=max(0, sequence - 200), limit=200)[::-1]
            runs = session.runs.list(limit=50_000)
        at = machine_now() if self._clock == "machine" or not told else parse_at(str(told))
        status = glance(place, project, at)
        opened = {each.asset: each.id for each in reversed(status.incidents)}
        pointers = {each.name: each.pointers for each in status.assets}
        newest = {each.name: list(newest_of(place.stores.readings.latest(each.name))) for each in status.assets}
        tiles, judged = [], {}
        for asset in watched_assets(project):
            word = judge(asset, newest[asset.name], to_us(at))
            judged[asset.name] = word.judged
            moving = any(each.name != CHAMPION and each.share > 0 for each in pointers[asset.name])
            champion = next((each.version for each in pointers[asset.name] if each.name == CHAMPION), "")
            tiles.append(
                Tile(
                    asset.kind,
                    asset.name,
                    getattr(asset.declaration, "owner", ""),
                    word.state,
                    word.worst,
                    champion,
                    moving,
                    opened.get(asset.name, ""),
                    status.paused.get(asset.name, ""),
                    declared=True,
                )
            )
        tiles.sort(key=lambda each: (each.kind, each.name))
        return Board(
            generation=self._generation() + 1,
            sequence=sequence,
            at=at,
            made_at=machine_now(),
            tiles=tiles,
            by_name={each.name: each for each in tiles},
            newest=newest,
            pointers=pointers,
            incidents=status.incidents,
            doing=status.doing,
            questions=list(status.approvals),
            jobs=jobs,
            recent=recent,
            holder=place.stores.leases.holder(LEASE) or "",
            problem="",
            runs=_frame(runs),
            judged=judged,
        )


def _frame(runs: Sequence[Run]) -> pl.DataFrame:
    import polars as pl

    rows = [
        {
            "id": run.id,
            "kind": run.kind,
            "asset": run.asset,
            "status": run.status,
            "version": str(run.facts.get("version", "")),
            "started_at": run.started_at,
            "seconds": (run.finished_at - run.started_at).total_seconds() if run.finished_at else None,
            **{f"params.{name}": value for name, value in run.params.items()},
            **{f"metrics.{name}": value for name, value in run.metrics.items()},
        }
        for run in runs
    ]
    schema = {
        "id": pl.String,
        "kind": pl.String,
        "asset": pl.String,
        "status": pl.String,
        "version": pl.String,
        "started_at": pl.Datetime("us", "UTC"),
        "seconds": pl.Float64,
    }
    return pl.DataFrame(rows, infer_schema_length=None, strict=False) if rows else pl.DataFrame(schema=schema)
