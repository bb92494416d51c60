"""Values of runs as cells: numbers with their thousands apart, durations, states, and where a run or a version is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Tone
from perdure.surface.words import instant, number

if TYPE_CHECKING:
    from perdure.surface.console.board import Board

NONE = "–"
RUNS = ("Runs", "/training")
"""First crumb of every page here."""
_TONES: Mapping[str, Tone] = {"done": "good", "failed": "bad", "running": "info"}
_MOST = 200


def value(said: Any) -> str:
    """A parameter or a metric in words.

    >>> value(0.05), value(31), value(True), value(None), value("gbdt"), value([1, 2])
    ('0.05000', '31', 'yes', '–', 'gbdt', '[1, 2]')
    """
    if said is None:
        return NONE
    if isinstance(said, bool):
        return "yes" if said else "no"
    if isinstance(said, int | float):
        return number(said)
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST else f"{text[:_MOST]} …"


def took(seconds: float | None) -> str:
    """A duration with its unit.

    >>> took(0.21), took(75.0), took(7200.0), took(None)
    ('0.2 s', '1 min 15 s', '2 h 0 min', '–')
    """
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def when(at: datetime | None) -> Cell | str:
    """An instant; a dash where there is none."""
    return NONE if at is None else Cell(f"{instant(at)} UTC", at=at)


def status(name: str) -> Cell:
    """How a run ended, as a badge."""
    return Cell(name, tone=_TONES.get(name, "mute"))


def run_address(kind: str, run: str) -> str:
    """Where a run is shown: runs of suites have a page of their own.

    >>> run_address("train", "run_1"), run_address("eval", "run_2")
    ('/training/run_1', '/language/evals/run_2')
    """
    return address("/language/evals" if kind == "eval" else "/training", run)


def asset_cell(board: Board, asset: str) -> Cell:
    """An asset; with its page where the board knows it."""
    tile = board.by_name.get(asset)
    return Cell(asset, href=address("/assets", tile.kind, asset) if tile else "")


def version_cell(board: Board, asset: str, version: str) -> Cell | str:
    """A version; with its page where the board knows its asset."""
    if not version:
        return NONE
    tile = board.by_name.get(asset)
    return Cell(version, href=address("/assets", tile.kind, asset, "versions", version) if tile else "")
