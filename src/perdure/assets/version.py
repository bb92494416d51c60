"""Versions and pointers: the records behind "which one runs, since when, and where is it from"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

CHAMPION = "champion"
CHALLENGER = "challenger"
SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable, content-hashed definition and artifact of an asset, with its lineage."""

    id: str
    """`asset@` and 12 hex digits of the content hash of definition, artifacts and lineage."""
    asset: str
    kind: str
    definition: Mapping[str, Any]
    """What it is and how it computes; JSON-compatible, enough to serve it without the code."""
    artifacts: Mapping[str, str]
    """Blob digests by role, such as `onnx`, `native`, `profile`."""
    lineage: Mapping[str, Any]
    """Dataset, code hash, seed, parameters, run."""
    metrics: Mapping[str, float]
    created_at: datetime
    """Domain time."""
    actor: str = "local"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A named alias of an asset → a version and a share of its traffic."""

    asset: str
    name: str
    """`champion`, `challenger`, `shadow`, or the user's own."""
    version: str
    share: float = 1.0
    """0 to 1: the part of keyed traffic the pointer answers; the champion answers the rest."""


@dataclass(frozen=True, slots=True)
class PointerMove:
    """One event of the pointers' history. `version` None removes the pointer."""

    asset: str
    name: str
    version: str | None
    share: float
    sequence: int
    """The ledger's sequence number of the transaction that moved it."""
    at: datetime
    actor: str
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def dataset_name(model: str) -> str:
    """The asset name of a model's datasets."""
    return f"{model}_rows"
