"""Reads a source and judges its rows by the contract, once for each state of what it reads.

Intake and the materialiser ask many times for small stretches of time; the rows are parsed and
checked once and kept sorted by the instant from which they could be known.

A row that was not there when the source was last looked at, although it declares to have been known
by then, came late: it counts from the instant at which it was found, offline as online.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.fields import contract_fields
from perdure.assets.source import CallableReader, CsvFile, ParquetFile, Source
from perdure.core.canonical import plain
from perdure.core.clock import to_us
from perdure.core.errors import BadSource, PerdureError
from perdure.engines.contracts import compile_contract
from perdure.engines.contracts.frames import FrameError
from perdure.loop.work.kept import KeptRows
from perdure.stores.lake.protocols import Span

INSTANT = pl.Datetime("us", "UTC")
EVENT_AT = "_event_at"
AVAILABLE_AT = "_available_at"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """A source's rows under their contract, both frames sorted by `_available_at`, nulls first.

    `good` has the contract's columns with `_event_at` and `_available_at`; `bad` has `row` and
    `errors` as JSON with `_available_at` (null where it cannot be read).
    """

    good: pl.DataFrame
    bad: pl.DataFrame

    def between(self, start: datetime | None, end: datetime) -> JudgedRows:
        """Rows that became available in `(start, end]`; bad rows of unknown time come with the first stretch.

        Cost: two binary searches a frame; the result is a view of the same memory.
        """
        return JudgedRows(_cut(self.good, self._good_us, start, end), _cut(self.bad, self._bad_us, start, end))

    def known_from(self, at: datetime) -> JudgedRows:
        """The same rows, as if they had become available at that instant."""
        known = pl.lit(at).cast(INSTANT).alias(AVAILABLE_AT)
        return JudgedRows(self.good.with_columns(known), self.bad.with_columns(known))

    def fingerprint_until(self, end: datetime) -> str:
        """Stands for the content of all rows, good and bad, that became available until `end`.

        Equal content gives equal text in any order of rows; a row that came, went or was changed gives another.
        """
        good, bad = _position(self._good_us, end), _position(self._bad_us, end)
        return f"{good}:{self._good_sums[good]:016x} {bad}:{self._bad_sums[bad]:016x}"

    @property
    def n_rows(self) -> int:
        """Good and bad."""
        return self.good.height + self.bad.height

    @cached_property
    def _good_us(self) -> NDArray[np.int64]:
        return _instants_us(self.good)

    @cached_property
    def _bad_us(self) -> NDArray[np.int64]:
        return _instants_us(self.bad)

    @cached_property
    def _good_sums(self) -> NDArray[np.uint64]:
        return _running_sums(self.good)

    @cached_property
    def _bad_sums(self) -> NDArray[np.uint64]:
        # Without the errors: their words may change from one release of a library to the next.
        return _running_sums(self.bad.select("row", AVAILABLE_AT))


def _running_sums(frame: pl.DataFrame) -> NDArray[np.uint64]:
    """Sums, modulo 2^64, of the hashes of the first 0, 1, 2 … rows. Cost: 20 ns a row of nine columns."""
    hashes = frame.hash_rows(seed=0).to_numpy()
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes, dtype=np.uint64)])


def known_span(column: str, after: datetime | None, until: datetime) -> Span:
    """`after < column <= until`: what became known in a stretch of time, its end included as intake does."""
    return Span(column, None if after is None else after + _MICROSECOND, until + _MICROSECOND)


def _instants_us(frame: pl.DataFrame) -> NDArray[np.int64]:
    """`_available_at` in microseconds; before everything where it is unknown."""
    return frame[AVAILABLE_AT].cast(INSTANT).to_physical().fill_null(np.iinfo(np.int64).min).to_numpy()


def _position(instants_us: NDArray[np.int64], at: datetime) -> int:
    return int(np.searchsorted(instants_us, to_us(at), side="right"))


def _cut(frame: pl.DataFrame, instants_us: NDArray[np.int64], start: datetime | None, end: datetime) -> pl.DataFrame:
    first = 0 if start is None else _position(instants_us, start)
    return frame.slice(first, max(0, _position(instants_us, end) - first))


@dataclass(slots=True)
class _Look:
    """What a source showed when it was last looked at, and when that was."""

    stamp: Any
    rows: JudgedRows
    at: datetime | None = None
    late_at: datetime | None = None


class Feeds:
    """Judged rows by source, cached until the file or the frame behind it changes.

    Args:
        kept: what the lake has of a source, given an empty frame of its types; None where it has no table. Without
            it every row that comes late counts as new.
    """

    def __init__(self, kept: Callable[[Source, pl.DataFrame], KeptRows | None] | None = None) -> None:
        self._kept = kept
        self._looks: dict[str, _Look] = {}

    def rows(self, source: Source, now: datetime | None = None) -> JudgedRows:
        """All rows of the source as it reads now, late ones dated when they were first found.

        Args:
            source: what to read.
            now: domain time of the look; None leaves no trace of when it was.

        Cost: the stamps of the files, or one call of the reader; after a change the whole source.

        Raises:
            BadSource: it cannot be read, or lacks the columns of its contract.
        """
        stamp, load = _reader(source)
        look = self._looks.get(source.name)
        if look is None:
            look = self._looks[source.name] = _Look(stamp, judge(source, load()))
        elif not _same(look.stamp, stamp):
            look.rows = self._dated(source, look, judge(source, load()), now)
            look.stamp = stamp
        if now is not None:
            look.at = now if look.at is None else max(look.at, now)
        return look.rows

    def late_at(self, source: Source) -> datetime | None:
        """The newest instant at which a row was found late; None when none was."""
        look = self._looks.get(source.name)
        return None if look is None else look.late_at

    def _dated(self, source: Source, look: _Look, new: JudgedRows, now: datetime | None) -> JudgedRows:
        """The new rows: those that were there before keep their instant, late ones get the present one."""
        fields = list(source.contract.model_fields)
        seen = look.rows.good.select(*fields, _seen=AVAILABLE_AT).unique(fields, keep="first", maintain_order=True)
        rows = new.good.join(seen, on=fields, how="left", nulls_equal=True, maintain_order="left")
        rows = rows.with_columns(pl.coalesce("_seen", AVAILABLE_AT).alias(AVAILABLE_AT))
        if look.at is not None and now is not None:
            at = max(look.at, now)
            past = rows.filter(pl.col(AVAILABLE_AT) <= look.at).sort(AVAILABLE_AT, maintain_order=True)
            if past["_seen"].has_nulls():
                late = self._unknown(source, past).filter(pl.col("_seen").is_null())
                look.late_at = at if late.height else look.late_at
                rows = pl.concat(
                    [
                        rows.join(late, on=fields, how="anti", nulls_equal=True, maintain_order="left"),
                        late.with_columns(pl.lit(at).cast(INSTANT).alias(AVAILABLE_AT)),
                    ]
                )
        return JudgedRows(rows.drop("_seen").sort(AVAILABLE_AT, nulls_last=False, maintain_order=True), new.bad)

    def _unknown(self, source: Source, rows: pl.DataFrame) -> pl.DataFrame:
        kept = None if self._kept is None else self._kept(source, rows.clear())
        return rows if kept is None else pl.concat([kept.lacks(rows), kept.taken_back(rows)])


def _same(old: Any, new: Any) -> bool:
    if isinstance(new, pl.DataFrame):
        # A reader may build its frame anew each time: comparing costs a small part of judging.
        return old is new or (isinstance(old, pl.DataFrame) and old.equals(new))
    return bool(old == new)


def _reader(source: Source) -> tuple[Any, Callable[[], pl.DataFrame]]:
    read = source.read
    if isinstance(read, CallableReader):
        frame = _called(source, read)
        if not isinstance(frame, pl.DataFrame):
            raise BadSource(
                f"The reader of source {source.name!r} returned a {type(frame).__name__}, not a polars DataFrame.",
                hint="Return polars.DataFrame; convert a pandas one by polars.from_pandas.",
            )
        return frame, lambda: frame
    assert isinstance(read, CsvFile | ParquetFile)
    paths = sorted(read.path.parent.glob(read.path.name))
    if not paths:
        raise BadSource(
            f"Source {source.name!r} reads {read.path}, which does not exist.",
            hint="Paths are relative to the folder where perdure runs.",
        )
    stamp = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
    return stamp, lambda: _read_files(source, read, paths)


def _called(source: Source, read: CallableReader) -> Any:
    try:
        return read.function()
    except PerdureError:
        raise  # it says itself what is wrong and what to do
    except Exception as error:  # the user's own code: whatever it raises, only its source fails
        raise BadSource(
            f"The reader of source {source.name!r} failed: {type(error).__name__}: {error}",
            hint="Mend the function; the source is read again in the next round.",
        ) from error


def _read_files(source: Source, read: CsvFile | ParquetFile, paths: list[Path]) -> pl.DataFrame:
    try:
        if isinstance(read, CsvFile):
            # Every column as text: the contract parses it, and what it cannot parse is quarantined.
            frames = [pl.read_csv(path, null_values=list(read.null_values), infer_schema=False) for path in paths]
        else:
            frames = [pl.read_parquet(path) for path in paths]
        frame = pl.concat(frames, how="diagonal").rename(dict(read.rename), strict=False)
        zone = read.timezone if isinstance(read, CsvFile) else ""
        return frame.with_columns(_zoned(source, frame, zone)) if zone else frame
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadSource(
            f"Source {source.name!r} cannot read {read.path}: {error}.",
            hint="Look at the file, and at rename= and timezone= of the source.",
        ) from error


_ZONED = r"(?i)(Z|[+-]\d{2}:?\d{2})$"


def _zoned(source: Source, frame: pl.DataFrame, zone: str) -> list[pl.Expr]:
    """Instants written without a zone, rewritten with it; what cannot be read stays as it is, to be told.

    The hour that a clock change repeats cannot be told apart: such rows are refused rather than given an
    instant at which they did not exist yet.
    """
    rewritten = []
    for field in contract_fields(source.contract):
        if field.type != "datetime" or field.name not in frame.columns:
            continue
        text = pl.col(field.name)
        naive = pl.coalesce(
            text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False),
            text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False),
            text.str.to_datetime("%Y-%m-%d %H:%M", strict=False),
            text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
        )
        utc = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
        written = utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        kept = pl.when(text.str.contains(_ZONED)).then(text).otherwise(pl.coalesce(written, text))
        rewritten.append(kept.alias(field.name))
    return rewritten


def judge(source: Source, frame: pl.DataFrame) -> JudgedRows:
    """The rows of `frame` under the source's contract, with their two times."""
    checked = compile_contract(source.contract).check_frame(frame)
    good = checked.good.with_columns(_times(source)).sort(AVAILABLE_AT, nulls_last=False, maintain_order=True)
    bad = _bad_rows(source, checked.bad, checked.errors)
    return JudgedRows(good, bad.sort(AVAILABLE_AT, nulls_last=False, maintain_order=True))


def declared_available_at(source: Source) -> pl.Expr:
    """From when a row could be known, as the source declares it."""
    delay = source.available_at
    available = pl.col(source.event_at).cast(INSTANT) + delay if isinstance(delay, timedelta) else pl.col(delay)
    return available.cast(INSTANT)


def _times(source: Source) -> list[pl.Expr]:
    return [
        pl.col(source.event_at).cast(INSTANT).alias(EVENT_AT),
        declared_available_at(source).alias(AVAILABLE_AT),
    ]


def _bad_rows(source: Source, bad: pl.DataFrame, errors: Sequence[Sequence[FrameError]]) -> pl.DataFrame:
    rows = [msgspec.json.encode(row).decode() for row in bad.to_dicts()]
    return pl.DataFrame(
        {
            "row": pl.Series(rows, dtype=pl.String),
            "errors": pl.Series([msgspec.json.encode(plain(error)).decode() for error in errors], dtype=pl.String),
            AVAILABLE_AT: _readable_times(source, bad),
        }
    )


def _readable_times(source: Source, bad: pl.DataFrame) -> pl.Series:
    column = source.available_at if isinstance(source.available_at, str) else source.event_at
    if column not in bad.columns:
        return pl.Series([None] * bad.height, dtype=INSTANT)
    times = bad[column]
    if times.dtype == pl.String:
        times = times.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    elif not isinstance(times.dtype, pl.Datetime):
        return pl.Series([None] * bad.height, dtype=INSTANT)
    times = times.cast(INSTANT)
    return times + source.available_at if isinstance(source.available_at, timedelta) else times
