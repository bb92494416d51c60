"""Sources: where data comes from. An asset too, with objectives of its own.

Every row has two times: `event_at`, when it happened, and `available_at`, when it could first be
known. A join never sees a row whose `available_at` lies in its future.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.contract import Contract
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.core.errors import BadSource, nearest
from perdure.core.units import hours

if TYPE_CHECKING:
    import polars as pl

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def checked_name(name: str, what: str) -> str:
    """`name` if it is a legal asset name, lower case with underscores.

    Raises:
        BadSource: it is not.
    """
    if not _NAME.fullmatch(name):
        raise BadSource(f"The {what} name {name!r} is not legal.", hint="Use a-z, 0-9 and _, a letter first.")
    return name


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file; columns are cast to their contract's types, and what cannot be cast is quarantined."""

    path: Path
    rename: Mapping[str, str]
    """Column of the file → field of the contract; columns of neither are dropped."""
    null_values: tuple[str, ...] = ("", "NA")
    timezone: str = ""
    """Zone of instants that are written without one; empty: such rows are quarantined."""


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A Parquet file, or a glob of them."""

    path: Path
    rename: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallableReader:
    """A function without arguments that returns the source's rows as a polars frame."""

    function: Callable[[], pl.DataFrame]


Reader = CsvFile | ParquetFile | CallableReader


def csv(
    path: str | Path,
    *,
    rename: Mapping[str, str] | None = None,
    null_values: tuple[str, ...] = ("", "NA"),
    timezone: str = "",
) -> CsvFile:
    """Rows from a CSV file with a header, or from all files that match a glob.

    Args:
        path: the file; `*` and `?` in its name match several.
        rename: column of the file → field of the contract.
        null_values: texts that mean a missing value.
        timezone: such as `UTC`, the zone of instants that are written without one.
    """
    return CsvFile(Path(path), dict(rename or {}), null_values, timezone)


def parquet(path: str | Path, *, rename: Mapping[str, str] | None = None) -> ParquetFile:
    """Rows from Parquet."""
    return ParquetFile(Path(path), dict(rename or {}))


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A named stream of rows under a contract.

    Args:
        name: lower case with underscores.
        contract: what every row must satisfy; rows that do not are quarantined with their reasons.
        read: `csv(...)`, `parquet(...)` or a function that returns a polars frame.
        event_at: field with the instant the row is about.
        available_at: field with the instant from which the row could be known, or the delay after
            `event_at`. The default is no delay.
        key: fields that, with `event_at`, identify a row: of those that are equal in both, the one that
            became available last counts, and one that was corrected and is put back counts again. A
            correction that moves `event_at` is a row of its own beside the old one.
        every: how often new rows are taken in. A source of stored features is looked at in every round,
            and what came late is taken in at once.
        healthy: objectives such as `freshness_h(over=days(1)) <= 6`.
        owner: who is asked when the feed breaks.
        policy: how far the loop may go alone when it does, such as `Policy.act()`: bad batches are set aside,
            and serving falls back.
    """

    name: str
    contract: type[Contract]
    read: Reader | Callable[[], pl.DataFrame]
    event_at: str
    available_at: str | timedelta = timedelta(0)
    key: tuple[str, ...] = ()
    every: timedelta = hours(1)
    healthy: tuple[Objective, ...] | list[Objective] = ()
    owner: str = ""
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        checked_name(self.name, "source")
        if not isinstance(self.read, CsvFile | ParquetFile | CallableReader):
            object.__setattr__(self, "read", CallableReader(self.read))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        fields = self.contract.model_fields
        named = [self.event_at, *self.key, *([self.available_at] if isinstance(self.available_at, str) else [])]
        for each in named:
            if each not in fields:
                near = nearest(each, fields)
                raise BadSource(
                    f"Source {self.name!r} names the field {each!r}, which {self.contract.__name__} does not have.",
                    hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(fields)}.",
                )
