"""Wires agents and graphs of a project into a server: their store of runs, what they reach, who may answer what they ask people."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.project import Project
from perdure.core.settings import Settings

if TYPE_CHECKING:
    from perdure.core.ports import Replays
    from perdure.serve.runs.wiring import RunsDeclared
    from perdure.stores.ledger.protocols import Ledger
    from perdure.stores.ledger.sqlite import SqliteLedger


def runs_declared(
    root: Path, settings: Settings, project: Project, open_ledger: Callable[[], SqliteLedger]
) -> RunsDeclared | None:
    """What of a project runs; None where it declares no agent and no graph.

    Args:
        root: of the embedded stores.
        settings: of the project.
        project: what it declares.
        open_ledger: read-only.
    """
    if not project.agents and not project.graphs:
        return None
    from perdure.serve.runs.wiring import RunsDeclared
    from perdure.surface.compose_gateway import texts_mask
    from perdure.surface.compose_runs_kept import open_runs

    return RunsDeclared(
        agents=project.agents,
        graphs=project.graphs,
        teams=project.teams,
        open_runs=partial(open_runs, root, settings),
        open_ledger=open_ledger,
        mask=texts_mask(),
        env=os.environ,
        settings=settings.agents,
        check_role=partial(_check_role, settings),
        models=project.models,
        views=project.views,
        prompts=project.prompts,
        indexes=tuple(project.indexes),
    )


def make_replays(folder: Path, settings: Settings, project: Project, ledger: Ledger, actor: str) -> Replays:
    """What does recorded runs again, in this process.

    Args:
        folder: of the project.
        settings: of the project.
        project: what it declares.
        ledger: with versions.
        actor: who asks.
    """
    from perdure.assets.team import Team
    from perdure.serve.gateway.app import EVALS
    from perdure.stores.capture.segments import SegmentWriter
    from perdure.surface.compose import stores_root
    from perdure.surface.replaying_runs import ReplaysHere
    from perdure.surface.staging import StageParts

    root = stores_root(folder, settings)
    writer = partial(SegmentWriter, root / "capture", settings.capture)
    parts = StageParts(folder, root, settings, project, Team(EVALS), writer, os.environ)
    return ReplaysHere(parts, ledger, actor)


def _check_role(settings: Settings, actor: str, role: str) -> None:
    """See that a key, as `key:ID`, has a role; where none is declared every administrator's key has all.

    Raises:
        NotFound: roles are declared, and this is none of them.
        Refused: it has not the role.
    """
    from perdure.surface.governance.roles import People

    if settings.roles:
        People.of(settings).require(actor, role)
