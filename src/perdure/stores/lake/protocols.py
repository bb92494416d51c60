"""The lake's Protocol: append-only tables of columns with versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class AppTransaction:
    """Marks an append so that doing it again has no effect: per table and `app`, `number` only grows."""

    app: str
    number: int


@dataclass(frozen=True, slots=True)
class Span:
    """Rows with `start <= column < end`; None leaves that side open. Lets an adapter skip files."""

    column: str
    """Of instants, or of whole numbers."""
    start: datetime | int | None = None
    end: datetime | int | None = None


class Lake(Protocol):
    """Tables by name, such as `captures/air_time`. Appends are atomic; readers see whole versions."""

    def append(self, table: str, frame: pl.DataFrame, *, transaction: AppTransaction | None = None) -> int:
        """Append rows, making the table if need be; new columns are added, missing ones are null.

        With a transaction whose number the table has already seen for that app, nothing happens.
        Returns the table's version after the call.

        :raises DeclarationError: a dtype that the lake does not keep, or another one than the table has.
        :raises Conflict: other writers won every try.
        :raises StoreFull: no room.
        """
        ...

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        span: Span | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Rows of a version (the newest by default), in no promised order.

        :raises NotFound: no such table, version or column.
        """
        ...

    def version(self, table: str) -> int | None:
        """Newest version, or None when the table does not exist."""
        ...

    def last_transaction(self, table: str, app: str) -> int | None:
        """Greatest transaction number that the table has seen from `app`."""
        ...

    def tables(self, prefix: str = "") -> list[str]:
        """Names, sorted."""
        ...

    def maintain(self, table: str) -> None:
        """Checkpoint and compact; no row and no version that is pinned is lost."""
        ...
