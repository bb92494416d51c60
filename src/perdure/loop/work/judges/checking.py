"""Judges that are in use are asked about their anchor again now and then: a model can change behind its name.

Run in each round of the loop after everything else, as what tells the outside is: signals only read what is kept here. A
check that fails (nobody answers, the anchor cannot be read) is left for the next round and stops nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from perdure.assets.judge import Judge
from perdure.core.errors import BadJudge, NotReady, UpstreamError
from perdure.core.units import days, hours
from perdure.loop.protocols import Workplace
from perdure.loop.work.judges.measuring import measure
from perdure.loop.work.judges.state import find
from perdure.loop.work.versions import find_champion

USUAL_EVERY = days(1)
WATCHED = ("judge_agreement", "judge_obeyed", "judge_shift")
"""Signals that rest on checks."""


class AnchorChecks:
    """Calibrates the champion of each judge that has objectives once, and checks it when that is due.

    Args:
        judges: as declared.
        every: at least so long between two checks of a judge; by default its shortest window of a signal that rests on
            them, a day at most and an hour at least.
    """

    def __init__(self, judges: Sequence[Judge], every: timedelta | None = None) -> None:
        self._judges = [judge for judge in judges if _watched(judge)]
        self._every = every

    def run(self, place: Workplace, now: datetime) -> None:
        """Ask what is due. Cost: one read a judge, and where one is due its whole anchor.

        Raises:
            LostLease: another worker took over.
        """
        for judge in self._judges:
            champion = find_champion(place.stores.ledger, judge.name)
            if champion is None or place.open_answerer is None:
                continue
            calibrated = find(place, judge.name, champion.id)
            checked = find(place, judge.name, champion.id, "check") or calibrated
            if checked is not None and now - checked.measured_at < (self._every or _cadence(judge)):
                continue
            try:
                measure(place, judge, champion, now, what="calibration" if calibrated is None else "check")
            except (BadJudge, NotReady, UpstreamError):
                continue


def _watched(judge: Judge) -> list[timedelta]:
    return [each.spec.over for each in judge.healthy if each.spec.signal in WATCHED]


def _cadence(judge: Judge) -> timedelta:
    return min(USUAL_EVERY, max(hours(1), min(_watched(judge)) / 2))
