"""Vectors of rows in three precisions: a bit a dimension, 8 bits a dimension, and exact where there is room.

Bits lie column by column, 64 dimensions a word, so that comparing a question with every row is six passes over flat memory for 384
dimensions. Bits are plain signs: centred or rotated ones find less for short questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["float32", "float16", "none"]
_INT8 = np.float32(127)


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Vectors of n rows of d dimensions."""

    bits: NDArray[np.uint64]
    """Signs, shape (ceil(d / 64), n); dimensions that are none are 0."""
    small: NDArray[np.int8]
    """Shape (n, d rounded up to 8)."""
    scales: NDArray[np.float32]
    """What a unit of `small` is worth, shape (n,)."""
    exact: NDArray[np.float32] | NDArray[np.float16] | None
    """Shape (n, d); None: there was no room."""
    present: NDArray[np.bool_]
    """Whether the row has a direction, shape (n,)."""


def read_vectors(raw: Sequence[bytes], dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors as they are kept, shape (n, dimensions), and which of them have a direction: the others are zeros here.

    None has that is empty, all zeros, of another length, or holds a number that is none.
    """
    size = 4 * dimensions
    fits = [len(each) == size for each in raw]
    zeros = b"\0" * size
    joined = b"".join(each if fit else zeros for each, fit in zip(raw, fits, strict=True))
    rows = np.frombuffer(joined, dtype="<f4").reshape(len(raw), dimensions).astype(np.float32)
    present = np.isfinite(rows).all(axis=1)
    rows[~present] = 0.0
    return rows, np.logical_and(present, rows.any(axis=1))


def compressed(rows: NDArray[np.float32], present: NDArray[np.bool_], precision: Precision) -> Vectors:
    """The three precisions of vectors, shape (n, d). Cost: 2 µs a row of 384."""
    n, dimensions = rows.shape
    padded = np.zeros((n, -dimensions % 64 + dimensions), dtype=np.bool_)
    padded[:, :dimensions] = rows > 0
    width = padded.shape[1] // 64
    bits = np.packbits(padded, axis=1).view(np.uint64) if padded.size else np.zeros((n, width), np.uint64)
    largest = np.abs(rows).max(axis=1, initial=0.0).astype(np.float32)
    scales = largest / _INT8
    inverse = np.divide(_INT8, largest, out=np.zeros_like(largest), where=largest > 0)
    small = np.zeros((n, -dimensions % 8 + dimensions), dtype=np.int8)
    small[:, :dimensions] = np.rint(rows * inverse[:, None])
    return Vectors(np.ascontiguousarray(bits.T), small, scales, with_precision(rows, precision), present)


def with_precision(
    rows: NDArray[np.float32] | NDArray[np.float16] | None, precision: Precision
) -> NDArray[np.float32] | NDArray[np.float16] | None:
    """The exact vectors in another precision; None where they are not to be kept, or never were."""
    if precision == "none" or rows is None:
        return None
    if precision == "float32":
        return rows.astype(np.float32, copy=False)
    return rows.astype(np.float16, copy=False)


def merged_vectors(parts: Sequence[Vectors], kept: Sequence[NDArray[np.bool_] | None], precision: Precision) -> Vectors:
    """The rows of all parts one after another, as `postings.merged`."""
    exacts = [with_precision(part.exact, precision) for part in parts]
    return Vectors(
        np.concatenate([_some(part.bits, keep, 1) for part, keep in zip(parts, kept, strict=True)], axis=1),
        np.concatenate([_some(part.small, keep, 0) for part, keep in zip(parts, kept, strict=True)]),
        np.concatenate([_some(part.scales, keep, 0) for part, keep in zip(parts, kept, strict=True)]),
        None
        if any(each is None for each in exacts)
        else np.concatenate(
            [_some(each, keep, 0) for each, keep in zip(exacts, kept, strict=True) if each is not None]
        ),
        np.concatenate([_some(part.present, keep, 0) for part, keep in zip(parts, kept, strict=True)]),
    )


def _some(array: NDArray[np.generic], keep: NDArray[np.bool_] | None, axis: int) -> NDArray[np.generic]:
    return array if keep is None else np.compress(keep, array, axis=axis)
