"""A folder of made-up documents, an index over it, and the hands that change either: for tests of retrieval.

Its embedder is a function of words that stays under one name, while the model behind it can be swapped, which nobody is told. Times of
files are those of the world's own clock, so that lags are what a test says.

    world = DocumentsWorld(folder)
    world.write_all(T0)
    project = Project.of("documents", world.index())
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.assets.documents import Folder
from perdure.assets.embedders import CustomEmbedder
from perdure.assets.index import Index
from perdure.core.documents import Content
from perdure.testing.careless import careless

DIMENSIONS = 48
_SUBJECTS = ("refunds", "parcels", "invoices", "accounts", "warranties", "vouchers", "returns", "deliveries")
_VERBS = ("settled", "shipped", "archived", "audited", "renewed", "cancelled", "inspected", "forwarded")
_PLACES = ("Oslo", "Lagos", "Quito", "Hanoi", "Turin", "Perth", "Cusco", "Leeds")


@dataclass(slots=True)
class WordModel:
    """Each word is a direction; another `seed` is another model under the same name."""

    seed: str = "first"
    down: bool = False
    """It answers nobody."""
    n_embedded: int = 0

    def embed(self, contents: Sequence[Content]) -> NDArray[np.float32]:
        """A row a content."""
        if self.down:
            raise OSError("the model is down")
        self.n_embedded += len(contents)
        return np.stack([self._one(str(content)) for content in contents])

    def _one(self, content: str) -> NDArray[np.float32]:
        total = np.zeros(DIMENSIONS, dtype=np.float32)
        for word in content.lower().split():
            total += _direction(self.seed, word.strip(".,:;?!#*|"))
        return total


@lru_cache(maxsize=20_000)
def _direction(seed: str, word: str) -> NDArray[np.float32]:
    start = int.from_bytes(hashlib.blake2b(f"{seed} {word}".encode(), digest_size=8).digest(), "big")
    return np.random.default_rng(start).standard_normal(DIMENSIONS).astype(np.float32)


@dataclass(slots=True)
class DocumentsWorld:
    """Documents of a folder, by number.

    Args:
        folder: of the project.
        n_documents: that there are at first.
    """

    folder: Path
    n_documents: int = 60
    model: WordModel = field(default_factory=WordModel)

    @property
    def documents(self) -> Path:
        """Where they lie."""
        return self.folder / "handbook"

    def index(self, **declared: Any) -> Index:
        """The index over them, with golden questions; everything may be declared otherwise."""
        self.golden()
        given: dict[str, Any] = {
            "embedder": CustomEmbedder(_asking(self.model), DIMENSIONS, fingerprint="words by name"),
            "golden": str(self.folder / "golden.jsonl"),
            **declared,
        }
        return Index("handbook", Folder(str(self.documents.resolve())), **given)

    def write_all(self, at: datetime) -> None:
        """Every document, as of an instant."""
        for number in range(self.n_documents):
            self.write(number, at)

    def write(self, number: int, at: datetime, more: str = "") -> None:
        """A document, new or changed, as of an instant; `more` is a further paragraph."""
        path = self.path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {title_of(number)}\n\n{text_of(number)}\n{more}", "utf-8")
        os.utime(path, (at.timestamp(), at.timestamp()))

    def remove(self, *numbers: int) -> None:
        """Documents that go."""
        for number in numbers:
            self.path(number).unlink()

    def path(self, number: int) -> Path:
        """Of a document."""
        return self.documents / f"{number:03d}.md"

    def golden(self) -> None:
        """A question for each document that is there at first, in words of its own."""
        lines = [
            {"query": question_of(number), "relevant": [f"{number:03d}.md"], "cluster": f"document {number}"}
            for number in range(self.n_documents)
        ]
        (self.folder / "golden.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")

    @contextmanager
    def taken_away(self) -> Iterator[None]:
        """The source is not there, as a share that is not mounted."""
        aside = self.documents.with_name("handbook aside")
        self.documents.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.documents)

    @contextmanager
    def careless_hand(self, file: Path) -> Iterator[sqlite3.Connection]:
        """A connection that writes to an index's file behind its back."""
        connection = careless(sqlite3.connect(file, isolation_level=None))
        try:
            yield connection
        finally:
            connection.close()


def title_of(number: int) -> str:
    """Of a document: no two are equal."""
    return f"{_SUBJECTS[number % 8].capitalize()} of district {number:03d}"


def text_of(number: int) -> str:
    """What a document says."""
    verb, place = _VERBS[number // 8 % 8], _PLACES[number // 3 % 8]
    return f"The {_SUBJECTS[number % 8]} of district{number:03d} are {verb} in {place} by clerk{number * 7:04d}."


def question_of(number: int) -> str:
    """What its golden question asks."""
    return (
        f"who has {_SUBJECTS[number % 8]} {_VERBS[number // 8 % 8]} in {_PLACES[number // 3 % 8]} for {_worded(number)}"
    )


def _worded(number: int) -> str:
    return f"district{number:03d}"


def _asking(model: WordModel) -> Callable[[Sequence[Content]], Any]:
    """A function that says nothing of the model behind it."""

    def embed(contents: Sequence[Content]) -> Any:
        return model.embed(contents)

    return embed
