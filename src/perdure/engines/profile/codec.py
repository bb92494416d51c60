"""Profiles as bytes, for the blob store: MessagePack, versioned, equal profiles give equal bytes.

Called by training, which stores the reference, and by observing, which reads it back.
"""

from __future__ import annotations

import msgspec
import numpy as np

from perdure.core.errors import Corrupt
from perdure.core.stats.columns import CategoryColumn, Column, NumericColumn, Profile
from perdure.core.stats.sketches import Grid

_FORMAT = "perdure.profile"
_VERSION = 1


class _Numeric(msgspec.Struct, tag="numeric", frozen=True):
    edges: bytes
    discrete: bool
    counts: bytes
    n: int
    n_null: int
    total: float
    squares: float
    lowest: float
    highest: float
    below_total: float
    above_total: float


class _Category(msgspec.Struct, tag="category", frozen=True):
    labels: list[str]
    counts: bytes
    n: int
    n_null: int
    complete: bool
    codes: list[str]


class _Stored(msgspec.Struct, frozen=True):
    format: str
    version: int
    n_rows: int
    columns: dict[str, _Numeric | _Category]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Stored)


def to_bytes(profile: Profile) -> bytes:
    """A profile as bytes; some 20 kB a numeric column.

    >>> from perdure.core.stats.columns import Profile, numeric_column
    >>> profile = Profile(2, {"a": numeric_column(np.array([1, 2], dtype=np.float32))})
    >>> from_bytes(to_bytes(profile)).columns["a"].mean
    1.5
    """
    columns = {name: _stored(column) for name, column in profile.columns.items()}
    return _ENCODER.encode(_Stored(_FORMAT, _VERSION, profile.n_rows, columns))


def from_bytes(data: bytes) -> Profile:
    """The profile that `to_bytes` wrote.

    Raises:
        Corrupt: these bytes are no profile, or one of a version this release cannot read.
    """
    try:
        stored = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"These {len(data)} bytes are no profile: {error}.", hint="Build the reference again.") from error
    if stored.format != _FORMAT or stored.version != _VERSION:
        raise Corrupt(
            f"This is {stored.format!r} version {stored.version}; this release reads {_FORMAT!r} version {_VERSION}.",
            hint="Build the reference profile again with this release.",
        )
    return Profile(stored.n_rows, {name: _restored(name, column) for name, column in stored.columns.items()})


def _stored(column: Column) -> _Numeric | _Category:
    counts = column.counts.astype("<i8").tobytes()
    if isinstance(column, CategoryColumn):
        labels, codes = list(column.labels), list(column.codes)
        return _Category(labels, counts, column.n, column.n_null, column.complete, codes)
    return _Numeric(
        edges=column.grid.edges.astype("<f4").tobytes(),
        discrete=column.grid.discrete,
        counts=counts,
        n=column.n,
        n_null=column.n_null,
        total=column.total,
        squares=column.squares,
        lowest=column.lowest,
        highest=column.highest,
        below_total=column.below_total,
        above_total=column.above_total,
    )


def _restored(name: str, stored: _Numeric | _Category) -> Column:
    n_cells = (len(stored.labels) if isinstance(stored, _Category) else len(stored.edges) // 4) + 1
    if len(stored.counts) != 8 * n_cells:
        raise Corrupt(
            f"Column {name!r} of the profile has {len(stored.counts)} bytes of counts, but {n_cells} cells.",
            hint="Build the reference profile again.",
        )
    counts = np.frombuffer(stored.counts, dtype="<i8").astype(np.int64)
    if isinstance(stored, _Category):
        return CategoryColumn(
            tuple(stored.labels), counts, stored.n, stored.n_null, stored.complete, tuple(stored.codes)
        )
    return NumericColumn(
        grid=Grid(np.frombuffer(stored.edges, dtype="<f4").astype(np.float32), stored.discrete),
        counts=counts,
        n=stored.n,
        n_null=stored.n_null,
        total=stored.total,
        squares=stored.squares,
        lowest=stored.lowest,
        highest=stored.highest,
        below_total=stored.below_total,
        above_total=stored.above_total,
    )
