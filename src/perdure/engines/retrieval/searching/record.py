"""Documents as a filter sees them: who may find each, and the declared members of its metadata, as columns.

What may be found is settled before anything is ranked, so k chunks are found among what may be found. A value is a number in its
column's sorted list of values, so a filter is two bisections and one comparison of whole numbers: exact for whole numbers of any size,
for texts, and for a column that holds several kinds.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perdure.core.documents import Between, Scalar, Where
from perdure.core.errors import BadIndex
from perdure.engines.retrieval.searching.protocols import Findable
from perdure.engines.retrieval.searching.terms import numbers_of

_Ordered = tuple[int, Scalar]
"""Kind and value: flags, numbers and texts are never equal and never compared."""
_MISSING, _NO_NUMBER = -1, -2


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A member of the metadata over all documents."""

    values: Sequence[_Ordered]
    """Each once, ascending."""
    codes: NDArray[np.int32]
    """Place in `values` of each document's value; -1: it has none; -2: a number that is none."""

    def matching(self, wanted: Scalar | Sequence[Scalar] | Between) -> NDArray[np.bool_]:
        """Which documents match, shape (n,)."""
        if isinstance(wanted, Between):
            if wanted.least is None and wanted.most is None:
                return np.not_equal(self.codes, _MISSING)
            low, high = self._range(wanted)
            return (self.codes >= low) & (self.codes < high)
        if isinstance(wanted, str | int | float | bool):
            return np.equal(self.codes, self._place(wanted))
        places = [self._place(each) for each in wanted]
        return np.isin(self.codes, [place for place in places if place >= 0])

    def _place(self, value: Scalar) -> int:
        if value != value:  # noqa: PLR0124 - a number that is none equals nothing
            return -3
        place = bisect_left(self.values, _ordered(value))
        return place if place < len(self.values) and self.values[place] == _ordered(value) else -3

    def _range(self, wanted: Between) -> tuple[int, int]:
        ends = [each for each in (wanted.least, wanted.most) if each is not None]
        kinds = {_ordered(each)[0] for each in ends}
        if len(kinds) > 1 or any(each != each for each in ends):  # noqa: PLR0124
            return 0, 0
        [kind] = kinds
        low = bisect_left(self.values, kind, key=_kind_of) if wanted.least is None else None
        high = bisect_right(self.values, kind, key=_kind_of) if wanted.most is None else None
        return (
            bisect_left(self.values, _ordered(ends[0])) if low is None else low,
            bisect_right(self.values, _ordered(ends[-1])) if high is None else high,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """All documents of a generation, by the number of their id."""

    ids: NDArray[np.uint64]
    """Hashed, ascending, shape (n,)."""
    readers: NDArray[np.int32]
    """Place in `reader_sets` of each."""
    reader_sets: Sequence[frozenset[str] | None]
    columns: Mapping[str, Column] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    """All that any document names as readers."""

    @classmethod
    def of(cls, documents: Iterable[Findable], fields: Iterable[str] = ()) -> Record:
        """Columns of the declared fields; later documents of one id replace earlier ones. Cost: 2 µs a document."""
        names = list(fields)
        ids: list[str] = []
        sets: dict[frozenset[str] | None, int] = {}
        readers: list[int] = []
        values: dict[str, list[Scalar | None]] = {name: [] for name in names}
        for document in documents:
            ids.append(document.id)
            group = None if document.readers is None else frozenset(document.readers)
            readers.append(sets.setdefault(group, len(sets)))
            for name in names:
                values[name].append(document.metadata.get(name))
        hashed = numbers_of(ids)
        found, last = np.unique(hashed[::-1], return_index=True)
        order = len(ids) - 1 - last
        return cls(
            found,
            np.array(readers, dtype=np.int32)[order],
            list(sets),
            {name: _column([values[name][i] for i in order]) for name in names},
            frozenset[str]().union(*(group for group in sets if group is not None)),
        )

    def numbers(self, owners: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Place of each row's document; -1: the record does not have it."""
        if not len(self.ids):
            return np.full(len(owners), -1, dtype=np.int32)
        at = np.minimum(np.searchsorted(self.ids, owners), len(self.ids) - 1)
        return np.where(self.ids[at] == owners, at, -1).astype(np.int32)

    def readable(self, groups: Sequence[str] | None) -> NDArray[np.bool_] | None:
        """Which documents may be found by who is in these groups; None: all."""
        if groups is None or all(each is None for each in self.reader_sets):
            return None
        asked = frozenset(groups)
        may = np.array([each is None or not each.isdisjoint(asked) for each in self.reader_sets], dtype=np.bool_)
        found: NDArray[np.bool_] = may[self.readers]
        return found

    def holding(self, where: Where) -> NDArray[np.bool_] | None:
        """Of which documents all members hold; None: all.

        Raises:
            BadIndex: a member that is no declared field.
        """
        held: NDArray[np.bool_] | None = None
        for name, wanted in where.items():
            if name not in self.columns:
                raise BadIndex(
                    f"The index has no field {name!r} to filter by.",
                    hint=f"It has {', '.join(sorted(self.columns)) or 'none'}; declare others as `fields` of the index.",
                )
            found = self.columns[name].matching(wanted)
            held = found if held is None else held & found
        return held


def _column(values: Sequence[Scalar | None]) -> Column:
    distinct = {_ordered(value) for value in values if value is not None and not _is_no_number(value)}
    ascending = sorted(distinct)
    places = {each: place for place, each in enumerate(ascending)}
    codes = [
        _MISSING if value is None else _NO_NUMBER if _is_no_number(value) else places[_ordered(value)]
        for value in values
    ]
    return Column(ascending, np.array(codes, dtype=np.int32))


def _is_no_number(value: Scalar) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _ordered(value: Scalar) -> _Ordered:
    if isinstance(value, bool):
        return 0, value
    return (2, value) if isinstance(value, str) else (1, value)


def _kind_of(value: _Ordered) -> int:
    return value[0]
