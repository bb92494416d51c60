"""The kinds "agent" and "graph", whole: what compose registers. They differ in what they are made of, not in how they are kept healthy."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.loop.protocols import Kind, Looker, Watched
from perdure.loop.work.runs.causes import run_causes
from perdure.loop.work.runs.gates import run_gates
from perdure.loop.work.runs.handed import Handed
from perdure.loop.work.runs.reading import Reader
from perdure.loop.work.runs.remedies import run_remedies
from perdure.loop.work.runs.shadows import RunLoads, RunShadows
from perdure.loop.work.runs.signals import run_signals


def run_kind(name: str, assets: Sequence[Watched] = ()) -> Kind:
    """The kind "agent" or "graph" with all its recipes.

    Args:
        name: `agent` or `graph`.
        assets: everything that is watched.
    """
    reader = Reader()
    signals = {each: make() for each, make in run_signals(reader).items()}
    mine = [asset for asset in assets if asset.kind == name]
    lookers: tuple[Looker, ...] = (Handed(mine, assets),) if mine else ()
    gates = (*run_gates(reader), RunShadows(), RunLoads())
    return Kind(name, signals, run_causes(reader), run_remedies(reader, assets), gates, lookers)
