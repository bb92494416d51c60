"""What gates said of a prompt's versions: in the chain, of every change that `perdure apply` or the loop proved.

A run of a suite that a gate asked for carries no verdict of its own: the gate's entry names the run, and says what it found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.loop.repair import VERIFIED
from perdure.stores.ledger.protocols import LedgerSession
from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Tone

_LOOKED_AT = 100
"""Newest proofs of an asset that are read: an index finds them."""
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "equivalent": "info", "not enough evidence": "warn"}


@dataclass(frozen=True, slots=True)
class Word:
    """What one gate said of one version."""

    at: datetime
    candidate: str
    gate: str
    passed: bool
    comparison: str
    text: str
    found: tuple[tuple[str, str], ...]
    """Run of a suite that it rests on, and what that run found."""


def words_of(session: LedgerSession, asset: str) -> tuple[Word, ...]:
    """What gates said lately of versions of an asset, newest first."""
    entries = session.audit.list(subject=asset, actions=(VERIFIED,), newest=True, limit=_LOOKED_AT)
    return tuple(word for entry in entries for word in _words(entry.at, entry.facts))


def _words(at: datetime, facts: Any) -> Iterator[Word]:
    for trial in facts.get("trials", ()):
        for each in trial.get("verdicts", ()):
            suites = (each.get("evidence") or {}).get("suites") or {}
            found = tuple((str(one.get("results", "")), str(one.get("comparison", ""))) for one in suites.values())
            yield Word(
                at, trial["candidate"], each["gate"], bool(each["passed"]), str(each["comparison"]), each["text"], found
            )


def comparison_in(words: tuple[Word, ...], run: str) -> str:
    """What a run found by the gate that asked for it; empty where none did."""
    return next((said for word in words for results, said in word.found if results == run), "")


def said_of(words: tuple[Word, ...], version: str) -> Cell | str:
    """The newest proof of a version in one cell: passed, or what stopped it, with the way to its cases; empty where none was made."""
    mine = [word for word in words if word.candidate == version]
    if not mine:
        return ""
    last = [word for word in mine if word.at == mine[0].at]
    stopped = [word for word in last if not word.passed]
    word = (stopped or last)[0]
    run = next((results for results, _ in word.found if results), "")
    to = address("/language/evals", run) if run else ""
    return Cell(
        f"stopped: {word.comparison}" if stopped else "passed",
        href=to,
        hint=word.text,
        tone="bad" if stopped else "good",
    )
