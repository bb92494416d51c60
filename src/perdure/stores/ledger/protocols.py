"""The ledger's Protocols: several roles over one transaction, and leases beside them.

A transaction is atomic and durable when it returns (FULL sync). Every write of registry, pointers,
incidents and runs also appends to the audit chain in the same transaction, so a record without its
history cannot exist. Readers see a consistent snapshot and never wait for a writer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from perdure.assets.version import Pointer, PointerMove, Version
from perdure.stores.ledger.people_protocols import Persons
from perdure.stores.ledger.work_protocols import Job, Jobs, JobStep, Run, RunLine, Runs


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """A declared asset as the ledger knows it: its newest definition and that definition's digest."""

    kind: str
    name: str
    digest: str
    definition: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Incident:
    """An open stretch of ill health of one asset; `closed_at` None while it lasts."""

    id: str
    asset: str
    kind: str
    """What broke, such as `capture_loss`; one open incident an asset and kind."""
    summary: str
    opened_at: datetime
    closed_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    closing: str = ""
    """How it ended; empty while it lasts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's yes or no."""

    actor: str
    approves: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to people of a role, and their answers. A second answer of one person changes nothing."""

    id: str
    asset: str
    key: str
    """Asked once under a key."""
    text: str
    role: str
    n_needed: int
    """Different people who must say yes."""
    asked_by: str
    """May not answer where more than one yes is needed."""
    asked_at: datetime
    status: str
    """`open`, `approved`, `rejected` or `withdrawn`."""
    answers: tuple[Answer, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The evidence that the people see."""


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key of the gateway, as far as it is kept: its secret's hash, never the secret."""

    id: str
    team: str
    digest: str
    """SHA-256 of the secret, as hex: the secret has 256 random bits, so no slow hash is needed."""
    label: str
    """What a person calls it."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    admin: bool = False
    """Its holder answers for the gateway: one is needed before the server is reached from outside."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Of this key alone, beside its team's: `requests`, `tokens`, `concurrency`, `budgets`; JSON-compatible."""
    actor: str = "local"


ReviewStatus = Literal["open", "done", "accepted", "dropped"]
"""`accepted`: its case was taken into a suite."""


@dataclass(frozen=True, slots=True)
class ReviewLabel:
    """What one person says of a case."""

    review: str
    labeller: str
    value: float
    """0 to 1: 1 is good; of a pair 1 where the first is better, 0.5 a tie."""
    at: datetime
    """Domain time."""
    word: str = ""
    """As it stands on the judge's scale."""
    note: str = ""
    source: str = ""
    """`cli`, `sdk`, `feedback` …"""


@dataclass(frozen=True, slots=True)
class Review:
    """A case that people are asked to label, with what they said."""

    id: str
    subject: str
    """Name of the judge or suite that it is for."""
    key: str
    """Asked once under a subject and key."""
    case: str
    """Digest of the blob that holds it."""
    why: str
    """`drawn`, `incident`, `flip`, `feedback`, `disputed`, `by_hand`, `synthetic`, `searched` or `outdated`."""
    asked_at: datetime
    """Domain time."""
    inclusion: float | None = None
    """With which probability it was drawn; None: chosen by hand, so that no estimate may rest on it."""
    status: ReviewStatus = "open"
    labels: tuple[ReviewLabel, ...] = ()
    """One a person, by time."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the judge said of it then, and by which version; JSON-compatible, without texts."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the chain: `hash` is the content hash of every other field, `previous` included.

    `subject` names what was changed; several assets are separated by commas. `facts["records"]`
    lists the digests of the records that the entry wrote: so a record changed behind the ledger's
    back is found too.
    """

    sequence: int
    at: datetime
    recorded_at: datetime
    project: str
    actor: str
    action: str
    subject: str
    reason: str
    facts: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Outcome of verifying the chain. `broken_at` is the first wrong sequence number, or None."""

    n_entries: int
    broken_at: int | None
    text: str
    head: str = ""
    """Hash of the newest entry. Noted elsewhere, it reveals even a chain that was rewritten as a whole."""

    @property
    def intact(self) -> bool:
        """True when every link fits."""
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to work on `name` until it expires; `epoch` grows with every new holder."""

    name: str
    owner: str
    epoch: int


class Registry(Protocol):
    """Assets and their versions. Versions are immutable: putting an equal one again is a no-op."""

    def put_asset(self, kind: str, name: str, definition: Mapping[str, Any]) -> AssetRecord: ...
    def list_assets(self, kind: str | None = None) -> list[AssetRecord]: ...
    def put_version(self, version: Version) -> Version:
        """The version as stored. One that is there already stays as it is, its first metrics and instant too.

        :raises Refused: the id is taken by a version of other content.
        """
        ...

    def get_version(self, version_id: str) -> Version:
        """:raises NotFound: no such version; the message names the nearest."""
        ...

    def list_versions(self, asset: str, *, limit: int | None = None) -> list[Version]:
        """Oldest first; with `limit` only so many of the newest. Cost: some 130 µs each."""
        ...

    def find_artifact(self, digest: str) -> str | None:
        """Id of a version that holds this blob digest, or None: then it is not to be trusted."""
        ...


class Pointers(Protocol):
    """Named aliases. A set of moves happens as one event under one sequence number."""

    def set(
        self,
        pointers: Sequence[Pointer],
        *,
        remove: Sequence[tuple[str, str]] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> int:
        """Point, and take the pointers in `remove` (asset, name) away, as one move; returns the new generation.

        Pointers that already stand so, or are gone already, are left alone; when all do, nothing is written and the
        present generation returned, so a step that is done twice moves once. `facts` are the
        evidence, kept with each move.

        :raises NotFound: a version that does not exist, or is not of that asset.
        :raises DeclarationError: a share outside 0 to 1, or one pointer twice.
        """
        ...

    def remove(self, asset: str, name: str) -> int:
        """Take the pointer away; its history stays. Returns the new generation.

        :raises NotFound: no such pointer.
        """
        ...

    def history(self, asset: str) -> list[PointerMove]:
        """Every move, oldest first; nothing is ever overwritten."""
        ...

    def generation(self) -> int:
        """Sequence number of the newest move of any pointer; 0 when none."""
        ...

    def list(self, asset: str | None = None) -> list[Pointer]: ...


class Incidents(Protocol):
    """Open and closed incidents."""

    def open(self, asset: str, kind: str, summary: str, facts: Mapping[str, Any]) -> Incident:
        """Opens, or returns the one already open for this asset and kind."""
        ...

    def update(
        self, incident_id: str, *, kind: str | None = None, summary: str | None = None, facts: Mapping[str, Any]
    ) -> Incident:
        """Replace kind and summary, where given, and merge facts into an open incident's; equal ones change nothing.

        A kind that another open incident of the asset has is not taken on: `open` finds one by both.

        :raises NotFound: no such incident.
        :raises Refused: it is closed.
        """
        ...

    def close(self, incident_id: str, summary: str) -> Incident:
        """Close with how it ended; an incident that is closed already stays as it is.

        :raises NotFound: no such incident.
        """
        ...

    def get(self, incident_id: str) -> Incident:
        """:raises NotFound: no such incident."""
        ...

    def list(self, *, open_only: bool = False, asset: str | None = None, limit: int | None = None) -> list[Incident]:
        """In the order in which they were opened; with `limit` only so many of the newest."""
        ...


class Approvals(Protocol):
    """Questions to people, which wait for days without a process."""

    def ask(self, approval: Approval) -> Approval:
        """Keep an open question; the one that was asked under its key already is returned."""
        ...

    def answer(self, approval_id: str, answer: Answer) -> Approval:
        """Add one person's answer; one no rejects, enough yeses approve, a second answer of one person changes nothing.

        Whether the person has the role is the caller's to check.

        :raises NotFound: no such question.
        :raises Refused: it is decided already, or who asked may not answer.
        """
        ...

    def withdraw(self, approval_id: str) -> Approval:
        """The question is moot; one that is decided stays as it is."""
        ...

    def get(self, approval_id: str) -> Approval:
        """:raises NotFound: no such question."""
        ...

    def list(self, *, asset: str | None = None, open_only: bool = False) -> list[Approval]:
        """In the order in which they were asked."""
        ...


class Keys(Protocol):
    """Callers' keys. Issuing and revoking are in the audit chain, without the secret's digest."""

    def put(self, key: Key) -> Key:
        """Insert, or replace the earlier state of that id; an equal one changes nothing.

        Team, digest, instant and actor of a key never change, and a revocation is for good.

        :raises DeclarationError: the digest is not 64 hex digits in lower case.
        :raises Refused: another key has this digest, or what would change is fixed.
        """
        ...

    def get(self, key_id: str) -> Key:
        """:raises NotFound: no such key."""
        ...

    def list(self, *, team: str | None = None) -> list[Key]:
        """In the order in which they were issued, revoked ones too."""
        ...

    def generation(self) -> int:
        """Sequence number of the newest change of any key; 0 when there is none."""
        ...


class Reviews(Protocol):
    """Cases that people label. What they say is never lost: each label is in the audit chain, replaced ones too."""

    def ask(self, asked: Sequence[Review]) -> list[Review]:
        """Put cases into the queue; one that its subject was asked under the same key already is returned as it stands.

        :raises DeclarationError: a case is no digest, a probability is not above 0 and at most 1, or it is labelled already.
        :raises Refused: an id is taken by another case.
        """
        ...

    def label(self, labels: Sequence[ReviewLabel]) -> list[Review]:
        """Keep what people said; an equal label of one person changes nothing, another one replaces theirs.

        :raises NotFound: no such review.
        :raises DeclarationError: a value outside 0 to 1, or nobody said it.
        :raises Refused: the review is over.
        """
        ...

    def close(self, review_id: str, status: ReviewStatus) -> Review:
        """End a review; one that is so already stays so.

        :raises NotFound: no such review.
        """
        ...

    def get(self, review_id: str) -> Review:
        """:raises NotFound: no such review."""
        ...

    def list(
        self, *, subject: str | None = None, status: ReviewStatus | None = None, limit: int | None = None
    ) -> list[Review]:
        """With their labels, in the order in which they were asked; with `limit` only so many of the newest."""
        ...


class Cursors(Protocol):
    """Small JSON values by name: watermarks and the drain's intents. Not part of the audit chain."""

    def get(self, name: str) -> Any | None: ...
    def put(self, name: str, value: Any) -> None: ...
    def put_all(self, values: Mapping[str, Any]) -> None:
        """Many values by name in few statements."""
        ...

    def list(self, prefix: str) -> dict[str, Any]:
        """In order of their names, those that begin with the prefix; all of them with an empty one."""
        ...


class Audit(Protocol):
    """The hash-chained log."""

    def append(self, action: str, subject: str, facts: Mapping[str, Any]) -> AuditEntry:
        """Add an entry of one's own, such as a decision with its evidence.

        :raises DeclarationError: `facts` has the key `records`, which is the ledger's, or no canonical form.
        """
        ...

    def list(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 1000,
        subject: str | None = None,
        actions: Sequence[str] = (),
        newest: bool = False,
    ) -> list[AuditEntry]:
        """The project's entries with a sequence number above `after` and below `before`, oldest first.

        `subject`: those that name it; `actions`: those of one of them; `newest`: the newest `limit`, newest first.
        Cost: of what is given back, not of the chain.
        """
        ...


class LedgerSession(Protocol):
    """The roles, as of one snapshot (read) or inside one transaction (write)."""

    @property
    def registry(self) -> Registry: ...
    @property
    def pointers(self) -> Pointers: ...
    @property
    def incidents(self) -> Incidents: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def people(self) -> Persons: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def cursors(self) -> Cursors: ...
    @property
    def audit(self) -> Audit: ...


class Ledger(Protocol):
    """The append-only record of who did what, when, why, on which evidence."""

    def transaction(
        self, *, actor: str, at: datetime, reason: str = "", lease: Lease | None = None
    ) -> AbstractContextManager[LedgerSession]:
        """All or nothing. `at` is domain time. With `lease`, fenced.

        :raises LostLease: the lease is not current when the transaction begins; nothing is written.
        :raises Conflict: another writer held the ledger for longer than the time-out.
        """
        ...

    def read(self) -> AbstractContextManager[LedgerSession]:
        """A snapshot; writing through it raises `Refused`."""
        ...

    def sequence(self) -> int:
        """Sequence number of the newest audit entry of any project; cheap, for polling."""
        ...

    def verify(self, progress: Callable[[int], None] | None = None) -> ChainReport:
        """Recompute the whole chain, of all projects, and compare it and every record. O(entries).

        `progress` is told now and then how many entries are recomputed.
        """
        ...

    def close(self) -> None: ...


class Leases(Protocol):
    """Leases on the machine's clock. Epochs never go back, also over crashes."""

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        """The lease, if it is free, expired or already the owner's (then the epoch stays).

        `owner` names one living worker: two workers under one name would not be fenced from each other.
        """
        ...

    def renew(self, lease: Lease, ttl_s: float) -> bool:
        """Push the expiry, also of a lease that expired and nobody took; False when it is somebody else's."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it is no longer ours."""
        ...

    def holder(self, name: str) -> str | None:
        """The present holder, or None when free or expired."""
        ...


__all__ = [
    "Answer",
    "Approval",
    "Approvals",
    "AssetRecord",
    "Audit",
    "AuditEntry",
    "ChainReport",
    "Cursors",
    "Incident",
    "Incidents",
    "Job",
    "JobStep",
    "Jobs",
    "Key",
    "Keys",
    "Lease",
    "Leases",
    "Ledger",
    "LedgerSession",
    "Pointers",
    "Registry",
    "Review",
    "ReviewLabel",
    "ReviewStatus",
    "Reviews",
    "Run",
    "RunLine",
    "Runs",
]
