"""Release, the seventh step: the way of traffic to a candidate, or back.

Shadow, canary and all are sets of pointer moves, each one event under one sequence number of the
ledger, with its evidence. Serving follows the pointers; the shares stick to keys, so a ramp that
grows keeps its assignments. Going back needs the same proof as going forth: the version that is
gone back to is loaded and asked before the pointer moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.assets.policy import Hours
from perdure.assets.repair import Trial
from perdure.assets.version import CHALLENGER, CHAMPION, SHADOW, Pointer
from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.core.units import days, hours
from perdure.loop.protocols import Kind, Watched, Workplace
from perdure.loop.verify import judge
from perdure.stores.ledger.protocols import LedgerSession

_TRIAL_POINTERS = (CHALLENGER, SHADOW)


@dataclass(frozen=True, slots=True)
class Move:
    """A release that was made."""

    asset: str
    version: str
    replaced: str | None
    generation: int


def find_champion(session: LedgerSession, asset: str) -> str | None:
    """Id of the version that answers, or None."""
    return next((pointer.version for pointer in session.pointers.list(asset) if pointer.name == CHAMPION), None)


def answering(session: LedgerSession, asset: str | None = None) -> Mapping[str, frozenset[str]]:
    """Ids of the versions that answer callers, by asset, of one asset or of all: champions, and what has a share beside them."""
    found: dict[str, frozenset[str]] = {}
    for pointer in session.pointers.list(asset):
        if pointer.name == CHAMPION or (pointer.name != SHADOW and pointer.share > 0.0):
            found[pointer.asset] = found.get(pointer.asset, frozenset()) | {pointer.version}
    return found


def to_shadow(session: LedgerSession, asset: str, candidate: str, facts: Mapping[str, Any]) -> int:
    """It answers beside the champion, unseen."""
    return session.pointers.set([Pointer(asset, SHADOW, candidate)], remove=[(asset, CHALLENGER)], facts=facts)


def to_canary(session: LedgerSession, asset: str, candidate: str, share: float, facts: Mapping[str, Any]) -> int:
    """It answers a share of the keys."""
    return session.pointers.set([Pointer(asset, CHALLENGER, candidate, share)], remove=[(asset, SHADOW)], facts=facts)


def to_all(session: LedgerSession, asset: str, version: str, facts: Mapping[str, Any]) -> int:
    """It answers everything, and no trial goes on."""
    gone = [(asset, name) for name in _TRIAL_POINTERS]
    return session.pointers.set([Pointer(asset, CHAMPION, version)], remove=gone, facts=facts)


def end_trial(session: LedgerSession, asset: str, facts: Mapping[str, Any]) -> int:
    """The champion answers everything, as before."""
    return session.pointers.set([], remove=[(asset, name) for name in _TRIAL_POINTERS], facts=facts)


def champion_since(session: LedgerSession, asset: str) -> datetime | None:
    """When the version that answers became champion for the last time; None without one."""
    moves = [move for move in session.pointers.history(asset) if move.name == CHAMPION and move.version is not None]
    return moves[-1].at if moves else None


def abandoned_trials(session: LedgerSession, busy: Collection[str]) -> dict[str, str]:
    """Trials that a job began which is over: the job's id by asset. A trial that a person set up is left alone.

    Args:
        session: where to look.
        busy: assets that have an open job.
    """
    found = {}
    for pointer in session.pointers.list():
        if pointer.name in _TRIAL_POINTERS and pointer.asset not in busy:
            last = [move for move in session.pointers.history(pointer.asset) if move.name == pointer.name][-1]
            if "job" in last.facts:
                found[pointer.asset] = str(last.facts["job"])
    return found


def next_opening(windows: Sequence[Hours], at: datetime) -> datetime:
    """The first instant from `at` on at which a release may begin.

    >>> from datetime import UTC
    >>> next_opening((Hours(2, 4),), datetime(2013, 3, 5, 9, 30, tzinfo=UTC)).isoformat()
    '2013-03-06T02:00:00+00:00'
    """
    if not windows or any(window.holds(at) for window in windows):
        return at
    hour = at.replace(minute=0, second=0, microsecond=0)
    while not any(window.holds(hour) for window in windows):
        hour += hours(1)
        if hour - at > days(8):
            raise DeclarationError("No maintenance window opens within a week.", hint="Mend `windows` of the policy.")
    return hour


def roll_back(
    place: Workplace, kind: Kind, asset: Watched, now: datetime, *, to: str | None = None, reason: str
) -> Move:
    """Go back by hand, to a version or to the one that answered before; a trial that runs ends.

    To the champion itself: the trial ends, and nothing else changes. A version that never answered everything is not gone back to:
    that would be a release past whoever must say yes to it.

    Raises:
        DeclarationError: no reason.
        NotFound: no such version, or none that answered before.
        Refused: it was never the champion, or does not load or answer; nothing was changed.
    """
    if not reason.strip():
        raise DeclarationError("A rollback needs a reason.", hint="Say why: it is kept in the history.")
    with place.stores.ledger.read() as session:
        present = find_champion(session, asset.name)
        target = to if to is not None else _answered_before(session, asset.name, present)
        session.registry.get_version(target)
        _check_answered(session, asset.name, target)
    proof = judge(place, kind, asset, Trial(target, present, "rollback"), now)
    if not proof.passed:
        raise Refused(
            f"{asset.name} does not go back to {target}: {'; '.join(proof.refused_by)}",
            hint="Choose another version by --to; perdure history lists those that answered.",
            **proof.as_facts(),
        )
    facts = {"stage": "rollback", "replaced": present, "verdicts": proof.as_facts()["verdicts"]}
    with place.transaction(now, reason) as session:
        generation = to_all(session, asset.name, target, facts)
    return Move(asset.name, target, present, generation)


def _check_answered(session: LedgerSession, asset: str, version: str) -> None:
    moves = session.pointers.history(asset)
    if not any(move.name == CHAMPION and move.version == version for move in moves):
        raise Refused(
            f"{version} never answered for {asset}: that would be a release, and no way back.",
            hint="Release it by `perdure apply --release`, which asks whoever must say yes; perdure history lists what answered.",
            asset=asset,
            version=version,
        )


def _answered_before(session: LedgerSession, asset: str, present: str | None) -> str:
    """The newest champion other than the present one."""
    for move in reversed(session.pointers.history(asset)):
        if move.name == CHAMPION and move.version is not None and move.version != present:
            return move.version
    raise NotFound(f"No other version of {asset} ever answered.", hint="Give one by --to.", asset=asset)
