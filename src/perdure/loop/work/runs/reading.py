"""Runs of production with their journals and what people said of them, as signals, blame and gates read them.

A window takes the runs that were asked for in it (domain time) and are over by now: the lake holds no others. Runs of shadows count nowhere;
replays are never told. Of more than `MOST` runs an even share is read whole.

What surprised us: after a node was mended, the window still holds the runs from before it, and the agent would look ill for as long as the
window is. So from the mending on only runs that began after it are read, as readings of a version that no longer answers are no findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.engines.agents.nodes import value_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_feedback
from perdure.loop.work.captured_calls import FEEDBACK
from perdure.loop.work.captured_runs import RUNS, read_run_steps, read_runs, told_of
from perdure.loop.work.runs.handed import mended_since
from perdure.loop.work.runs.judged import with_words
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import Key

MOST = 2000
"""Runs of a window whose journals are read."""
SAID = ("success", "resolved", "helpful")
"""Names of feedback that say whether a run did what it was asked; the first that was given counts."""
_PRODUCTION = ("champion", "challenger")
_JUDGED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One run of production."""

    run: RunRecord
    steps: Sequence[StepRecord]
    waits: Sequence[Wait] = ()
    said: float | None = None
    """By feedback: 1 it did what it was asked, 0 it did not; None: nobody said."""
    words: Mapping[str, float] = field(default_factory=dict)
    """What judges said of it, 0 to 1, by the label of the scorer that asks them; one that was not asked is not there."""

    @property
    def input(self) -> Mapping[str, Any]:
        """What it was asked; empty where nothing is kept."""
        value = value_of(self.run.input)
        return value if isinstance(value, Mapping) else {}

    @property
    def expected(self) -> Any:
        """What the caller said that it should give; None: nothing."""
        return self.input.get("expected")


@dataclass(frozen=True, slots=True)
class Window:
    """`[start, end)` of runs by one version, or by all."""

    start: datetime
    end: datetime
    version: str = ""


@dataclass(slots=True, eq=False)
class _Known:
    """What was read for one instant, while the tables stood as they did."""

    key: tuple[int | None, int | None, datetime] | None = None
    rows: dict[tuple[str, datetime, datetime, str], list[Seen]] = field(default_factory=dict)


class Reader:
    """Reads windows of runs; what it read for one instant of the loop it gives again to the next who asks."""

    def __init__(self) -> None:
        self._known = _Known()

    def window(self, place: Workplace, asset: Watched, over: timedelta, now: datetime) -> Window | None:
        """What an objective over `over` looks at: runs by the champion since the last mending; None: nothing answers."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None:
            return None
        start, mended = now - over, mended_since(place, asset.name)
        return Window(start if mended is None else max(start, min(mended, now)), now, champion.id)

    def runs(self, place: Workplace, asset: Watched, window: Window) -> list[Seen]:
        """The runs of a window by time."""
        return self._read(place, asset, window, window.end)

    def earlier(self, place: Workplace, asset: Watched, window: Window, now: datetime) -> list[Seen]:
        """The runs of a window that ended before, with what was said of them until now."""
        return self._read(place, asset, window, now)

    def _read(self, place: Workplace, asset: Watched, window: Window, now: datetime) -> list[Seen]:
        lake = place.stores.lake
        key = (lake.version(RUNS), lake.version(FEEDBACK), now)
        if self._known.key != key:
            self._known = _Known(key)
        which = (asset.name, window.start, window.end, window.version)
        if which not in self._known.rows:
            self._known.rows[which] = with_words(place, asset, read_seen(place, asset.name, window, now))
        return self._known.rows[which]


def counted(place: Workplace, asset: str, window: Window, columns: Sequence[str]) -> pl.DataFrame:
    """All runs of a window, without bodies and journals."""
    names = [*columns, "arm", "version"]
    return _production(read_runs(place.stores.lake, asset, window.start, window.end, names), window)


def read_seen(place: Workplace, asset: str, window: Window, now: datetime) -> list[Seen]:
    """Runs of production of a window with their journals and what was said of them up to `now`, by time; at most `MOST`, evenly spread."""
    runs = _production(read_runs(place.stores.lake, asset, window.start, window.end), window)
    if runs.height > MOST:
        runs = runs.gather_every(-(-runs.height // MOST))
    if runs.is_empty():
        return []
    steps = read_run_steps(place.stores.lake, asset, window.start, window.end)
    steps = steps.filter(pl.col("run_id").is_in(runs["run_id"].to_list()))
    teams = dict(runs.select("run_id", "team").iter_rows())
    said = feedback_on(place, teams, window.start, now)
    return [Seen(each.run, each.steps, each.waits, said.get(each.run.id)) for each in told_of(runs, steps)]


def feedback_on(
    place: Workplace, teams: Mapping[str, str | None], start: datetime | None, end: datetime
) -> dict[str, float]:
    """Run → 1 or 0, of those that somebody said something of in `[start, end)`.

    Whoever may call the gateway can name any run, so what is said counts only from a key of the run's own team or of an administrator.

    Args:
        place: stores.
        teams: run → the team that asked for it; empty where none did.
        start: of the window; None: of all time.
        end: what came from then on is left out.
    """
    rows = read_feedback(place.stores.lake, None, start, end)
    rows = rows.filter(pl.col("name").is_in(SAID) & pl.col("call_id").is_in(list(teams)))
    if rows.is_empty():
        return {}
    with place.stores.ledger.read() as session:
        keys = {key.id: key for key in session.keys.list()}
    found: dict[str, tuple[int, list[float]]] = {}
    for call, name, value, key in rows.select("call_id", "name", "value", "key").iter_rows():
        if not _may_say(keys.get(key), teams[call] or ""):
            continue
        rank = SAID.index(name)
        known = found.get(call)
        if known is None or rank < known[0]:
            found[call] = (rank, [value])
        elif rank == known[0]:
            known[1].append(value)
    return {call: float(sum(values) / len(values) >= _JUDGED) for call, (_, values) in found.items()}


def _may_say(key: Key | None, team: str) -> bool:
    """Whether a key's word on a team's run counts; a key that nobody issued has none on a run that a team asked for."""
    return not team if key is None else key.admin or key.team == team


def _production(runs: pl.DataFrame, window: Window) -> pl.DataFrame:
    of = pl.col("arm").is_in(_PRODUCTION)
    return runs.filter(of & (pl.col("version") == window.version) if window.version else of)
