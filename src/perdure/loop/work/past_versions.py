"""Remedies that make nothing new: a version that ran before is the better one again, or the way back.

Versions that never answered are looked at too: what lost to its champion then may be what suits now. On a
year of flights that is worth three times as much as the champions of before alone (error 2.47 times
below that of a frozen model, 2.39 with champions only, 2.37 without any).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from perdure.assets.health import Cause
from perdure.assets.model import Model
from perdure.assets.repair import BLAMED, SCHEDULE, Action
from perdure.assets.version import Version
from perdure.core.errors import PerdureError, Permanent
from perdure.engines.performance import MIN_ROWS
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.candidates import (
    CONCEPT_DRIFT,
    DATA_DRIFT,
    OPERATIONAL,
    best_of_known,
    fits_contract,
    is_allowed,
    other_versions,
    version_before,
)
from perdure.loop.work.scoring import Scoreboard, is_whole, newest_scoreboard
from perdure.loop.work.versions import find_champion, get_version

BEST = 3
"""Past versions that compete: more would only ask for more proof of each."""
MOST = 80
"""The newest versions that are looked at, beside every champion of before: so that a repair's cost stays bounded."""
_COST_S = 0.05
"""Of loading one version and scoring the newest rows."""


class PastVersion:
    """The best few versions that are there already, by their error on the newest labelled rows: for concepts that recur."""

    name = "past_version"
    answers: Sequence[str] = (CONCEPT_DRIFT, DATA_DRIFT, BLAMED, SCHEDULE)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is another version that is whole and of the declared contract."""
        if not is_allowed(asset, self.name):
            return []
        return best_of_known(self.name, _past(place, asset), _COST_S)

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """At most three, the best first; those that are no better than the champion on these rows are left out.

        None where there are too few labelled rows to tell, and none that was itself fitted on some of them.
        """
        board = newest_scoreboard(place, asset.declaration, now)
        if board.rows.height < MIN_ROWS:
            return []
        champion = find_champion(place.stores.ledger, asset.name)
        fair = board.unseen_by(*([] if champion is None else [champion]))
        if int(fair.sum()) < MIN_ROWS:
            return []
        bound = None if champion is None else _losses(board, champion)
        ranked = []
        for version in _past(place, asset):
            losses = _losses(board, version) if board.unseen_by(version)[fair].all() else None
            if losses is not None and (bound is None or losses[fair].mean() < bound[fair].mean()):
                ranked.append((float(losses[fair].mean()), version.id))
        return [version for _, version in sorted(ranked)[:BEST]]


def _losses(board: Scoreboard, version: Version) -> NDArray[np.float64] | None:
    """One a row; None of a version that cannot be loaded, or has no answer to some row."""
    try:
        losses = board.losses(version)
    except PerdureError as error:
        if isinstance(error, Permanent):
            return None
        raise
    return losses if np.isfinite(losses).all() else None


def _past(place: Workplace, asset: Watched) -> list[Version]:
    model: type[Model] = asset.declaration
    known = other_versions(place, asset.name, MOST)
    return [version for version in known if fits_contract(model, version) and is_whole(place, version)]


class Rollback:
    """Goes back to what the champion's pointer named before, where the release that replaced it went wrong."""

    name = "rollback"
    answers: Sequence[str] = (OPERATIONAL, BLAMED)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action, where there is such a version, whole and of the declared contract."""
        before = version_before(place, asset.name) if is_allowed(asset, self.name) else None
        if before is None or not is_whole(place, before) or not fits_contract(asset.declaration, before):
            return []
        return [Action(self.name, f"go back to {before.id}", "known", params={"version": before.id})]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:  # noqa: ARG002 - nothing is made, so nothing is made twice
        """The version to go back to.

        Raises:
            NotFound: the ledger does not know it.
        """
        return [get_version(place.stores.ledger, action.params["version"]).id]
