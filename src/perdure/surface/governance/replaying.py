"""Decides again, from the ledger alone, and compares byte for byte with what was decided then.

A decision that comes out otherwise was changed behind the ledger's back, or was made by code that
decides otherwise: the entry says which code that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from perdure.core.canonical import bytes_hash, canonical_json
from perdure.core.errors import Refused
from perdure.surface.governance.entries import entries
from perdure.surface.governance.story import DECIDED

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry, LedgerSession
    from perdure.surface.governance.story import Story


@dataclass(frozen=True, slots=True)
class Replayed:
    """Decisions that were made again."""

    n: int
    n_equal: int
    codes: Sequence[str]
    """Versions of the code that decided then."""

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.n} decision{'' if self.n == 1 else 's'}, every one equal"


def replay(session: LedgerSession, story: Story) -> Replayed:
    """Make every decision of a story again.

    Raises:
        Refused: one differs, or its entry does not fit its own hash; the message names the first.
    """
    wanted = {decision.sequence for decision in story.decisions}
    subjects = dict.fromkeys(decision.asset for decision in story.decisions)
    found = {
        entry.sequence: entry for subject in subjects for entry in entries(session, subject=subject, actions=(DECIDED,))
    }
    made = [found[sequence] for sequence in sorted(wanted)]
    for entry in made:
        _decide_again(entry)
    return Replayed(len(made), len(made), sorted({str(entry.facts.get("code", "")) for entry in made}))


def replay_all(session: LedgerSession) -> Replayed:
    """Make every decision of the project again.

    Raises:
        Refused: one differs, or its entry does not fit its own hash; the message names the first.
    """
    made = list(entries(session, actions=(DECIDED,)))
    for entry in made:
        _decide_again(entry)
    return Replayed(len(made), len(made), sorted({str(entry.facts.get("code", "")) for entry in made}))


def _decide_again(entry: AuditEntry) -> None:
    from perdure.loop.decide import decide
    from perdure.loop.situation import situation_from, to_bytes
    from perdure.stores.ledger.chain import entry_hash

    then = canonical_json(entry.facts["decision"])
    if entry_hash(entry) != entry.hash:
        raise _differs(entry, "was changed after it was written: it does not fit its own hash")
    try:
        now = to_bytes(decide(situation_from(entry.facts["situation"])))
    except (msgspec.ValidationError, KeyError) as error:
        raise _differs(entry, f"rests on a situation that this version cannot read ({error})") from error
    if now != then:
        raise _differs(entry, f"comes out otherwise: {_first_difference(then, now)}")
    if bytes_hash(then) != entry.facts.get("digest", bytes_hash(then)):
        raise _differs(entry, "does not fit the digest that it was recorded with")


def _differs(entry: AuditEntry, what: str) -> Refused:
    return Refused(
        f"Decision {entry.sequence} on {entry.subject}, made at {entry.facts['situation'].get('now', entry.at)}, {what}.",
        hint="perdure ledger verify tells whether the chain was changed; the code that decided then is "
        f"{entry.facts.get('code', 'not known')}.",
        sequence=entry.sequence,
        subject=entry.subject,
        code=entry.facts.get("code", ""),
    )


def _first_difference(then: bytes, now: bytes) -> str:
    """The parts of two canonical texts around the first byte that differs."""
    at = next((i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now)))
    start = max(0, at - 20)
    part = slice(start, at + 40)
    return f"then …{then[part].decode(errors='replace')}… now …{now[part].decode(errors='replace')}…"
