"""Finds the node that is to blame for runs that went worse: by evidence, then by replays with one node swapped at a time.

`find_blame` is what the remedy `blame_node` does in its durable step. Of each suspect, at most four, a share of the `[agents] replays` is
done again with what stood in its place when runs went well: a version or generation, or the recorded result of a tool for the very same
arguments. What came of them ranks the suspects; the first is blamed where it is sure enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.assets.version import CHAMPION
from perdure.core.clock import iso, to_us
from perdure.engines.agents.blame import SURE, Blamed, Suspect, Swapped, ranked
from perdure.engines.agents.looping import digest_of
from perdure.engines.agents.nodes import behind, value_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.runs.gathering import Gathered, spread
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.replaying import Redo, replay
from perdure.loop.work.runs.watched import asset_behind, own_node, owners_of
from perdure.loop.work.versions import find_champion

_POINTED = ("prompt:", "route:", "model:", "agent:", "graph:")
"""Nodes that a version of before can be put in the place of, also where no good run names one."""
_INDEX = "index:"
GOOD_SHARE = 3
"""One replay in so many is of a run that went well: it shows what a swap breaks."""
_MOST_TOLD = 5
_MOST_KEPT = 24
"""Runs of each sort that gates replay later."""
_MARGIN = 0.1
"""A verdict for one node while another is nearly as likely would be a guess: of equals the first is blamed only by a lead of so much of its score."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What came of looking."""

    ranked: Sequence[Blamed]
    n_replays: int
    gathered: Gathered

    @property
    def first(self) -> Blamed | None:
        """Who is to blame; None: nobody for sure."""
        if not self.ranked or self.ranked[0].score < SURE:
            return None
        replayed = self.ranked[0].swapped
        if replayed is not None and replayed.effect is not None and not replayed.helps:
            return None
        lead = self.ranked[0].score - (self.ranked[1].score if len(self.ranked) > 1 else 0.0)
        return self.ranked[0] if lead >= _MARGIN * self.ranked[0].score else None

    def facts(self, place: Workplace, asset: Watched, now: datetime) -> dict[str, Any]:
        """For the ledger."""
        first, gathered = self.first, self.gathered
        name = asset_behind(first.node) if first else ""
        champion = find_champion(place.stores.ledger, name) if name else None
        return {
            "at": iso(now),
            "by": asset.name,
            "by_kind": asset.kind,
            "node": first.node if first else "",
            "own": bool(first and first.node == own_node(asset)),
            "sure": first.score if first else 0.0,
            "text": self.told(),
            "ranked": [
                {"node": each.node, "score": each.score, "share": each.share, "text": each.text}
                for each in self.ranked[:_MOST_TOLD]
            ],
            "swap": dict(first.swapped.swap) if first and first.swapped else {},
            "version": champion.id if champion else "",
            "good_version": first.suspect.good if first else "",
            "objective": gathered.objective.text(),
            "since": iso(gathered.window.start),
            "bad": [seen.run.id for seen in spread(gathered.bad, _MOST_KEPT)],
            "good": [seen.run.id for seen in spread(gathered.good, _MOST_KEPT // 2)],
            "n_replays": self.n_replays,
        }

    def told(self) -> str:
        """Who is to blame and why, in words."""
        gathered, first = self.gathered, self.first
        runs = f"{len(gathered.bad)} of {gathered.n_runs} runs went badly"
        if first is None:
            others = ". ".join(each.text for each in self.ranked[:2])
            return f"{runs}, and no node is to blame for sure{f'. The nearest are {others}' if others else ''}."
        return f"{runs}, and {first.node} is to blame: {first.text.removeprefix(f'{first.node}: ')}."


def find_blame(place: Workplace, asset: Watched, gathered: Gathered, now: datetime) -> Found:
    """The ranking, replays done. Cost: at most `[agents] replays` replays, each what a run costs from its first difference on."""
    suspected = gathered.few
    swappable = [(each, swaps) for each in suspected if (swaps := swaps_of(place, asset, gathered, each))]
    most = place.settings.agents.replays // max(1, len(swappable))
    swapped: dict[str, Swapped] = {}
    n_replays = 0
    for suspect, swaps in swappable if most else ():
        found = _swapped(place, asset, gathered, swaps, most, now)
        swapped[suspect.node] = found
        n_replays += len(found.bad) + len(found.good)
    return Found(ranked(gathered.suspects, swapped), n_replays, gathered)


def _swapped(
    place: Workplace,
    asset: Watched,
    gathered: Gathered,
    swaps: Mapping[str, Mapping[str, str]],
    most: int,
    now: datetime,
) -> Swapped:
    n_good = most // GOOD_SHARE
    good = spread([seen for seen in _lately(gathered) if seen.run.id in swaps], n_good)
    bad = spread([seen for seen in gathered.bad if seen.run.id in swaps], most - len(good))
    redo = Redo(asset.name, [*bad, *good], swaps, gathered.goodness, gathered.objective.text())
    came = replay(place, redo, now)
    values = [each.value for each in came.outcomes]
    swap = next(iter(swaps[seen.run.id] for seen in bad), {})
    return Swapped(swap, tuple(values[: len(bad)]), tuple(values[len(bad) :]), came.why_not)


def _lately(gathered: Gathered) -> list[Seen]:
    """Good runs of the window itself: a swap puts nothing else into those of before. All, where it has none."""
    start_us = to_us(gathered.window.start)
    return [seen for seen in gathered.good if seen.run.served_us >= start_us] or list(gathered.good)


def swaps_of(place: Workplace, asset: Watched, gathered: Gathered, suspect: Suspect) -> dict[str, dict[str, str]]:
    """What stands in a node's place in each run that can be replayed so, by id of the run; empty: in none."""
    instead = _instead(place, suspect)
    runs = [*gathered.bad, *gathered.good]
    if instead:
        own = own_node(asset)
        owners = owners_of(asset)
        taking = [seen for seen in runs if suspect.node == own or _takes(seen, owners, suspect.node)]
        return {seen.run.id: {suspect.node: instead} for seen in taking}
    if suspect.node.startswith(_POINTED):
        return {}
    return _recorded(asset, gathered, suspect.node)


def _instead(place: Workplace, suspect: Suspect) -> str:
    """The version of the good runs, where it is another one than that of the bad ones; else the champion of before."""
    if not suspect.node.startswith((*_POINTED, _INDEX)):
        return ""
    if suspect.good and suspect.good != suspect.bad:
        return suspect.good
    if suspect.node.startswith(_INDEX):
        return ""
    with place.stores.ledger.read() as session:
        moves = [
            str(move.version)
            for move in session.pointers.history(asset_behind(suspect.node))
            if move.name == CHAMPION and move.version
        ]
    return next((each for each in reversed(moves) if each != moves[-1]), "") if moves else ""


def _takes(seen: Seen, owners: Mapping[str, str], node: str) -> bool:
    return any(node == each for step in seen.steps for each, _ in behind(step, owners))


def _recorded(asset: Watched, gathered: Gathered, node: str) -> dict[str, dict[str, str]]:
    """What a tool gave in good runs for the same arguments, where it gave something else in a bad one."""
    owners = owners_of(asset)
    known: dict[tuple[str, str], bytes] = {}
    for seen in gathered.good:
        for name, key, output, failed in _calls(seen, owners, node):
            if not failed:
                known[name, key] = output
    found: dict[str, dict[str, str]] = {}
    for seen in gathered.bad:
        swaps: dict[str, str] = {}
        for name, key, output, _ in _calls(seen, owners, node):
            before = known.get((name, key))
            if before is not None and value_of(before) != value_of(output):
                swaps.setdefault(name, before.decode(errors="replace"))
        if swaps:
            found[seen.run.id] = swaps
    return found


def _calls(seen: Seen, owners: Mapping[str, str], node: str) -> list[tuple[str, str, bytes, bool]]:
    """The calls of a node in a run: name, digest of the arguments, what it gave, whether it failed."""
    return [
        (step.node, digest_of(value_of(step.input)), step.output, bool(step.error) or step.state != "done")
        for step in seen.steps
        if step.kind in ("tool", "node") and owners.get(step.node, step.node) == node
    ]
