"""Rows of a Delta table or of Parquet files as documents, through Polars: only columns that are needed are read.

A listing is of one version of a Delta table. Of Parquet files that are replaced while they are read it may be of neither; then a
resync's second look tells. A table on this machine is watched by its log or its files; one in an object store is listed now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

import polars as pl

from perdure.assets.documents import TableRows
from perdure.core.clock import monotonic_s
from perdure.core.documents import DocumentRef, RawDocument, Trouble
from perdure.core.errors import BadIndex
from perdure.stores.documents.files import vanished
from perdure.stores.documents.polling import Due, Polled
from perdure.stores.documents.rows import RowsAsDocuments, key_of
from perdure.stores.lake.scanning import scan_table, table_errors

_LOOK_S = 0.2
_EVERY_S = 30.0
"""Between two listings of a table in an object store: each costs requests."""
_AT_ONCE = 2_000
_BATCH_ROWS = 10_000


class TableDocuments:
    """The rows of a table. Safe to use from several threads.

    Args:
        declared: which table, and its columns.
        root: of the project, which a path is relative to.
    """

    def __init__(self, declared: TableRows, root: Path) -> None:
        self._id = declared.id
        self._rows = RowsAsDocuments(declared)
        self._is_remote = "://" in declared.path
        self._where = declared.path if self._is_remote else str(root / declared.path)
        self._due = Due(_EVERY_S)
        self._polled = Polled(_LOOK_S, self._state)

    def list(self) -> Iterator[DocumentRef | Trouble]:
        """Every row, by id. Cost: reading the columns of ids and tokens, or all that are needed where rows are digested.

        Raises:
            StoreError: the table cannot be read, or lacks a column.
            BadIndex: its ids are neither texts nor whole numbers.
        """
        began_s = monotonic_s()
        with table_errors(self._where):
            frame = self._scan()
            self._check_ids(frame)
            found = list(self._rows.refs(_each(frame.select(self._rows.listed))))
        self._due.took(monotonic_s() - began_s)
        yield from found

    def read(self, refs: Sequence[DocumentRef]) -> Iterator[RawDocument | Trouble]:
        """The rows as they are now; files whose statistics hold none of the ids are not opened.

        Raises: StoreError, BadIndex, as `list`.
        """
        for begin in range(0, len(refs), _AT_ONCE):
            part = refs[begin : begin + _AT_ONCE]
            found: dict[str, list[Mapping[str, Any]]] = {}
            with table_errors(self._where):
                frame = self._scan()
                keys = pl.Series([ref.id for ref in part]).cast(self._check_ids(frame), strict=False).drop_nulls()
                asked = frame.select(self._rows.columns).filter(pl.col(self._id).is_in(keys.implode()))
                for row in _each(asked):
                    found.setdefault(key_of(row[self._id]), []).append(row)
            for ref in part:
                yield self._rows.document(found[ref.id]) if ref.id in found else vanished(ref.id)

    def wait(self, seconds: float) -> bool:
        """Wait until the table may have another version: its log or its files are looked at five times a second."""
        return self._due.wait(seconds) if self._is_remote else self._polled.wait(seconds)

    def close(self) -> None:
        """Whoever waits stops."""
        self._due.close()
        self._polled.close()

    def _scan(self) -> pl.LazyFrame:
        files = has_magic(self._where) or self._where.endswith(".parquet")
        if self._is_remote:
            return pl.scan_parquet(self._where) if files else scan_table(self._where)
        if (Path(self._where) / "_delta_log").is_dir():
            return scan_table(self._where)
        return pl.scan_parquet(self._where)

    def _check_ids(self, frame: pl.LazyFrame) -> pl.DataType:
        schema = frame.collect_schema()
        kind = schema.get(self._id)
        if kind is not None and not (kind == pl.String or kind.is_integer()):
            raise BadIndex(
                f"The column {self._id!r} of {self._where} is {kind}, and ids are texts or whole numbers.",
                hint="Name another column as the id.",
            )
        return kind if kind is not None else pl.String()

    def _state(self) -> object:
        """The newest file of the log, or the files themselves."""
        log = Path(self._where) / "_delta_log"
        if log.is_dir():
            return max((each.name for each in log.glob("*.json")), default="")
        path = Path(self._where)
        if path.is_dir():
            return sorted(map(_stamp, path.rglob("*.parquet")))
        return sorted(map(_stamp, Path(path.anchor).glob(str(path.relative_to(path.anchor)))))


def _each(frame: pl.LazyFrame) -> Iterator[Mapping[str, Any]]:
    for batch in frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=False):
        yield from batch.iter_rows(named=True)


def _stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        about = file.stat()
    except OSError:
        return str(file), 0, 0, 0
    return str(file), about.st_mtime_ns, about.st_ino, about.st_size
