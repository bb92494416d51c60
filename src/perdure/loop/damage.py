"""Losses and damage become incidents: captured events that are gone, blobs that a release needs and that are gone.

The drain reports inside its own transaction, the one that says a batch is done: so a batch that is
done again after a crash is told once. A round looks for the blobs of every version that a pointer
names; a blob that did not match its digest was set aside by whoever read it, and is missing since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.assets.version import Version
from perdure.core.clock import from_us, iso
from perdure.core.ids import Digest
from perdure.loop.protocols import Workplace
from perdure.stores.capture.events import Lost
from perdure.stores.ledger.protocols import Incident, Lease, LedgerSession

CAPTURE = "capture"
"""The asset that incidents of captured events are opened on."""
CAPTURE_LOSS = "capture_loss"
CAPTURE_CORRUPT = "capture_corrupt"
BLOB_MISSING = "blob_missing"
_SHOWN = 20
"""Places listed in an incident; the audit has all."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes `start <= offset < end` of a segment that hold no event.

    `torn` is the unfinished last frame of a writer that died: it was never acknowledged. `corrupt`
    bytes do not match their checksum; they were set aside. `missing` bytes went with their segment,
    which somebody removed before it was drained.
    """

    segment: str
    start: int
    end: int
    kind: str


def report_captures(
    session: LedgerSession, batch: int, losses: Sequence[Lost], damages: Sequence[Damage]
) -> tuple[Incident, ...]:
    """Open an incident for losses and one for damages, where none is open; returns those that were opened.

    Every loss and damage is in the audit as well: an incident that is open already keeps its first summary.
    """
    if not losses and not damages:
        return ()
    known = {incident.id for incident in session.incidents.list(open_only=True)}
    found = []
    if losses:
        found.append(session.incidents.open(CAPTURE, CAPTURE_LOSS, _loss_text(losses), _loss_facts(losses)))
    if damages:
        found.append(session.incidents.open(CAPTURE, CAPTURE_CORRUPT, _damage_text(damages), _damage_facts(damages)))
    for loss in losses:
        session.audit.append("capture.lost", loss.process, {**_loss_facts([loss]), "batch": batch})
    for damage in damages:
        facts = {"start": damage.start, "end": damage.end, "batch": batch}
        session.audit.append(f"capture.{damage.kind}", damage.segment, facts)
    return tuple(incident for incident in found if incident.id not in known)


def _loss_facts(losses: Sequence[Lost]) -> dict[str, Any]:
    return {
        "n": sum(loss.n for loss in losses),
        "n_refused": sum(loss.n_refused for loss in losses),
        "first_recorded_at": iso(from_us(min(loss.first_us for loss in losses))),
        "last_recorded_at": iso(from_us(max(loss.recorded_us for loss in losses))),
        "processes": sorted({loss.process for loss in losses}),
    }


def _loss_text(losses: Sequence[Lost]) -> str:
    facts = _loss_facts(losses)
    text = (
        f"{facts['n']} captured events could not be written between {facts['first_recorded_at']} and "
        f"{facts['last_recorded_at']} (machine time) by {', '.join(facts['processes'])}: no room, or a failing disk."
    )
    refused = facts["n_refused"]
    return f"{text} {refused} of them were labels, whose senders were told to send them again." if refused else text


def _damage_facts(damages: Sequence[Damage]) -> dict[str, Any]:
    places = [
        {"segment": damage.segment, "start": damage.start, "end": damage.end, "kind": damage.kind} for damage in damages
    ]
    n_bytes = sum(damage.end - damage.start for damage in damages)
    return {"n": len(damages), "n_bytes": n_bytes, "places": places[:_SHOWN]}


def _damage_text(damages: Sequence[Damage]) -> str:
    facts = _damage_facts(damages)
    n_missing = sum(damage.kind == "missing" for damage in damages)
    parts = []
    if len(damages) > n_missing:
        parts.append(f"{len(damages) - n_missing} do not match their checksum and were set aside in corrupt/")
    if n_missing:
        parts.append(f"{n_missing} went with a segment that was removed")
    return f"{facts['n']} stretches of captured events ({facts['n_bytes']} bytes) cannot be read: {'; '.join(parts)}."


def report_blobs(place: Workplace, now: datetime, lease: Lease, seen: dict[str, Version]) -> list[Incident]:
    """Open an incident for each asset with a pointer to a version whose blobs are not all there; close what is whole.

    Returns the incidents that were opened. Cost: one look at the file system a blob; the ledger is
    written only when something changed.

    Args:
        place: where to look.
        now: domain time.
        lease: held by who looks.
        seen: versions that pointers named when it was last called, by id; kept up to date here. They never change.

    Raises:
        LostLease: another worker took over.
    """
    missing = _missing_blobs(place, seen)
    with place.stores.ledger.read() as session:
        known = {each.asset: each for each in session.incidents.list(open_only=True) if each.kind == BLOB_MISSING}
    if known.keys() == missing.keys():
        return []
    with place.stores.ledger.transaction(actor=place.actor, at=now, reason="look for blobs", lease=lease) as session:
        for asset in known.keys() - missing.keys():
            session.incidents.close(known[asset].id, "Every blob is there again, or is not needed any more.")
        return [
            session.incidents.open(asset, BLOB_MISSING, _blobs_text(missing[asset]), {"blobs": missing[asset]})
            for asset in sorted(missing.keys() - known.keys())
        ]


def _missing_blobs(place: Workplace, seen: dict[str, Version]) -> dict[str, list[Mapping[str, str]]]:
    """What is missing of the versions that a pointer names, by asset."""
    with place.stores.ledger.read() as session:
        names = {pointer.version for pointer in session.pointers.list()}
        versions = {name: seen[name] if name in seen else session.registry.get_version(name) for name in names}
    seen.clear()
    seen.update(versions)
    missing: dict[str, list[Mapping[str, str]]] = {}
    for name, version in sorted(versions.items()):
        for role, digest in sorted(version.artifacts.items()):
            if not place.stores.blobs.has(Digest(digest)):
                missing.setdefault(version.asset, []).append({"version": name, "role": role, "digest": digest})
    return missing


def _blobs_text(missing: Sequence[Mapping[str, str]]) -> str:
    listed = ", ".join(f"{blob['role']} of {blob['version']}" for blob in missing)
    return (
        f"A blob that a release needs is gone, or was set aside as corrupt: {listed}. "
        "Restore it from a backup, or train again and release that."
    )
