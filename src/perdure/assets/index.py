"""Indexes: what retrieval finds in, declared with where its documents come from and what healthy means.

    handbook = Index(
        "handbook",
        Folder("docs", include=["**/*.md"]),
        embedder=WordLlama(),
        golden="golden/handbook.jsonl",
        healthy=[
            lag_s(quantile=0.99, over=days(1)) <= 600,
            ghosts(over=hours(1)) <= 0,
            stale_answers(over=days(1)) <= 0.01,
            golden_recall(k=10, over=days(1)) >= 0.9,
        ],
        policy=Policy.act(),
    )

A version pins source, chunker, embedder, metadata and store. What is in it is state with generations: it follows the source without
a release. Another chunker or embedder is another version, built beside the old one and released like a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from perdure.assets.chunkers import ByStructure, ChunkedBy, chunker_definition
from perdure.assets.documents import DocumentsFrom, documents_definition
from perdure.assets.embedders import EmbeddedBy, WordLlama, embedder_definition
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.prompt_file import located
from perdure.assets.rerankers import CustomReranker, reranker_definition
from perdure.core.errors import BadIndex
from perdure.core.units import days, minutes

Field = Literal["text", "number", "flag"]
"""Of the metadata: a text, a number, or true and false."""
Unverified = Literal["drop", "mark"]
"""What is done with a chunk that was found and is not what the index's record says: left out, or given with the mark `stale`."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """An index over the documents of one source.

    Args:
        name: lower case with underscores.
        documents: where they come from.
        chunker: how they are cut.
        embedder: what makes vectors.
        fields: members of the metadata that may be filtered by; others are kept and given, and cannot be filtered by.
        store: empty, a file beside the other stores; or `lancedb:FOLDER` for more than a million chunks (extra `lancedb`).
        golden: file (JSONL) of questions with what should be found.
        census: how often index and source are held against each other whole.
        most_deleted: share of its documents that may vanish at once; more is refused, and an incident asks a person.
        unverified: what is done with a chunk that was found, and is not what the record says.
        history: how long what was replaced can still be asked as of then.
        healthy: objectives.
        policy: how far the loop may go alone.
        reranker: what orders anew what was found, where a search asks for it. Another one is another version, whose vectors are known.
    """

    name: str
    documents: DocumentsFrom
    chunker: ChunkedBy = field(default_factory=ByStructure)
    embedder: EmbeddedBy = field(default_factory=WordLlama)
    fields: Mapping[str, Field] = field(default_factory=dict)
    store: str = ""
    golden: str | Path | None = None
    census: timedelta = field(default_factory=lambda: minutes(10))
    most_deleted: float = 0.2
    unverified: Unverified = "drop"
    history: timedelta = field(default_factory=lambda: days(30))
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)
    reranker: CustomReranker | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadIndex(f"The index name {self.name!r} is not legal.", hint="Use a-z, 0-9 and _ in it.")
        self.definition()
        unknown = {name: kind for name, kind in self.fields.items() if kind not in get_args(Field)}
        if unknown:
            raise BadIndex(
                f"Index {self.name!r} has fields of unknown kinds: {unknown}.",
                hint=f"Use {', '.join(get_args(Field))}.",
            )
        if self.store and not self.store.startswith("lancedb:"):
            raise BadIndex(
                f"Index {self.name!r} has the store {self.store!r}.", hint="Leave it empty, or use lancedb:FOLDER."
            )
        if not 0.0 < self.most_deleted <= 1.0 or self.unverified not in get_args(Unverified):
            raise BadIndex(
                f"Index {self.name!r} may lose {self.most_deleted:g} of its documents, and does {self.unverified!r}.",
                hint="A share above 0, up to 1; drop or mark.",
            )
        if self.census <= timedelta(0) or self.history < timedelta(0):
            raise BadIndex(
                f"Index {self.name!r} has a census or a history that is no time.",
                hint="Such as minutes(10) and days(30).",
            )
        if self.golden is not None:
            object.__setattr__(self, "golden", located(self.golden))
        object.__setattr__(self, "healthy", tuple(self.healthy))

    def definition(self) -> dict[str, Any]:
        """What its versions are: all that decides what is in it and how it is found."""
        # Without one there is no member, so versions from before there were any stay what they are.
        reranker = {} if self.reranker is None else {"reranker": reranker_definition(self.reranker)}
        return {
            **reranker,
            "documents": documents_definition(self.documents),
            "chunker": chunker_definition(self.chunker),
            "embedder": embedder_definition(self.embedder),
            "fields": dict(sorted(self.fields.items())),
            "store": self.store,
        }
