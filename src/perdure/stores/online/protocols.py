"""The online store's Protocol: one packed row a key and view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class OnlineRow:
    """A view's features of one key. Instants in microseconds since 1970 UTC."""

    key: str
    values: tuple[Value, ...]
    """In the order of the view's features."""
    event_us: int
    available_us: int


class Online(Protocol):
    """Reads its own writes; a `put` of many rows is atomic; survives kill −9 after `put` returned."""

    def put(self, view: str, rows: Sequence[OnlineRow]) -> int:
        """Keep each row unless the store has one of a later `(event_us, available_us)`; returns how many were kept.

        `view` is a view's version id, so two versions live side by side. Of several rows of one key
        only the newest counts; of rows of equal instants, the last.
        """
        ...

    def get(self, view: str, keys: Sequence[str]) -> Mapping[str, OnlineRow]:
        """The rows that exist, by key."""
        ...

    def count(self, view: str) -> int:
        """Number of keys."""
        ...

    def views(self) -> list[str]:
        """View versions that have rows, sorted."""
        ...

    def drop(self, view: str) -> None:
        """Forget a view version."""
        ...

    def close(self) -> None: ...
