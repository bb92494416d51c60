"""Rows of queries and tables as documents: their ids, tokens, texts and metadata. The adapters of SQL and of tables call it.

What surprised us: a column of instants is only as fine as its clock, so a row that was written twice within a second has one token for
two contents. As of a file, a token of the last seconds is used once. A token of NULL says nothing, and is used once too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from perdure.assets.documents import SqlRows, TableRows
from perdure.core.clock import from_us, iso, machine_us, parse_at, to_us
from perdure.core.documents import DocumentRef, RawDocument, Scalar, Trouble
from perdure.core.errors import DeclarationError
from perdure.stores.documents.files import MOST_BYTES, too_large

_RACY_US = 2_000_000

Row = Mapping[str, Any]


class RowsAsDocuments:
    """Makes documents of rows.

    Args:
        declared: what their columns are.
    """

    def __init__(self, declared: SqlRows | TableRows) -> None:
        self._declared = declared
        told = (declared.id, declared.text, declared.token, declared.changed, declared.title, declared.readers)
        self.columns: Sequence[str] = list(dict.fromkeys(each for each in (*told, *declared.metadata) if each))
        """All that a document takes."""
        short = [each for each in (declared.id, declared.token, declared.changed) if each]
        self.listed: Sequence[str] = list(dict.fromkeys(short)) if declared.token else self.columns
        """What a listing takes: all, where a row has to be digested."""

    def refs(self, rows: Iterable[Row]) -> Iterator[DocumentRef | Trouble]:
        """Of each row, by id; a second row of an id is `twice`, and one without an id `unreadable`."""
        now_us = machine_us()
        found = sorted(
            (key_of(row[self._declared.id]), self._token(row, now_us), self._changed_us(row)) for row in rows
        )
        previous = None
        for id_, token, changed_us in found:
            if not id_:
                if previous is None:
                    yield Trouble("", "unreadable", f"A row has no {self._declared.id}.")
            elif id_ == previous:
                yield Trouble(id_, "twice", f"Several rows have the {self._declared.id} {id_!r}.")
            else:
                yield DocumentRef(id_, self._once(token, changed_us, now_us), changed_us or None)
            previous = id_

    def document(self, rows: Sequence[Row]) -> RawDocument | Trouble:
        """Of the rows of one id that which is listed."""
        now_us = machine_us()
        row = min(rows, key=lambda row: self._token(row, now_us)) if len(rows) > 1 else rows[0]
        raw = self._read(row)
        if len(raw.data) > MOST_BYTES:
            return too_large(raw.ref.id, len(raw.data), MOST_BYTES)
        changed_us = self._changed_us(row)
        token = self._once(self._token(row, now_us), changed_us, now_us)
        ref = DocumentRef(raw.ref.id, token, changed_us or None)
        return RawDocument(ref, raw.data, raw.media_type, raw.metadata, raw.readers)

    def _read(self, row: Row) -> RawDocument:
        declared = self._declared
        metadata = {name: told for name in declared.metadata if (told := _scalar(row[name])) is not None}
        if declared.title and (title := _scalar(row[declared.title])) is not None:
            metadata["title"] = str(title)
        readers = None
        if declared.readers and row[declared.readers] is not None:
            readers = _groups(row[declared.readers])
        return RawDocument(
            DocumentRef(key_of(row[declared.id]), ""),
            _bytes(row[declared.text]),
            declared.media_type,
            metadata,
            readers,
        )

    def _token(self, row: Row, now_us: int) -> str:
        if not self._declared.token:
            return self._read(row).digest
        told = row[self._declared.token]
        return key_of(told) if told is not None else f"null:{now_us}"

    def _changed_us(self, row: Row) -> int:
        """0: it is not known."""
        declared = self._declared
        if declared.changed:
            return _instant_us(row[declared.changed])
        told = row[declared.token] if declared.token else None
        return _instant_us(told) if isinstance(told, date) else 0

    def _once(self, token: str, changed_us: int, now_us: int) -> str:
        """A token that is an instant of just now is used once."""
        is_racy = bool(self._declared.token) and now_us - _RACY_US <= changed_us <= now_us
        return f"{token}:{now_us}" if is_racy else token


def key_of(value: object) -> str:
    r"""A value of a column of ids or tokens as text; of NULL, nothing.

    >>> key_of(42), key_of("a"), key_of(None), key_of(b"\x01\xff")
    ('42', 'a', '', '01ff')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value.isoformat() if isinstance(value, date) else str(value)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return b"" if value is None else json.dumps(value, default=str, ensure_ascii=False, sort_keys=True).encode()


def _scalar(value: Any) -> Scalar | None:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return iso(from_us(_instant_us(value)))
    if value is None or isinstance(value, bool | int | float):
        return value
    return key_of(value)


def _groups(value: object) -> tuple[str, ...]:
    """Of a text with commas, or of a list."""
    told = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return tuple(group for each in told if (group := str(each).strip()))


def _instant_us(value: object) -> int:
    """Microseconds since 1970 of an instant, a day, ISO 8601 or a number of s, ms or µs; 0: it is none. No zone is UTC.

    >>> _instant_us(1_700_000_000) == _instant_us("2023-11-14T22:13:20Z") == _instant_us(1_700_000_000_000)
    True
    """
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int | float | Decimal):
        return int(value * 1_000_000 if value < 1e11 else value * 1_000 if value < 1e14 else value)
    try:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return to_us(value)
        return to_us(parse_at(value.isoformat() if isinstance(value, date) else str(value)))
    except DeclarationError:
        return 0
