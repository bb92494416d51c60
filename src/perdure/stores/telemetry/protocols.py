"""Telemetry's Protocol: readings. A crash may lose the last second; decisions embed what they used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from perdure.assets.health import Reading


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest reading of one signal, slice and width of window, without what it rests on."""

    signal: str
    slice: str
    width_us: int
    at_us: int
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    version: str
    asset: str = ""
    harm_low: float | None = None
    """Its fact of that name, by which an `unharmful` objective is judged; None where it has none."""


class Readings(Protocol):
    """Readings by asset and signal. Putting an equal (asset, signal, slice, version, window) again replaces it."""

    def put(self, readings: Sequence[Reading]) -> None: ...
    def latest(self, asset: str) -> list[Reading]:
        """The newest reading of each signal and slice of an asset."""
        ...

    def close(self) -> None: ...

    def list(
        self,
        asset: str | None = None,
        signal: str | None = None,
        *,
        since: datetime | None = None,
        limit: int = 100_000,
    ) -> list[Reading]:
        """In order of `at`, oldest first; the newest `limit` of them."""
        ...
