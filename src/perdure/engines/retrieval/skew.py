"""What a census finds, and the plan that mends it: records that are read by people, kept as JSON, and acted on.

The kinds of skew, of a source that was listed whole:

| kind | what it is |
|---|---|
| `missing` | a document of the source is not in the index's record, or chunks of its record are not in the index |
| `ghost` | what is found belongs to a document that the source has no more, or that the record says is gone |
| `stale` | the document's bytes are others than those that were indexed |
| `corrupt` | a vector, text or word does not match its checksum, is not finite, or is not of length 1 |
| `wrong_embedder` | a vector is not what the declared embedder makes: by its fingerprint, or embedded anew |
| `wrong_chunker` | the document was cut by another chunker or parser than the declared one |
| `duplicate` | a stretch of a document is in the index twice |
| `orphan` | a chunk of no document, or words of no chunk |

A document that changes while it is looked at is `unsettled`, and no finding; one whose bytes are the same under another token is
`touched`. What its source says of a document that cannot be read is a trouble, not a skew: no repair of the index helps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

SkewKind = Literal["missing", "ghost", "stale", "corrupt", "wrong_embedder", "wrong_chunker", "duplicate", "orphan"]
SKEWS: tuple[SkewKind, ...] = (
    "missing",
    "ghost",
    "stale",
    "corrupt",
    "wrong_embedder",
    "wrong_chunker",
    "duplicate",
    "orphan",
)

Part = Literal["document", "chunk", "words", "record", "store", "served"]
"""What is wrong: a document, a chunk, what finds chunks by their words, what the index itself says of a document or (of no document) of
when its rows live, the store itself, or what a server has of it in memory."""


class Skew(msgspec.Struct, frozen=True):
    """One thing that index and source disagree about."""

    kind: SkewKind
    document: str
    """Empty where nobody knows of which."""
    key: int = 0
    """Of the chunk; 0: of the whole document."""
    why: str = ""
    """For people: what was expected and what was found."""
    since_us: int | None = None
    """Domain time since which it is so, as far as the source tells."""
    part: Part = "document"


class Waiting(msgspec.Struct, frozen=True):
    """A change at the source that is not found yet."""

    document: str
    changed_us: int


class Census(msgspec.Struct, frozen=True):
    """Source, record and index held against each other."""

    index: str
    version: str
    generation: int
    at_us: int
    n_source: int
    """Documents that the source lists."""
    n_documents: int
    """Documents of the record."""
    n_chunks: int
    """Chunks that really stand in the index."""
    skews: Sequence[Skew] = ()
    troubles: Mapping[str, str] = {}
    """Document → code of why it cannot be indexed."""
    waiting: Sequence[Waiting] = ()
    whole: bool = True
    """Whether the source answered whole: else nothing is said of what it lacks."""
    why_not: str = ""
    """In words, why it did not."""
    n_embedded: int = 0
    """Chunks that were embedded anew to compare."""
    cpu_s: float = 0.0
    deep: bool = False
    """Every document was read, and every chunk embedded anew."""
    touched: Sequence[str] = ()
    """Documents with another token and the same bytes: only their tokens are written anew."""
    unsettled: Sequence[str] = ()
    """Documents that moved while they were looked at: the next census tells."""
    notes: Sequence[str] = ()
    """What could not be looked at, in words, such as an embedder that did not answer."""

    def counts(self) -> dict[str, int]:
        """Kind → documents that have it; every kind is there."""
        found = {kind: {skew.document for skew in self.skews if skew.kind == kind} for kind in SKEWS}
        return {kind: len(documents) for kind, documents in found.items()}


PlanVerb = Literal["add", "update", "touch", "delete", "reembed", "rechunk", "drop", "mend"]
"""`drop`: single chunks that belong to nothing, or twice. `mend`: what finds chunks by their words and when rows live, of the whole
index. `touch`: a
token alone. The others are of whole documents."""


class PlanStep(msgspec.Struct, frozen=True):
    """One thing to do about one document."""

    verb: PlanVerb
    document: str
    keys: Sequence[int] = ()
    """Of chunks, where not the whole document is meant; of `rechunk` those whose vectors are not to be used again."""


class ResyncPlan(msgspec.Struct, frozen=True):
    """The least that makes an index what its source says. Made by `planning`; nothing runs before somebody agreed."""

    index: str
    version: str
    after: int
    """Generation that it was made for."""
    steps: Sequence[PlanStep]
    held_back: Sequence[str] = ()
    """Documents that would be deleted, and are not: too many at once, or the source did not answer whole."""
    held_back_why: str = ""
    n_texts: int = 0
    """About so many texts are embedded, where no vector is known from before."""
    rebuild: bool = False
    """So much is wrong that building anew beside it costs no more, and is surer."""

    def counts(self) -> dict[str, int]:
        """Verb → steps that have it."""
        found: dict[str, int] = {}
        for step in self.steps:
            found[step.verb] = found.get(step.verb, 0) + 1
        return found
