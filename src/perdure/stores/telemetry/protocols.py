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


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series: the readings of one signal, slice and width of window of an asset."""

    asset: str
    signal: str
    slice: str
    width_us: int
    version: str | None = None
    """Only of this one; None: of any."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """A series, thinned to a picture's width. All sequences are as long as `at_us`, which grows.

    Where there are no more readings than buckets, each stands for itself.
    """

    at_us: Sequence[int]
    """Of the newest reading in the bucket."""
    value: Sequence[float | None]
    """Mean of its values; None where nothing could be measured."""
    low: Sequence[float | None]
    """The lowest end of an interval in it."""
    high: Sequence[float | None]
    least: Sequence[float | None]
    """The smallest value in it."""
    most: Sequence[float | None]
    n: Sequence[int]
    """Rows measured, of all its readings."""
    n_whole: int
    """Readings behind them."""
    unit: str
    """Of the newest one."""


class Readings(Protocol):
    """Readings by asset and signal. Putting an equal (asset, signal, slice, version, window) again replaces it."""

    def put(self, readings: Sequence[Reading]) -> None:
        """Keep the readings, all or none."""
        ...

    def latest(self, asset: str) -> list[Reading]:
        """The newest reading of each signal and slice of an asset."""
        ...

    def newest(self) -> tuple[int, Sequence[Newest]]:
        """The newest readings of each asset, signal, slice and width, without their facts; and a mark for `changed`.

        Several of one where they were taken at one instant. Cost: every reading is looked at, some 1.5 s a million.
        """
        ...

    def changed(self, after: int, *, limit: int = 10_000) -> tuple[int, Sequence[Newest]]:
        """What was put since a mark, at most `limit` of them in the order in which they were put; and the next mark.

        A reading that was replaced comes again. Cost: of what is new.

        :raises NotFound: the mark is of another file: begin with `newest` again.
        """
        ...

    def series(
        self, wanted: Wanted, *, since: datetime | None = None, until: datetime | None = None, n_buckets: int = 500
    ) -> Buckets:
        """A series from `since` up to `until`, in at most `n_buckets` stretches of equal length.

        Cost: some 1 µs a reading of it. Never holds `put` up.
        """
        ...

    def close(self) -> None:
        """Close the store; what was put stays."""
        ...

    def list(
        self,
        asset: str | None = None,
        signal: str | None = None,
        slice: str | None = None,  # noqa: A002 - as a reading calls it
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100_000,
    ) -> list[Reading]:
        """In order of `at`, oldest first, both ends included; the newest `limit` of them."""
        ...
