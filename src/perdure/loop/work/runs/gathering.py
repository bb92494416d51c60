"""What speaks about blame without a replay: runs that went badly, runs that went well, and how each node did in both.

Causes call it in every diagnosis, so it is cheap: it reads journals that signals have read already, and those of the time before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.assets.health import Finding, State
from perdure.assets.objective import Objective
from perdure.core.units import days
from perdure.engines.agents.blame import LEAST, Suspect, few, suspects
from perdure.engines.agents.nodes import NodeSeen, nodes_of
from perdure.loop.incidents import find_incident
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.runs.outcomes import WELL, Goodness, goodness_of
from perdure.loop.work.runs.reading import Reader, Seen, Window
from perdure.loop.work.runs.signals import SIGNALS
from perdure.loop.work.runs.watched import Working, asset_behind, own_node, owners_of

BEFORE = 7
"""So many windows before the one that broke hold the runs that it is held against, a day at least."""
MOST = 300
"""Runs of each sort that are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What broke, the runs on both sides, and who is suspected."""

    finding: Finding
    objective: Objective
    goodness: Goodness
    window: Window
    bad: Sequence[Seen]
    good: Sequence[Seen]
    n_runs: int
    """Of the window, as far as something says how well they did."""
    suspects: Sequence[Suspect]

    @property
    def few(self) -> list[Suspect]:
        """Those that are worth a replay."""
        return few(self.suspects)

    @property
    def enough(self) -> bool:
        """Whether there are runs enough to compare."""
        return min(len(self.bad), len(self.good)) >= LEAST


def worst(asset: Watched, findings: Sequence[Finding]) -> tuple[Finding, Objective] | None:
    """What is broken, by the order of harm: success first, time and money last; None: nothing of these kinds' own is."""
    broken = [
        (SIGNALS.index(objective.spec.signal), place, finding, objective)
        for place, finding in enumerate(findings)
        for objective in asset.healthy
        if finding.state is State.BROKEN and finding.objective == objective.text() and objective.spec.signal in SIGNALS
    ]
    if not broken:
        return None
    _, _, finding, objective = min(broken, key=lambda each: (each[0], each[1]))
    return finding, objective


def gather(
    place: Workplace, reader: Reader, asset: Watched, findings: Sequence[Finding], now: datetime
) -> Gathered | None:
    """The evidence about what broke; None where nothing did, or nothing answers."""
    found = worst(asset, findings)
    if found is None:
        return None
    finding, objective = found
    window = reader.window(place, asset, objective.spec.over, now)
    if window is None:
        return None
    goodness = goodness_of(asset, objective)
    inside = [(seen, goodness.of(seen)) for seen in reader.runs(place, asset, window)]
    judged = [(seen, value) for seen, value in inside if value is not None]
    bad = [seen for seen, value in judged if value < WELL]
    good = [seen for seen, value in judged if value >= WELL]
    good = [*_before(place, reader, asset, goodness, window, objective), *good]
    bad, good = spread(bad, MOST), spread(good, MOST)
    goodness = goodness_of(asset, objective, good)
    ranked = suspects(_journals(asset, good), _journals(asset, bad), _ill(place, asset, [*bad, *good]))
    return Gathered(finding, objective, goodness, window, bad, good, len(judged), ranked)


def _before(
    place: Workplace, reader: Reader, asset: Watched, goodness: Goodness, window: Window, objective: Objective
) -> list[Seen]:
    """Runs of the time before that went well, by whichever version."""
    earlier = Window(window.start - max(BEFORE * objective.spec.over, days(1)), window.start)
    return [seen for seen in reader.earlier(place, asset, earlier, window.end) if (goodness.of(seen) or 0.0) >= WELL]


def spread(runs: Sequence[Seen], most: int) -> list[Seen]:
    """At most so many, at equal distances, the newest among them.

    >>> spread(list(range(10)), 3)
    [3, 6, 9]
    """
    if len(runs) <= most:
        return list(runs)
    if most < 1:
        return []
    step = len(runs) / most
    return [runs[len(runs) - 1 - int(place * step)] for place in range(most)][::-1]


def _journals(asset: Watched, runs: Sequence[Seen]) -> list[dict[str, NodeSeen]]:
    owners, own = owners_of(asset), own_node(asset)
    return [nodes_of(seen.steps, owners, own, seen.run.version) for seen in runs]


def _ill(place: Workplace, asset: Watched, runs: Sequence[Seen]) -> dict[str, str]:
    """Nodes whose asset, or whose source, has an open incident of its own."""
    given = asset.declaration
    sources = given.sources if isinstance(given, Working) else {}
    nodes = {node for seen in runs for step in seen.steps for node in step.versions}
    found = {}
    with place.stores.ledger.read() as session:
        for node in sorted(nodes):
            name = asset_behind(node) or sources.get(node.partition(":")[2], "")
            incident = find_incident(session, name) if name and name != asset.name else None
            if incident is not None:
                found[node] = f"{name} has an open incident ({incident.kind.replace('_', ' ')})"
    return found
