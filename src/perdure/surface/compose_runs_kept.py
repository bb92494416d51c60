"""Wires where runs of agents and graphs are kept: their store, who prunes it, and who sends their spans."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.settings import Settings
from perdure.core.units import days

if TYPE_CHECKING:
    from perdure.loop.pruning import RunPruning
    from perdure.loop.telemetry import RunTelemetry
    from perdure.stores.runs.sqlite import SqliteRuns

_FILE = "runs.db"


def open_runs(root: Path, settings: Settings) -> SqliteRuns:
    """The store of runs, made where it is missing; whoever opens it closes it.

    Args:
        root: of the project's stores.
        settings: with the project's name.
    """
    from perdure.stores.runs.sqlite import SqliteRuns

    return SqliteRuns(root / _FILE, project=settings.project.name)


def find_runs(root: Path, settings: Settings) -> SqliteRuns | None:
    """The store of runs; None where no run was ever begun."""
    return open_runs(root, settings) if (root / _FILE).exists() else None


def make_run_pruning(root: Path, settings: Settings) -> RunPruning:
    """Who removes runs that ended long ago."""
    from perdure.loop.pruning import RunPruning

    def opened() -> AbstractContextManager[SqliteRuns] | None:
        runs = find_runs(root, settings)
        return None if runs is None else closing(runs)

    return RunPruning(opened, days(settings.agents.keep_days))


def make_run_telemetry(settings: Settings) -> RunTelemetry | None:
    """What sends spans of runs; None where no collector is set.

    Raises:
        MissingExtra: one is set, and OpenTelemetry's libraries are not installed.
    """
    if not settings.telemetry.otlp_url:
        return None
    from perdure.loop.telemetry import RunTelemetry
    from perdure.surface.otlp import OtlpSender

    sender = OtlpSender(settings.telemetry, os.environ, settings.project.name)
    return RunTelemetry(sender, timeout_s=settings.telemetry.timeout_s)
