"""Verbs of the gateway's cache: how near is near enough, and answers dropped by their tags."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from perdure.core.errors import BadRequest, NotFound, Refused
from perdure.surface.opened import Opened


@dataclass(frozen=True, slots=True)
class CalibratedCache:
    """A threshold for `Cache(semantic=…)`, and what it rests on."""

    embedder: str
    threshold: float
    n_pairs: int
    n_different: int
    """Pairs that differ in meaning and name the same numbers: those that could be false hits."""
    false_hits: float
    """Their share that is a hit."""
    false_hits_at_most: float
    """Its upper bound, as sure as asked."""
    confidence: float
    hits: float | None
    """Share of the pairs that mean the same that is a hit; None where none was judged."""


class _Judged(msgspec.Struct, forbid_unknown_fields=False):
    question: str
    other: str
    same: bool


class Caching(Opened):
    """The gateway's cache of answers."""

    def calibrate_cache(
        self,
        pairs: str | Path,
        embedder: str,
        *,
        url: str | None = None,
        key_env: str = "",
        false_hits: float = 0.01,
        confidence: float = 0.95,
    ) -> CalibratedCache:
        """The lowest cosine at which, as sure as asked, at most `false_hits` of different questions are hits.

        Args:
            pairs: a file of JSON lines with `question`, `other` and `same` (true: one answer serves both).
            embedder: a declared `upstream/model` or route; with `url` the model's name there.
            url: what stands before `/embeddings` of another server, such as a running gateway's `http://…/v1`.
            key_env: with `url`, the environment's variable that holds its key.
            false_hits: the limit, 0 to 1.
            confidence: of the bound, 0 to 1.

        Raises:
            NotFound: no such file, embedder or variable.
            BadRequest: a line that is no judged pair.
            UpstreamError: the embedder does not answer.
            TooFewRows: too few pairs that differ were judged; says how many more it takes.
            Refused: no threshold tells them apart.
        """
        from perdure.engines.semantics import calibrate
        from perdure.surface.embedding import EmbedAt, HttpEmbed

        judged = read_pairs(Path(pairs))
        declared = HttpEmbed({}, {}, {}) if url else HttpEmbed(self.project.routes, self.project.upstreams, os.environ)
        at = EmbedAt(url, embedder, _secret(key_env)) if url else declared.find(embedder)
        found = calibrate(
            judged, lambda texts: declared.embed_at(at, texts), false_hits=false_hits, confidence=confidence
        )
        return CalibratedCache(
            embedder=embedder,
            threshold=found.threshold,
            n_pairs=len(judged),
            n_different=found.false_hits.n,
            false_hits=found.false_hits.value,
            false_hits_at_most=found.false_hits.high,
            confidence=found.confidence,
            hits=None if found.hits is None else found.hits.value,
        )

    def drop_cache(self, tags: Sequence[str]) -> int:
        """Forget cached answers that have one of the tags, in the cache that processes share; how many there were.

        Args:
            tags: `source:NAME`, `route:NAME`.

        Raises:
            BadRequest: no tag, or one that means nothing.
            Refused: each server keeps its answers in its own memory.
            StoreError: the cache cannot be reached.
        """
        from perdure.surface.compose import stores_root
        from perdure.surface.compose_gateway import open_answers

        wrong = [tag for tag in tags if tag.partition(":")[0] not in ("source", "route") or not tag.partition(":")[2]]
        if wrong or not tags:
            raise BadRequest(f"{wrong[0] if wrong else ''!r} is no tag.", hint="Write source:NAME or route:NAME.")
        if self.settings.gateway.cache == "memory":
            raise Refused(
                "Each server keeps its answers in its own memory, where nobody else can drop them.",
                hint='Set cache = "sqlite" under [gateway], or restart the servers.',
            )
        answers = open_answers(stores_root(self.folder, self.settings), self.settings)
        try:
            return answers.drop(list(tags))
        finally:
            answers.close()


def read_pairs(path: Path) -> list[tuple[str, str, bool]]:
    """Judged pairs from a file of JSON lines; empty lines are passed over.

    Raises:
        NotFound: no such file.
        BadRequest: a line that is no judged pair, by its number.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise NotFound(f"The file {str(path)!r} cannot be read: {error.strerror}.", hint="Check its path.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pair = msgspec.json.decode(line, type=_Judged)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"Line {number} of {path.name} is no judged pair: {error}.",
                hint='Write {"question": "…", "other": "…", "same": true} on each line.',
            ) from error
        found.append((pair.question, pair.other, pair.same))
    return found


def _secret(name: str) -> str:
    if not name:
        return ""
    secret = os.environ.get(name, "")
    if not secret:
        raise NotFound(f"The environment has no {name}.", hint="Set it to the embedder's key, or leave --key-env out.")
    return secret
