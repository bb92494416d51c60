"""A census of an index that another tool keeps, without any record of ours: its rows against the documents as they are now. Pure.

What is found, and how it is known:

| kind | what it is |
|---|---|
| `missing` | a document of the source has no row, or a long stretch of it is in none |
| `ghost` | rows name a document that the source has no more |
| `stale` | a row's text does not stand in its document any more |
| `duplicate` | a text is there more often than it stands in its document |
| `corrupt` | a vector is missing, of another length than the others, not finite, zero, or of another norm |
| `unreachable` | a row is not found by its own vector (a sample is asked) |
| `orphan` | a row without a text, or that names no document |

What surprised us: where a tool read its documents by another parser, all rows look stale; the share of each text that still stands
tells the two apart, so it is told with every finding.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec
import numpy as np

from perdure.core.documents import Scalar
from perdure.engines.retrieval.foreign_naming import Naming
from perdure.engines.retrieval.foreign_words import DocumentText, words

ForeignKind = Literal["missing", "ghost", "stale", "duplicate", "corrupt", "unreachable", "orphan"]
KINDS: tuple[ForeignKind, ...] = ("missing", "ghost", "stale", "duplicate", "corrupt", "unreachable", "orphan")
_GAP_WORDS = 40
"""Words in a row that no row of the index has: tools leave out headings and marks, and no paragraphs."""
_NORM_TOLERANCE = 1e-3
_MOST_NORMAL = 0.9
"""Where so many vectors are of length 1, one of another length is wrong."""
_OTHER_PARSER = 0.5
"""Share of the rows that look stale from which another parser is likelier."""


class ForeignStanding(Protocol):
    """A row of another tool's index, as its store gives it."""

    @property
    def id(self) -> str:
        """Of the row, there."""
        ...

    @property
    def text(self) -> str | None:
        """What was embedded, as far as the tool keeps it."""
        ...

    @property
    def metadata(self) -> Mapping[str, Scalar]:
        """Members of members with dots between."""
        ...

    @property
    def vector(self) -> bytes:
        """Little-endian float32; empty: none."""
        ...

    @property
    def trouble(self) -> str:
        """Why it cannot be read; empty: it can."""
        ...


class ForeignSkew(msgspec.Struct, frozen=True):
    """One thing that index and source disagree about."""

    kind: ForeignKind
    document: str
    """Empty where nobody knows of which."""
    row: str = ""
    """Its id there; empty: of the whole document."""
    why: str = ""
    """For people."""


class ForeignCensus(msgspec.Struct, frozen=True):
    """What a census of another tool's index found. Nothing was changed."""

    tool: str
    collection: str
    source: str
    n_source: int
    """Documents that could be read."""
    n_rows: int
    """Rows that were read."""
    n_told: int
    """Rows as the tool counts them."""
    mapped_by: str
    """Member of the rows' metadata that names their documents."""
    metric: str
    n_asked: int = 0
    """Rows whose own vectors were searched for."""
    skews: Sequence[ForeignSkew] = ()
    troubles: Mapping[str, str] = {}
    """Document → code of why it could not be read: of its rows nothing is said."""
    whole: bool = True
    """Whether the source answered whole: else nothing is said of what it lacks."""
    notes: Sequence[str] = ()
    cpu_s: float = 0.0

    def counts(self) -> dict[str, int]:
        """Kind → findings; every kind is there."""
        found = Counter(skew.kind for skew in self.skews)
        return {kind: found[kind] for kind in KINDS}


@dataclass(slots=True)
class _Vector:
    row: str
    document: str
    norm: float


@dataclass(slots=True)
class ForeignLook:
    """Looks at rows, page by page.

    Args:
        documents: of the source, by id.
        troubles: documents that are there and could not be read.
        naming: how rows name documents.
        dimensions: of the vectors; 0: the first one says.
        whole: whether the source was listed whole.
        n_sample: so many rows are kept, to be searched by their own vectors.
        seed: of the sample.
    """

    documents: Mapping[str, DocumentText]
    troubles: Mapping[str, str]
    naming: Naming
    dimensions: int
    whole: bool = True
    n_sample: int = 64
    seed: str = ""
    n_rows: int = 0
    skews: list[ForeignSkew] = field(default_factory=list)
    sample: list[ForeignStanding] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _n_sound: int = 0
    _n_words: int = 0
    _n_elsewhere: int = 0
    _n_matched: int = 0
    _rows_of: Counter[str] = field(default_factory=Counter)
    _stale_of: Counter[str] = field(default_factory=Counter)
    _texts: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    _vectors: list[_Vector] = field(default_factory=list)
    _texts_of_vector: dict[bytes, bytes] = field(default_factory=dict)
    _n_shared: int = 0
    _still: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a sample, no secret

    def add(self, rows: Sequence[ForeignStanding]) -> None:
        """Judge a page. Cost: some 60 µs a row of 800 characters in a document of 10,000."""
        for row in rows:
            self.n_rows += 1
            document = self.naming.of(row.id, row.metadata, self.documents)
            if document is not None:
                self._rows_of[document] += 1
            self._judge(row, document)
            self._judge_vector(row, document or "")

    def finish(self) -> list[ForeignSkew]:
        """Every finding, in the order of kinds and documents, with those that only all rows together tell."""
        self._missing()
        self._norms()
        return sorted(self.skews, key=lambda skew: (KINDS.index(skew.kind), skew.document, skew.row))

    def notes(self) -> list[str]:
        """What a person should know beside the findings."""
        found = []
        if self._n_elsewhere:
            found.append(f"{self._n_elsewhere} rows name documents of another source: nothing is said of them.")
        if self._n_words:
            found.append(f"{self._n_words} rows have the words of their documents and other marks: they count as they are.")  # fmt: skip
        if self._n_shared:
            found.append(f"{self._n_shared} rows share their vector with a row of another text: look at what embedded them.")  # fmt: skip
        n_stale = len(self._still)
        if n_stale > _OTHER_PARSER * max(1, self._n_matched):
            still = sum(self._still) / n_stale
            found.append(f"{n_stale} of {self._n_matched} rows look stale, and {still:.0%} of their words still stand: rather another parser read the documents than that so many changed.")  # fmt: skip
        return found

    def unreachable(self, found: Sequence[Sequence[str]]) -> list[ForeignSkew]:
        """Rows of the sample that were not among what their own vectors find; `found` is in its order."""
        vectors = {row.id: row.vector for row in self.sample}
        skews = []
        for row, ids in zip(self.sample, found, strict=True):
            # One of the same vector may stand in its place.
            if row.id not in ids and not any(vectors.get(id_) == row.vector for id_ in ids):
                why = f"It is not among the {len(ids)} rows that its own vector finds." if ids else "A search by its own vector fails."  # fmt: skip
                document = self.naming.of(row.id, row.metadata, self.documents)
                skews.append(ForeignSkew("unreachable", document or "", row.id, why))
        return skews

    def _judge(self, row: ForeignStanding, document: str | None) -> None:
        if document is None:
            self._tell("orphan", "", row, f"It names no document: {self.naming.member!r} is empty.")
        elif document == "":
            self._n_elsewhere += 1
        elif document in self.troubles or self._below_trouble(document):
            return
        elif document not in self.documents:
            if self.whole:
                self._tell("ghost", document, row, "Its document is gone from the source.")
        elif not (row.text or "").strip():
            if not row.trouble:
                self._tell("orphan", document, row, "It has no text.")
        else:
            self._judge_text(row, document, row.text or "")

    def _below_trouble(self, document: str) -> bool:
        return any(document.startswith(each.rstrip("/") + "/") for each in self.troubles)

    def _judge_text(self, row: ForeignStanding, document: str, text: str) -> None:
        source = self.documents[document]
        self._n_matched += 1
        match = source.match(text)
        if match == "not":
            still = source.still(text)
            self._still.append(still)
            self._stale_of[document] += 1
            self._tell(
                "stale", document, row, f"Its text does not stand in its document: {still:.0%} of it still does."
            )
            return
        self._n_words += match == "words"
        told = (document, hashlib.blake2b(words(text).encode("utf-8", "surrogatepass"), digest_size=16).digest())
        self._texts[told] += 1
        if self._texts[told] > 1 and self._texts[told] > source.n_times(text):
            self._tell("duplicate", document, row, "Its text is there more often than it stands in its document.")

    def _judge_vector(self, row: ForeignStanding, document: str) -> None:
        if row.trouble or not row.vector:
            self._tell("corrupt", document, row, row.trouble or "It has no vector.")
            return
        self.dimensions = self.dimensions or len(row.vector) // 4
        if len(row.vector) != 4 * self.dimensions:
            why = f"Its vector has {len(row.vector) // 4} dimensions, not {self.dimensions}."
            self._tell("corrupt", document, row, why)
            return
        vector = np.frombuffer(row.vector, "<f4").astype(np.float64)
        norm = float(np.sqrt(vector @ vector))
        if not np.isfinite(norm) or norm == 0.0:
            self._tell("corrupt", document, row, "Its vector is zero." if norm == 0.0 else "Its vector is not finite.")
            return
        self._vectors.append(_Vector(row.id, document, norm))
        self._shared(row)
        self._offer(row)

    def _shared(self, row: ForeignStanding) -> None:
        vector, text = (hashlib.blake2b(each, digest_size=8).digest() for each in (row.vector, (row.text or "").encode("utf-8", "surrogatepass")))  # fmt: skip
        self._n_shared += self._texts_of_vector.setdefault(vector, text) != text

    def _offer(self, row: ForeignStanding) -> None:
        """A sample of all sound rows, each as likely (reservoir: Vitter, 1985, algorithm R)."""
        self._n_sound += 1
        if len(self.sample) < self.n_sample:
            self.sample.append(row)
        elif self.n_sample:
            place = self._random.randrange(self._n_sound)
            if place < self.n_sample:
                self.sample[place] = row

    def _missing(self) -> None:
        for id_, text in self.documents.items():
            if text.empty:
                continue
            if not self._rows_of[id_]:
                self.skews.append(ForeignSkew("missing", id_, why="It has no row."))
                continue
            n_words, begin = text.gap()
            if n_words >= _GAP_WORDS and not self._stale_of[id_]:
                why = f"{n_words} of its words in a row are in no row, from {begin!r} on."
                self.skews.append(ForeignSkew("missing", id_, why=why))

    def _norms(self) -> None:
        """Where nearly all vectors are of length 1, one that is not is wrong."""
        wrong = [each for each in self._vectors if abs(each.norm - 1.0) > _NORM_TOLERANCE]
        if len(wrong) <= (1.0 - _MOST_NORMAL) * len(self._vectors):
            for each in wrong:
                why = f"Its vector has length {each.norm:.4g}, and nearly all have 1."
                self.skews.append(ForeignSkew("corrupt", each.document, each.row, why))

    def _tell(self, kind: ForeignKind, document: str, row: ForeignStanding, why: str) -> None:
        self.skews.append(ForeignSkew(kind, document, row.id, why))
