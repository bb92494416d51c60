"""Blame as the ledger keeps it: what was found of an agent, which node it was handed to, and when that ended.

Three cursors: `blame/<agent>` holds the newest ranking, `blamed/<asset>` what is laid at an asset's door, `mended/<agent>` since when it is
without what was last to blame. A blame stands until the asset answers by another version, or its state was mended, or it is too old; then
`Handed` writes down how it ended, at the agent's incident too, and has the agent measured anew. Where the release that ended it is taken
back, it stands again as if it had never ended: the agent is measured with its runs of before, and is not healed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perdure.assets.version import CHAMPION
from perdure.core.clock import iso, parse_at
from perdure.core.units import days
from perdure.loop.cases import REPAIR
from perdure.loop.incidents import find_incident, note
from perdure.loop.observe import measure_again
from perdure.loop.protocols import Watched, Workplace
from perdure.stores.ledger.protocols import LedgerSession

BLAME, HANDED, MENDED = "blame/", "blamed/", "mended/"
LONGEST = days(7)
"""A blame that nothing came of ends: what it rests on is old by then."""
_LOOKED_AT = 20
_OF_END = ("ended", "mended_at", "mended_before")
"""Members that a blame has since it ended."""
OUTCOME = "loop.outcome"
"""Action of the audit's entry that tells how a blame ended, in the story of the agent's incident."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is laid at an asset's door."""

    asset: str
    by: str
    """The agent or graph whose runs went worse."""
    by_kind: str
    at: datetime
    facts: Mapping[str, Any]
    """`node`, `sure`, `text`, `swap`, `objective`, `since`, `bad` and `good` (ids of runs), `version` that answered then."""


def put_blame(session: LedgerSession, asset: str, facts: Mapping[str, Any]) -> None:
    """Keep what was found of an agent's runs, instead of what was found before."""
    session.cursors.put(BLAME + asset, dict(facts))


def find_found(place: Workplace, asset: str) -> Mapping[str, Any] | None:
    """What was found last of an agent's runs, or None."""
    with place.stores.ledger.read() as session:
        found: Mapping[str, Any] | None = session.cursors.get(BLAME + asset)
    return found or None


def hand_over(session: LedgerSession, asset: str, facts: Mapping[str, Any]) -> None:
    """Lay it at an asset's door."""
    session.cursors.put(HANDED + asset, dict(facts))


def find_standing(place: Workplace, asset: str) -> Standing | None:
    """What stands against an asset now, or None."""
    with place.stores.ledger.read() as session:
        found = session.cursors.get(HANDED + asset)
    if not found or found.get("ended"):
        return None
    return Standing(asset, found["by"], found["by_kind"], parse_at(found["at"]), found)


def standing_by(place: Workplace, asset: str) -> list[Standing]:
    """What stands by an agent's word."""
    with place.stores.ledger.read() as session:
        known = session.cursors.list(HANDED)
    return [
        Standing(name.removeprefix(HANDED), found["by"], found["by_kind"], parse_at(found["at"]), found)
        for name, found in known.items()
        if found and not found.get("ended") and found["by"] == asset
    ]


def put_mended(session: LedgerSession, asset: str, at: datetime) -> None:
    """From this instant on an agent's runs are without what was last to blame."""
    known = session.cursors.get(MENDED + asset)
    session.cursors.put(MENDED + asset, iso(max(at, parse_at(known)) if known else at))


def mended_since(place: Workplace, asset: str) -> datetime | None:
    """When what was last to blame for an agent's runs was mended; None: nothing was."""
    with place.stores.ledger.read() as session:
        found = session.cursors.get(MENDED + asset)
    return parse_at(found) if found else None


class Handed:
    """Looks, before a round measures, whether what was blamed has been mended."""

    def __init__(self, agents: Sequence[Watched], assets: Sequence[Watched] = ()) -> None:
        """Args: agents: or graphs, whose blame it looks after; assets: everything that is watched."""
        self._agents = {asset.name: asset for asset in agents}
        self._assets = {asset.name: asset for asset in assets}

    def run(self, place: Workplace, now: datetime) -> None:
        """End what is over; one read a round where nothing is blamed."""
        with place.stores.ledger.read() as session:
            known = session.cursors.list(HANDED)
        for cursor, facts in known.items():
            if not facts or facts["by"] not in self._agents:
                continue
            name = cursor.removeprefix(HANDED)
            if not facts.get("ended"):
                self._end(place, name, facts, now)
            elif facts.get("mended_at") and _is_back(place, name, facts, now):
                self._stand_again(place, name, facts, now)

    def _end(self, place: Workplace, name: str, facts: Mapping[str, Any], now: datetime) -> None:
        how, mended = how_ended(place, name, facts, now)
        if not how:
            return
        by = str(facts["by"])
        with place.transaction(now, "blame ended") as session:
            kept = {**facts, "ended": how}
            if mended is not None:
                before = session.cursors.get(MENDED + by) or ""
                put_mended(session, by, mended)
                kept |= {"mended_before": before, "mended_at": session.cursors.get(MENDED + by)}
            session.cursors.put(HANDED + name, kept)
            self._tell(session, name, facts, how, "" if mended is None else how)

    def _stand_again(self, place: Workplace, name: str, facts: Mapping[str, Any], now: datetime) -> None:
        """Nothing was mended after all: only runs since then were read, and now those of before are too."""
        how = f"{facts['node']}: {facts['version']} answers again, so the blame stands as before."
        by = str(facts["by"])
        with place.transaction(now, "blame stands again") as session:
            session.cursors.put(HANDED + name, {key: value for key, value in facts.items() if key not in _OF_END})
            if session.cursors.get(MENDED + by) == facts["mended_at"]:
                session.cursors.put(MENDED + by, facts["mended_before"])
            self._tell(session, name, facts, how, "", outcome="rolled_back")

    def _tell(
        self,
        session: LedgerSession,
        name: str,
        facts: Mapping[str, Any],
        how: str,
        healed_by: str,
        outcome: str = "mended",
    ) -> None:
        by = self._agents[str(facts["by"])]
        for asset in (by, self._assets.get(name)):
            if asset is not None:
                measure_again(session, asset)
        incident = find_incident(session, by.name)
        session.audit.append(OUTCOME, by.name, _outcome(facts, incident.id if incident else "", how, outcome))
        if incident is not None:
            note(session, incident.id, {"outcomes": [how], "healed_by": healed_by})


def _is_back(place: Workplace, name: str, facts: Mapping[str, Any], now: datetime) -> bool:
    """Whether the blamed version answers again, by a release that was taken back while what was found is not too old."""
    if now - parse_at(facts["at"]) >= LONGEST or not facts.get("version"):
        return False
    with place.stores.ledger.read() as session:
        champion = next((each.version for each in session.pointers.list(name) if each.name == CHAMPION), None)
        moves = [
            move.version
            for move in session.pointers.history(name)
            if move.name == CHAMPION and move.version and move.at >= parse_at(facts["at"])
        ]
    return champion == facts["version"] and any(version != champion for version in moves)


def _outcome(facts: Mapping[str, Any], incident: str, how: str, outcome: str) -> dict[str, Any]:
    """In the form in which repairs tell theirs."""
    told: dict[str, Any] = {
        "outcome": outcome,
        "why": how,
        "candidates": [],
        "winner": None,
        "remedy": f"{'mended' if outcome == 'mended' else 'not mended'}: {facts['node']}",
    }
    return {"job": "", "incident": incident, "stage": "outcome", "champion": None, **told}


def how_ended(place: Workplace, name: str, facts: Mapping[str, Any], now: datetime) -> tuple[str, datetime | None]:
    """How a blame ended in words, and when what was blamed was mended; empty while it stands, None where it was not mended."""
    since, node = parse_at(facts["at"]), str(facts["node"])
    with place.stores.ledger.read() as session:
        busy = any(job.subject == name for job in session.jobs.list(open_only=True, subject=name, limit=_LOOKED_AT))
        moves = [
            move
            for move in session.pointers.history(name)
            if move.name == CHAMPION and move.version and move.at >= since and move.version != facts.get("version")
        ]
        jobs = [job for job in session.jobs.list(subject=name, limit=_LOOKED_AT) if job.workflow == REPAIR]
        champion = next((each.version for each in session.pointers.list(name) if each.name == CHAMPION), None)
    if moves and champion != facts.get("version"):
        # Though its release is still watched: if it goes back, the blame stands again.
        return f"{node}: {champion} was released in place of {facts.get('version')}.", moves[-1].at
    if busy:
        return "", None
    mended = [job for job in jobs if job.started_at >= since and job.output.get("outcome") == "mended"]
    if mended:
        return f"{node}: {str(mended[0].output.get('why', 'it was mended')).rstrip('.')}.", mended[
            0
        ].ended_at or mended[0].started_at
    if now - since >= LONGEST:
        return f"{node}: nothing came of it within {LONGEST // timedelta(days=1)} days.", None
    return "", None
