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
    """Reads its own writes; a `put` of many rows is atomic; survives kill −9 after `put` returned.

    Every write takes the `epoch` of the lease under which it is done, and is refused where the store has seen
    a higher one: a worker that lost its lease changes nothing. The store keeps the highest with the rows, in
    the same transaction. All epochs are of one lease; 0 is no fence.
    """

    def put(self, view: str, rows: Sequence[OnlineRow], *, epoch: int = 0) -> int:
        """Keep each row unless the store has one of a later `(event_us, available_us)`; returns how many were kept.

        `view` is a view's version id, so two versions live side by side. Of several rows of one key
        only the newest counts; of rows of equal instants, the last.

        :raises LostLease: the store has seen a higher epoch; nothing was kept.
        """
        ...

    def replace(self, view: str, rows: Sequence[OnlineRow], *, epoch: int = 0) -> int:
        """Make these the only rows of the view, at once for every reader; returns how many there are.

        Of several rows of one key the newest counts, as with `put`; what was there before does not.

        :raises LostLease: the store has seen a higher epoch; nothing was changed.
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

    def drop(self, view: str, *, epoch: int = 0) -> None:
        """Forget a view version.

        :raises LostLease: the store has seen a higher epoch; nothing was forgotten.
        """
        ...

    def close(self) -> None: ...
