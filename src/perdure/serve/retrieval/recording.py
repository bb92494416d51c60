"""What is kept of a search: which chunks of which generation were given, what was dropped and why; the question masked, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perdure.core.clock import machine_us
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.guarding import CompiledGuard
from perdure.serve.retrieval.finding import Found, Search
from perdure.stores.capture.events import Searched
from perdure.stores.capture.protocols import CaptureWriter

_MASK: Mapping[str, Any] = {
    "checks": [{"check": "pii", "kinds": [], "restore": False}, {"check": "secrets"}],
    "on": ["input"], "mode": "redact", "fails": "closed", "wait_ms": 1000.0, "hold_back": 200,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """A search on its way, as its record tells it."""

    id: str
    index: str
    version: str
    arm: str
    key: str
    team: str
    served_us: int
    purpose: str = "search"


class Recorder:
    """Appends searches to this process's capture segment.

    Args:
        writer: of the segment.
        next_id: makes ids.
        keeps: the setting `[serve] searches`.
    """

    def __init__(self, writer: CaptureWriter, next_id: Callable[[], str], keeps: str) -> None:
        self._writer = writer
        self._next_id = next_id
        self._keeps = keeps
        self._guard: CompiledGuard | None = None
        if keeps == "redacted":
            self._guard = compile_guard("searches", "searches", _MASK, {})

    def beside(self, writer: CaptureWriter) -> Recorder:
        """Another that appends elsewhere, without texts."""
        return Recorder(writer, self._next_id, "none")

    def new_id(self) -> str:
        """Of a search."""
        return "s" + self._next_id()[1:]

    def record(self, asking: Asking, search: Search, found: Found, latency_s: float) -> bool:
        """Keep one search; False where the disk is full, which is counted as lost. Cost: 30 µs, most of it masking."""
        return self._writer.append(
            Searched(
                id=asking.id,
                index=asking.index,
                version=asking.version,
                arm=asking.arm,
                generation=found.generation.number,
                seen_us=found.generation.seen_us,
                served_us=asking.served_us,
                recorded_us=machine_us(),
                latency_us=int(latency_s * 1e6),
                key=asking.key,
                team=asking.team,
                query=self._kept(search.query),
                mode=search.mode,
                k=search.k,
                as_of_us=search.as_of_us,
                keys=[each.row.key for each in found.hits],
                documents=[each.row.document for each in found.hits],
                scores=[each.checked.hit.score for each in found.hits],
                cosines=[each.checked.hit.dense for each in found.hits],
                dropped=list(found.dropped),
                purpose=asking.purpose,
            )
        )

    def _kept(self, query: str) -> str:
        if self._guard is None:
            return query if self._keeps == "full" else ""
        masked: str = self._guard.mask([{"role": "user", "content": query}]).value[0]["content"]
        return masked
