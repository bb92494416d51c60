"""The lake on Delta tables: a folder a table under one root.

The drain and the loop append and read; serve never comes here. Four measured surprises shaped it:

- An append on a kept handle costs CPU in proportion to the commits that the handle has seen since it
  was loaded (8 ms after 50, 90 ms after 600). With a checkpoint every 25 commits and a fresh handle
  after it, it stays at 7 to 10 ms; `maintain` compacts the many small files that are left.
- delta-rs writes what it is given into the type that Delta has: UInt8 200 becomes Int8 -56, a number
  becomes text in a text column. So dtypes are checked first.
- A commit's application transaction is written down and not enforced: of two writers that both looked for it
  before either committed, both are taken. So looking and committing are done under a lock on the folder.
- Two compactions at once both succeed and double every row: delta-rs lets a commit that only moves
  rows remove files that are removed already. So a compaction holds a lock on the table's folder.

Old log entries and files are never removed: a version that a training run pinned stays readable.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from perdure.core.clock import monotonic_s, sleep_s, to_us
from perdure.core.errors import Conflict, Corrupt, DeclarationError, StoreError, StoreFull, not_found
from perdure.stores.lake.panicking import is_panic
from perdure.stores.lake.protocols import AppTransaction, Span

_LOG = "_delta_log"
_CHECKPOINT_COMMITS = 25
_CONFIGURATION = {
    "delta.checkpointInterval": str(_CHECKPOINT_COMMITS),
    "delta.enableExpiredLogCleanup": "false",
}
_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
_COMPACT_BYTES = 128_000_000
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.005
_TRIES = 4
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_@.-]*(/[A-Za-z0-9_][A-Za-z0-9_@.-]*)*")
_PLAIN = (pl.String, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.Binary, pl.Date)
_INSTANT = pl.Datetime("us", "UTC")


@dataclass(slots=True)
class _Handle:
    """A table and the version it was loaded at."""

    table: DeltaTable
    loaded_at: int

    @property
    def version(self) -> int:
        return int(self.table.version())


class DeltaLake:
    """Delta tables under `root`; the table `captures/air_time` is the folder of that name.

    Safe to share between threads; several processes may append to one table. Rows are read in no
    promised order.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._handles: dict[str, _Handle] = {}
        self._lock = threading.RLock()

    def append(self, table: str, frame: pl.DataFrame, *, transaction: AppTransaction | None = None) -> int:
        """Append rows in one commit; see `Lake.append`. Cost: about 8 ms CPU, and 1 ms a 10,000 rows of 20 columns.

        Raises:
            DeclarationError: a dtype that Delta does not keep, or another one than the table has.
            Conflict: other writers won each of several tries, or one holds the table and does not go on.
            StoreFull: no room.
        """
        path = self._path(table)
        with _translated(f"Table {table!r} cannot be made"):
            path.mkdir(parents=True, exist_ok=True)
        with _writing(table, path), self._lock:
            for _ in range(_TRIES):
                handle = self._newest(table)
                if handle is not None and transaction is not None and _has_seen(handle.table, transaction):
                    return handle.version
                checked = _checked(table, frame, None if handle is None else _schema(handle.table))
                try:
                    return self._commit(table, handle or self._create(table, path, checked), checked, transaction)
                except CommitFailedError:
                    self._handles.pop(table, None)
        raise Conflict(f"Other writers kept changing table {table!r}.", hint="Try again.", table=table)

    def read(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        span: Span | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Rows of a version; see `Lake.read`. Files whose statistics lie outside `span` are not opened.

        Raises:
            NotFound: no such table, version or column.
        """
        path = self._path(table)
        # The kept handle is read under the lock: an append by another thread moves it.
        with self._lock, _translated(f"Table {table!r} cannot be read"):
            handle = self._newest(table)
            if handle is None:
                raise not_found("table", table, self.tables())
            newest = handle.version
            if version is not None and not 0 <= version <= newest:
                raise not_found("version", f"{table} {version}", [f"{table} {newest}"])
            opened = handle.table if version in (None, newest) else DeltaTable(path, version=version)
            names = [field.name for field in opened.schema().fields]
            for name in [*(columns or ()), *([span.column] if span else ())]:
                if name not in names:
                    raise not_found(f"column of {table!r}", name, names)
            scan = pl.scan_delta(opened)
            if span is not None:
                scan = scan.filter(*_bounds(span))
            return scan.select(names if columns is None else list(columns)).collect()

    def version(self, table: str) -> int | None:
        """Newest version, or None when the table does not exist; sees other processes' commits."""
        with self._lock:
            handle = self._newest(table)
            return None if handle is None else handle.version

    def last_transaction(self, table: str, app: str) -> int | None:
        """Greatest transaction number that the table has seen from `app`."""
        with self._lock:
            handle = self._newest(table)
            return None if handle is None else handle.table.transaction_version(app)

    def tables(self, prefix: str = "") -> list[str]:
        """Names that begin with `prefix`, sorted."""
        found = []
        for folder, folders, _ in os.walk(self._root):
            if _LOG in folders:
                folders.clear()
                found.append(Path(folder).relative_to(self._root).as_posix())
        return sorted(name for name in found if name.startswith(prefix))

    def maintain(self, table: str) -> None:
        """Compact small files and make a checkpoint; every version stays readable.

        Raises:
            NotFound: no such table.
            Conflict: another process is compacting it.
        """
        with self._lock, _translated(f"Table {table!r} cannot be compacted"):
            if self._newest(table) is None:
                raise not_found("table", table, self.tables())
            with _compacting(table, self._path(table)):
                opened = self._load(table).table
                if len(opened.file_uris()) > 1:
                    opened.optimize.compact(target_size=_COMPACT_BYTES, post_commithook_properties=_HOOKS)
                opened.create_checkpoint()
            self._load(table)

    def _path(self, table: str) -> Path:
        if not _NAME.fullmatch(table):
            raise DeclarationError(
                f"{table!r} is no table name.", hint="Use parts of letters, digits and _ @ . - with / between them."
            )
        return self._root / table

    def _load(self, table: str) -> _Handle:
        opened = DeltaTable(self._path(table))
        handle = self._handles[table] = _Handle(opened, opened.version())
        return handle

    def _newest(self, table: str) -> _Handle | None:
        """The kept handle, brought up to date; a fresh one when it has seen a checkpoint go by."""
        path = self._path(table)
        with _translated(f"Table {table!r} cannot be opened"):
            handle = self._handles.get(table)
            if handle is None:
                return self._load(table) if DeltaTable.is_deltatable(path) else None
            # A look at the file system takes microseconds, an update a thousand times as long.
            if (path / _LOG / f"{handle.version + 1:020}.json").exists():
                handle.table.update_incremental()
            if handle.version - handle.loaded_at >= _CHECKPOINT_COMMITS:
                return self._load(table)
            return handle

    def _create(self, table: str, path: Path, frame: pl.DataFrame) -> _Handle:
        """The table without rows: a first append to a path alone would not look at its mark."""
        with _translated(f"Table {table!r} cannot be made"):
            write_deltalake(
                path,
                frame.clear(),
                mode="error",
                configuration=_CONFIGURATION,
                post_commithook_properties=_HOOKS,
            )
            return self._load(table)

    def _commit(self, table: str, handle: _Handle, frame: pl.DataFrame, transaction: AppTransaction | None) -> int:
        marks = None if transaction is None else [Transaction(transaction.app, transaction.number)]
        with _translated(f"Rows cannot be appended to table {table!r}"):
            write_deltalake(
                handle.table,
                frame,
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(app_transactions=marks),
                post_commithook_properties=_HOOKS,
            )
            return handle.version


def _has_seen(table: DeltaTable, transaction: AppTransaction) -> bool:
    last = table.transaction_version(transaction.app)
    return last is not None and last >= transaction.number


def _schema(table: DeltaTable) -> pl.Schema:
    return pl.DataFrame(table.schema().to_arrow().empty_table()).schema


def _checked(table: str, frame: pl.DataFrame, schema: pl.Schema | None) -> pl.DataFrame:
    """The frame, its untyped all-null columns cast to what the table has; refused where a dtype would change."""
    untyped = {}
    for name, dtype in frame.schema.items():
        kept = None if schema is None else schema.get(name)
        if kept is not None and dtype == pl.Null:
            untyped[name] = kept
        elif kept is not None and kept != dtype:
            raise DeclarationError(
                f"Column {name!r} is {dtype}, but table {table!r} keeps {kept}.",
                hint="Cast it, or use another name.",
                table=table,
                column=name,
            )
        elif kept is None and not _is_kept(dtype):
            raise DeclarationError(
                f"Column {name!r} of table {table!r} is {dtype}, which Delta does not keep.",
                hint="Cast it to String, Boolean, Int8 to Int64, Float32, Float64, Binary, Date, Datetime('us', 'UTC'), "
                "or a List or Struct of them.",
                table=table,
                column=name,
            )
    return frame.cast(untyped) if untyped else frame  # type: ignore[arg-type]


def _is_kept(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List):
        return _is_kept(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return all(_is_kept(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    return dtype in _PLAIN or dtype == _INSTANT


def _bounds(span: Span) -> list[pl.Expr]:
    column = pl.col(span.column)
    bounds = [] if span.start is None else [column >= _bound(span.start)]
    return bounds if span.end is None else [*bounds, column < _bound(span.end)]


def _bound(value: datetime | int) -> pl.Expr:
    if isinstance(value, int):
        return pl.lit(value)
    # Ten times as cheap as the literal of an aware datetime; the plan is the same.
    return pl.lit(to_us(value)).cast(_INSTANT)


@contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    """Holds a lock on a file, which ends with the process at the latest; BlockingIOError after `wait_s`."""
    fd, deadline_s = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644), monotonic_s() + wait_s
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic_s() >= deadline_s:
                    raise
                sleep_s(_LOCK_POLL_S)
        yield
    finally:
        os.close(fd)


@contextmanager
def _writing(table: str, path: Path) -> Iterator[None]:
    """One append at a time: between looking for a mark and committing it, no other may commit the same."""
    with ExitStack() as held:
        try:
            held.enter_context(_locked(path / ".writing", _LOCK_WAIT_S))
        except BlockingIOError as error:
            raise Conflict(
                f"Another process has been writing table {table!r} for {_LOCK_WAIT_S:g} s.",
                hint="If it hangs, end it: its lock ends with it.",
                table=table,
            ) from error
        yield


@contextmanager
def _compacting(table: str, path: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(_locked(path / ".compacting", 0.0))
        except BlockingIOError as error:
            raise Conflict(
                f"Another process is compacting table {table!r}.", hint="Nothing to do.", table=table
            ) from error
        yield


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Driver errors as ours; `CommitFailedError` passes, for the caller to try again."""
    try:
        yield
    except (CommitFailedError, StoreError):
        raise
    except (DeltaError, TableNotFoundError, OSError, pl.exceptions.PolarsError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        leaf = StoreFull if full else StoreError
        raise leaf(f"{what}: {error}", hint="Make room." if full else "Look at the table's folder.") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise Corrupt(f"{what}: a file of it is damaged.", hint="Restore the table's folder from a backup.") from error
