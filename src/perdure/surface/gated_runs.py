"""Releases of agents and graphs that runs must prove first: where runs of what answers are recorded, another version is held against them.

Asked by `apply`. Without recorded runs there is nothing to hold a version against, and it is released as it is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.surface.gated import Gated

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.version import Pointer
    from perdure.loop.protocols import Workplace


def owed_replays(place: Workplace, project: Project, move: Pointer, champion: str | None) -> Gated | None:
    """The move as one that replays must prove; None where it may happen at once."""
    if champion is None or move.asset not in {**project.agents, **project.graphs} or place.open_replays is None:
        return None
    from perdure.loop.work.captured_runs import read_runs
    from perdure.loop.work.runs.gates import LEAST

    runs = read_runs(place.stores.lake, move.asset, None, None, ["version", "arm"])
    if int(((runs["version"] == champion) & (runs["arm"] != "shadow")).sum()) < LEAST:
        return None
    return Gated(move, champion, (), project.kind_of(move.asset))
