"""`/language/indexes/{name}/map`: an index on two axes, what lies together in it, where questions fall, and which found nothing near.

Made once a generation and kept: some 0.3 s for 5,000 chunks, and what it takes to embed the questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappush, heapreplace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from perdure.core.units import days
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, page_of, share
from perdure.surface.console.language.kept import Kept
from perdure.surface.console.language.opened import Opened, costs, open_index, version_of
from perdure.surface.console.records import Asked, Cell, Scatter, Table, View
from perdure.surface.eval_told import visible

if TYPE_CHECKING:
    import polars as pl

    from perdure.stores.vectors.protocols import IndexStore

SAMPLE = 5_000
"""Chunks that the axes and clusters are made of, drawn by chance."""
_DRAWN = 1_200
"""Points of chunks that are drawn: more weigh more than a page may."""
_QUESTIONS = 300
_OVER = days(28)
_LATELY = days(7)
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class MapPage:
    """The whole page."""

    index: str
    version: str
    generation: int
    n_chunks: int
    n_sampled: int
    explained: str
    picture: Scatter
    clusters: Table
    n_questions: int
    n_unanswered: int
    unanswered: Table
    note: str
    """Why there are no questions on it; empty where there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """A generation on its map."""

    places: NDArray[np.float64]
    labels: NDArray[np.int64]
    names: Sequence[str]
    """Document of each."""
    words: Sequence[Sequence[str]]
    """Of each cluster."""
    explained: float
    vectors: NDArray[np.float32] = field(repr=False)
    axes: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What was asked lately, with its vectors, newest first."""

    texts: Sequence[str]
    at: Sequence[datetime]
    unanswered: Sequence[bool]
    best: Sequence[float | None]
    vectors: NDArray[np.float32]


_MAPS: Kept[Mapped] = Kept(4)
_ASKED: Kept[Questions] = Kept(4)


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such index, or nothing was built of it.
        TooFewRows: fewer than three of its chunks have a vector.
    """
    name = asked.path["name"]
    version = version_of(asked, name)
    opened = open_index(asked, name, version)
    held = opened.served.held
    number = held.generation.number
    mapped = _MAPS.get(asked.project, (version, number), lambda: make_map(held.store, number))
    questions, note = _questions(asked, opened, name, version)
    data = MapPage(
        index=name,
        version=version,
        generation=number,
        n_chunks=held.generation.n_chunks,
        n_sampled=len(mapped.labels),
        explained=share(mapped.explained),
        picture=_picture(name, mapped, questions),
        clusters=_clusters(mapped, questions, asked.now - _LATELY),
        n_questions=len(questions.texts),
        n_unanswered=sum(questions.unanswered),
        unanswered=_unanswered(questions),
        note=note,
    )
    crumbs = (OVERVIEW, ("Indexes", "/language/indexes"), (name, page_of("index", name)))
    return View("Map", data, crumbs)


def make_map(store: IndexStore, generation: int) -> Mapped:
    """The map of a generation.

    Cost: 10 µs a chunk of the index, and 0.3 s for a full sample.

    Raises:
        TooFewRows: fewer than three chunks have a vector.
    """
    from perdure.engines.retrieval.mapping import find_clusters, fit_axes, telling_words

    chance, sample = Random(0), list[tuple[float, int, str, str, bytes]]()  # noqa: S311 - a sample, no secret
    for row in store.chunks(generation) if generation else ():
        if not row.vector:
            continue
        drawn = (chance.random(), row.key, row.document, row.text, row.vector)
        if len(sample) < SAMPLE:
            heappush(sample, drawn)
        elif drawn > sample[0]:
            heapreplace(sample, drawn)
    sample.sort(key=lambda each: each[1])
    width = len(sample[0][4]) // 4 if sample else 0
    vectors = np.frombuffer(b"".join(each[4] for each in sample), dtype="<f4").reshape(len(sample), width)
    vectors = vectors.astype(np.float32)
    axes = fit_axes(vectors)
    labels = find_clusters(vectors)
    told = telling_words([each[3] for each in sample], labels.tolist())
    return Mapped(axes.project(vectors), labels, [each[2] for each in sample], told, axes.explained, vectors, axes)


def _questions(asked: Asked, opened: Opened, name: str, version: str) -> tuple[Questions, str]:
    """Questions of the last four weeks, embedded; and why there are none."""
    from perdure.loop.work.indexes.signals_traffic import read_searches

    none = Questions((), (), (), (), np.zeros((0, 0), dtype=np.float32))
    if opened.embedder is None:
        return none, "Its embedder is not here, so questions have no place on it."
    if costs(asked, name):
        return none, "Its embedder costs money, so questions are not embedded for a picture."
    rows = read_searches(
        asked.project.place.stores.lake, name, asked.now - _OVER, asked.now + timedelta(microseconds=1)
    )
    kept = [each for each in rows.iter_rows(named=True) if each["query"]] if rows.height else []
    if not kept:
        return none, _why_none(rows)
    newest = kept[-1]
    key = (version, len(kept), newest["served_at"], newest["query"])
    return _ASKED.get(asked.project, key, lambda: _embedded(asked, opened, (name, version), kept[-_QUESTIONS:])), ""


def _why_none(rows: pl.DataFrame) -> str:
    if rows.height:
        return "Questions were asked, and their texts are not kept: set [serve] searches to keep them."
    return "Nobody asked it in the last four weeks."


def _embedded(asked: Asked, opened: Opened, of: tuple[str, str], rows: Sequence[dict[str, Any]]) -> Questions:
    from perdure.loop.work.indexes.sentinels import find_sentinels

    seen = find_sentinels(asked.project.place, *of)
    near = None if seen is None else seen.near
    newest = list(reversed(rows))
    vectors = np.stack([opened.served.embedded(each["query"]) for each in newest])
    return Questions(
        [each["query"] for each in newest],
        [each["served_at"] for each in newest],
        [_is_unanswered(each, near) for each in newest],
        [each["best_cosine"] for each in newest],
        vectors,
    )


def _is_unanswered(row: dict[str, Any], near: float | None) -> bool:
    """Nothing was found, or nothing nearer than what sentences about anything find."""
    best = row["best_cosine"]
    return not row["documents"] or (near is not None and best is not None and best < near)


def _picture(name: str, mapped: Mapped, questions: Questions) -> Scatter:
    step = max(1, -(-len(mapped.labels) // _DRAWN))
    groups = [_name_of(mapped, each) for each in range(len(mapped.words))]
    places = [(round(float(x), 4), round(float(y), 4)) for x, y in mapped.places[::step]]
    kinds, names = mapped.labels[::step].tolist(), [visible(each) for each in mapped.names[::step]]
    n_clusters = len(groups)
    if len(questions.texts):
        asked_at = mapped.axes.project(questions.vectors)
        places += [(round(float(x), 4), round(float(y), 4)) for x, y in asked_at]
        kinds += [len(groups) + 1 if each else len(groups) for each in questions.unanswered]
        names += [visible(each[:80]) for each in questions.texts]
        groups += ["questions", "questions without an answer"]
    return Scatter(
        f"map-{name}",
        f"Chunks of {name} by meaning",
        places,
        kinds,
        names,
        groups,
        tuple(range(n_clusters, len(groups))),
    )


def _name_of(mapped: Mapped, cluster: int) -> str:
    return ", ".join(mapped.words[cluster][:3]) or f"cluster {cluster + 1}"


def _example(mapped: Mapped, cluster: int) -> str:
    """The document of the chunk in the middle of a cluster."""
    mine = np.flatnonzero(mapped.labels == cluster)
    if not len(mine):
        return NONE
    rows = mapped.vectors[mine]
    return mapped.names[int(mine[(rows @ rows.mean(axis=0)).argmax()])]


def _clusters(mapped: Mapped, questions: Questions, lately: datetime) -> Table:
    """What lies together, and how questions moved between: their share before, and in the last week."""
    from perdure.engines.retrieval.mapping import nearest_cluster

    found = nearest_cluster(questions.vectors, mapped.vectors, mapped.labels).tolist()
    new = [each >= lately for each in questions.at]
    sizes = np.bincount(mapped.labels, minlength=len(mapped.words)).tolist()
    n_new, n_old = sum(new), len(new) - sum(new)
    rows = []
    for cluster, size in enumerate(sizes):
        mine = [place for place, each in enumerate(found) if each == cluster]
        now = sum(new[place] for place in mine)
        before = len(mine) - now
        missed = sum(questions.unanswered[place] for place in mine)
        rows.append(
            (
                _name_of(mapped, cluster),
                _example(mapped, cluster),
                f"{size:,}",
                share(size / max(1, len(mapped.labels))),
                share(before / n_old) if n_old else NONE,
                share(now / n_new) if n_new else NONE,
                Cell(f"{missed:,}", tone="warn") if missed else "0",
            )
        )
    return Table(
        headings=(
            "What lies together",
            "Such as",
            "Chunks",
            "Of all",
            "Questions before",
            "Questions, last 7 days",
            "Without an answer",
        ),
        rows=rows,
        caption="Clusters, with the questions that fall among them",
        numeric=frozenset({2, 3, 4, 5, 6}),
    )


def _unanswered(questions: Questions) -> Table:
    rows = [
        (text, at(asked_at), NONE if best is None else f"{best:.3f}")
        for text, asked_at, missed, best in zip(
            questions.texts, questions.at, questions.unanswered, questions.best, strict=True
        )
        if missed
    ]
    return Table(
        ("Question", "Asked", "Nearest by vector"),
        rows[:_SHOWN],
        "Questions that found nothing near, newest first",
        numeric=frozenset({2}),
        empty="Every question found something near.",
    )
