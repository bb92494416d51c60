"""Every cause of agents and graphs: a node that is to blame, their own version, a tool that nobody here can mend, or nothing for sure.

Until it was looked, `node_to_blame` names the suspects by what the journals show; the remedy `blame_node` then replays runs, and from what it
found the others follow. Nothing is replayed here: a diagnosis is read again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding
from perdure.core.clock import iso, parse_at
from perdure.core.units import days
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.runs.gathering import Gathered, gather, worst
from perdure.loop.work.runs.handed import find_found, mended_since, standing_by
from perdure.loop.work.runs.reading import Reader
from perdure.loop.work.runs.watched import asset_behind

NODE_TO_BLAME = "node_to_blame"
VERSION_CHANGED = "version_changed"
TOOL_BROKEN = "tool_broken"
UNEXPLAINED = "unexplained"
_AGAIN = days(2)
"""What was found speaks of so long; then it is looked anew."""


def run_causes(reader: Reader) -> tuple[Cause, ...]:
    """The causes of the kinds "agent" and "graph"."""
    return (NodeToBlame(reader), VersionChanged(), ToolBroken(), Unexplained())


def present_found(place: Workplace, asset: Watched, now: datetime) -> Mapping[str, Any] | None:
    """What was found of an agent's runs, while it speaks of what is broken now: nothing was mended since, and it is not old.

    What was handed to a node and came to nothing there is looked for anew.
    """
    found, mended = find_found(place, asset.name), mended_since(place, asset.name)
    if found is None or now - parse_at(found["at"]) >= _AGAIN or (mended and parse_at(found["at"]) <= mended):
        return None
    handed = bool(asset_behind(found["node"])) and not found["own"]
    if handed and all(each.facts["at"] != found["at"] for each in standing_by(place, asset.name)):
        return None
    return found


class NodeToBlame:
    """A node of it is to blame: suspected by the journals, or found by replays."""

    name = NODE_TO_BLAME

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.85 for what was found, 0.6 for suspects; None where nothing of runs is broken, or something else was found."""
        broken = worst(asset, findings)
        if broken is None:
            return None
        mended = mended_since(place, asset.name)
        if mended is not None and broken[0].reading.at <= mended:
            last = find_found(place, asset.name) or {}
            text = f"{last.get('text', '')} It was mended at {iso(mended)}: only runs since then tell more.".strip()
            return RankedCause(self.name, 0.6, {**last, "mended_at": iso(mended)}, text)
        found = present_found(place, asset, now)
        if found is not None:
            handed = bool(asset_behind(found["node"])) and not found["own"]
            return _of(self.name, 0.85, found) if handed else None
        gathered = gather(place, self._reader, asset, findings, now)
        return None if gathered is None else RankedCause(self.name, 0.6, suspicion(gathered), told(gathered))


def suspicion(gathered: Gathered) -> dict[str, Any]:
    """The suspects as evidence; none where there are too few runs to compare."""
    told = {"objective": gathered.objective.text(), "n_bad": len(gathered.bad), "n_good": len(gathered.good)}
    if not gathered.enough:
        return told
    return {
        **told,
        "suspects": [
            {"node": each.node, "prior": each.prior, "signs": [sign.text for sign in each.signs[:3]]}
            for each in gathered.few
        ],
        "runs": [seen.run.id for seen in gathered.bad[-10:]],
    }


def told(gathered: Gathered) -> str:
    """The suspects in words."""
    what = f"{len(gathered.bad)} of {gathered.n_runs} runs went badly"
    if not gathered.enough:
        return f"{what}, too few to compare with {len(gathered.good)} that went well."
    names = ", ".join(each.node for each in gathered.few)
    return f"{what}; suspected: {names}." if names else f"{what}, and no node of them did anything else than before."


def _of(name: str, weight: float, found: Mapping[str, Any]) -> RankedCause:
    return RankedCause(name, weight, dict(found), str(found["text"]))


class VersionChanged:
    """Its own version is to blame: what is declared of it changed."""

    name = VERSION_CHANGED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.85 where replays found so."""
        found = present_found(place, asset, now) if worst(asset, findings) else None
        return _of(self.name, 0.85, found) if found is not None and found["own"] else None


class ToolBroken:
    """A tool, a node's code or a feature view is to blame: nothing here has another version of it."""

    name = TOOL_BROKEN

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.85 where it was found so."""
        found = present_found(place, asset, now) if worst(asset, findings) else None
        lost = found is not None and found["node"] and not found["own"] and not asset_behind(found["node"])
        return _of(self.name, 0.85, found) if found is not None and lost else None


class Unexplained:
    """It was looked, and no node is to blame for sure."""

    name = UNEXPLAINED

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.5: a person looks."""
        found = present_found(place, asset, now) if worst(asset, findings) else None
        return _of(self.name, 0.5, found) if found is not None and not found["node"] else None
