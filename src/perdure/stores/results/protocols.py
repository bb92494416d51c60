"""Results of evals: answers and scores by content, rows of runs. Losing one costs money, never truth: it is asked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from perdure.core.usage import Usage


class RunRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One answer of one case in a run, with its scores."""

    case: str
    """Digest of the case."""
    case_id: str
    cluster: str
    sample: int
    subject: str
    """Version that answered: of a prompt, or of a route."""
    answer: str
    """Key of the answer among the answers."""
    scores: list[tuple[str, float | None, str, str]]
    """(scorer's label, value, outcome, why), in the suite's order."""
    score: float | None
    """Weighted mean of what applies."""
    usage: Usage | None
    cost_pusd: int | None
    """What the answer cost when it was made."""
    spent_pusd: int
    """What this run paid for it: 0 where it was known already."""
    latency_us: int
    error: str = ""
    weight: float = 1.0
    tags: list[str] = []
    cached: bool = False
    """The same draw as in an earlier run, given again: never a new one."""


class Results(Protocol):
    """Answers and scores by content, and the rows of runs. Safe to share between threads and processes."""

    def find_answers(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that are known, of any number of keys."""
        ...

    def put_answers(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep answers; of one key the first stands."""
        ...

    def replace_answers(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep answers in the place of those of their keys, whose scores go with them; of one key the last stands."""
        ...

    def find_scores(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that are known."""
        ...

    def put_scores(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Keep scores; of one key the first stands. A score's key begins with its answer's key and a colon."""
        ...

    def put_run(self, run: str, rows: Sequence[RunRow]) -> None:
        """Add rows to a run; a row of the same case, sample and subject replaces the former."""
        ...

    def list_run(self, run: str) -> Iterator[RunRow]:
        """Its rows in the order of cases as they were put, then subjects and samples."""
        ...

    def forget(self, answers: Sequence[str]) -> int:
        """Drop answers by key with the scores of them, such as those of a model that changed behind its name; how many."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
