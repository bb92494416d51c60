"""Instants, facts and links as the pages of the ledger show them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Tone
from perdure.surface.words import instant

NONE = "–"
LEDGER = ("Ledger", "/ledger")
"""First crumb of every page here."""


def when(at: datetime | None) -> Cell | str:
    """An instant; a dash where there is none."""
    return NONE if at is None else Cell(f"{instant(at)} UTC", at=at)


def pretty(facts: Any, most: int) -> tuple[str, bool]:
    r"""Facts as JSON over several lines, and whether they were cut at `most` characters.

    >>> pretty({"a": 1}, 100)
    ('{\n  "a": 1\n}', False)
    """
    text = json.dumps(facts, ensure_ascii=False, indent=2, default=str)
    return (text, False) if len(text) <= most else (text[:most], True)


def tone(action: str, facts: Mapping[str, Any]) -> Tone | None:
    """What an entry's action says of health: most say nothing."""
    if action in ("incidents.open", "quarantine.open", "alerts.failed") or facts.get("intact") is False:
        return "bad"
    if action in ("incidents.close", "quarantine.close", "alerts.delivered") or facts.get("intact") is True:
        return "good"
    return "info" if action == "pointers.set" else None


def entry_address(sequence: int) -> str:
    """Where an entry is shown."""
    return address("/ledger", str(sequence))
