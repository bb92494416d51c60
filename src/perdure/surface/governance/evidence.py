"""The evidence pack of an incident: a folder that tells the story and can be checked without trusting who made it.

    explain.md      the story in words
    entries.json    every entry of the audit chain that speaks of it, hashes included
    verdicts.json   what each gate said of each candidate
    card.md         the model's card, where the asset is a model
    manifest.json   the digest of each file, and the chain's head when the pack was made

Each entry carries its own hash and that of the one before it. So a changed file no longer fits the
manifest, a changed entry no longer fits its hash, and an entry that was made up is not in the ledger,
whose chain must lead from it to the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.canonical import bytes_hash, plain
from perdure.core.errors import BadRequest, Corrupt, NotFound
from perdure.surface.governance.entries import entries
from perdure.surface.governance.telling import markdown

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry, Ledger, LedgerSession
    from perdure.surface.governance.story import Story

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was written, or checked."""

    folder: Path
    incident: str
    files: Sequence[str]
    n_entries: int
    sequence: int
    """Of the chain's newest entry when the pack was made."""
    head: str
    """Its hash: noted elsewhere, it binds the pack to the ledger."""


def write_pack(ledger: Ledger, story: Story, card: str | None, folder: Path) -> Pack:
    """Write a story's evidence into a folder that is empty or not there yet.

    Raises:
        BadRequest: the folder holds something, or the story is of no incident.
        Corrupt: the chain is broken: what it says is no evidence.
    """
    if story.incident is None:
        raise BadRequest(f"{story.asset} has no incident.", hint="perdure incidents --all lists them.")
    if folder.exists() and any(folder.iterdir()):
        raise BadRequest(f"The folder {folder} is not empty.", hint="Give a new one by --out.")
    with ledger.read() as session:
        concerned = _concerned(session, story)
    chain = ledger.verify()
    if not chain.intact:
        raise Corrupt(f"No evidence from a broken chain: {chain.text}", hint="perdure ledger verify tells where.")
    verdicts = [{"sequence": each.sequence, **each.facts} for each in story.verdicts]
    files = {
        "explain.md": markdown(story).encode(),
        "entries.json": _json(concerned),
        "verdicts.json": _json(verdicts),
        **({"card.md": card.encode()} if card else {}),
    }
    manifest = {
        "incident": story.incident.id,
        "asset": story.asset,
        "project": concerned[0].project if concerned else "",
        "chain": {"sequence": chain.n_entries, "head": chain.head},
        "n_entries": len(concerned),
        "files": {name: bytes_hash(content) for name, content in files.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, MANIFEST: _json(manifest)}.items():
        (folder / name).write_bytes(content)
    return Pack(folder, story.incident.id, [*files, MANIFEST], len(concerned), chain.n_entries, chain.head)


def check_pack(ledger: Ledger, folder: Path) -> Pack:
    """Check a pack against itself and against the ledger.

    Raises:
        NotFound: there is no pack.
        Corrupt: a file, an entry or the chain does not fit; the message says which.
    """
    if not (folder / MANIFEST).is_file():
        raise NotFound(f"There is no {MANIFEST} in {folder}.", hint="Give the folder of an evidence pack.")
    manifest = _read(folder / MANIFEST)
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file() or bytes_hash((folder / name).read_bytes()) != digest:
            raise Corrupt(f"{name} is not the file that the pack was made with.", hint="Ask for the pack again.")
    told = _read(folder / "entries.json")
    chain = ledger.verify()
    if not chain.intact:
        raise Corrupt(f"The ledger's chain is broken: {chain.text}", hint="perdure ledger verify tells where.")
    with ledger.read() as session:
        for entry in told:
            kept = _at(session, entry["sequence"])
            if kept is None or plain(kept) != entry:
                raise Corrupt(
                    f"Entry {entry['sequence']} of the pack is not the one in the ledger.",
                    hint="One of them was changed.",
                )
        newest = _at(session, manifest["chain"]["sequence"])
    if newest is not None and newest.hash != manifest["chain"]["head"]:
        raise Corrupt("The chain's head in the pack is not in the ledger.", hint="One of them was rewritten.")
    files, at = [*manifest["files"], MANIFEST], manifest["chain"]
    return Pack(folder, manifest["incident"], files, len(told), at["sequence"], at["head"])


def _concerned(session: LedgerSession, story: Story) -> list[AuditEntry]:
    """Entries that name the incident, one of its jobs or approvals, and the releases of the asset meanwhile."""
    assert story.incident is not None
    jobs = {move.job for move in story.moves} | set(story.incident.facts.get("jobs", ()))
    names = {story.incident.id, *jobs, *(each.id for each in story.approvals)}
    moved = {move.sequence for move in story.moves}
    told = {each.sequence for each in (*story.decisions, *story.verdicts, *story.outcomes)}
    about = dict.fromkeys([story.asset, *story.incident.facts.get("affects", ())])
    found: dict[int, AuditEntry] = {}
    for subject in about:
        for entry in entries(session, subject=subject):
            if entry.sequence in moved | told or names & _names(entry.facts):
                found[entry.sequence] = entry
    return [found[sequence] for sequence in sorted(found)]


def _names(value: Any) -> set[str]:
    """Every text in an entry's facts, at any depth."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        return {name for each in value.values() for name in _names(each)}
    if isinstance(value, list | tuple):
        return {name for each in value for name in _names(each)}
    return set()


def _at(session: LedgerSession, sequence: int) -> AuditEntry | None:
    found = session.audit.list(after=sequence - 1, limit=1)
    return found[0] if found and found[0].sequence == sequence else None


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2) + b"\n"


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise Corrupt(f"{path.name} cannot be read: {error}", hint="Ask for the pack again.") from error
