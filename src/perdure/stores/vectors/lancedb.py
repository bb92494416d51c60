"""One version of an index with its chunks in a LanceDB table, for more chunks than memory should hold. Extra `lancedb`.

The SQLite file stays the record of generations and documents, and its commit is the one instant at which a generation is there:
chunks are written to the table before it, with the generation in which they are born or die, and every look filters by a committed
generation. So a kill in between leaves rows that nobody sees, and the next `apply` clears them before it writes.

What surprised us: an update of a table moves the row, so chunks do not stand in the order of keys; a table refuses vectors with
numbers that are none, so vectors without a direction lie beside the column that is searched; and the files of a past version go
with the clean-up after it, so that must leave time to whoever still reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from perdure.core.documents import Hit
from perdure.core.errors import MissingExtra, NotFound
from perdure.stores.sqlite_files import SqliteFormat
from perdure.stores.vectors.lance_folder import lance_errors, table_name
from perdure.stores.vectors.lance_rows import WITHOUT_VECTOR, as_chunk, as_table, folded_text, sized, vector_field
from perdure.stores.vectors.matching import fused, words_of
from perdure.stores.vectors.nearest import as_query
from perdure.stores.vectors.protocols import Change, ChunkRow, Damage, DocumentRow, Generation, Query, RecordedRow
from perdure.stores.vectors.sqlite_record import RECORD_SCHEMA, SqliteRecord
from perdure.stores.vectors.standing import ChunkBatch, batch_of

try:
    import lancedb
    from lancedb.index import FTS, BTree, IvfSq
    from lancedb.query import MatchQuery
except ImportError as error:
    raise MissingExtra("lancedb", needed_for="An index in LanceDB") from error

_SCHEMA = (
    *RECORD_SCHEMA,
    "CREATE TABLE IF NOT EXISTS names (name INTEGER PRIMARY KEY, document TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO keys VALUES (1, 1)",
)
_ANEW = (
    "They were written by another version of perdure: remove the version's files and build it, or install that version."
)
"""No other database takes the place of one in LanceDB."""
FORMAT = SqliteFormat("documents of an index in LanceDB", 1004, _SCHEMA, private=True, otherwise=_ANEW)
"""Another number than that of an index in SQLite alone: neither opens the other's file."""
_AS_THEY_ARE = FTS(
    base_tokenizer="whitespace",
    max_token_length=None,
    lower_case=False,
    stem=False,
    remove_stop_words=False,
    ascii_folding=False,
)
"""Words are folded before they are kept."""
_AT_ONCE = 5_000
"""Rows of one batch, and keys of one condition."""
_POOL = 100
_KEPT = timedelta(hours=1)
"""Files of past versions stay so long for who still reads them."""
_INDEXED_FROM = 100_000
"""Vectors. Fewer are compared one by one, exactly, in some 30 ms."""
_PROBES = 64
"""Of some 1,000 cells a million vectors lie in, so many are looked through."""
_CONDITIONS = 16
"""Filters of the newest generations that are remembered: to make one costs 1 µs a document."""
_LEFT_OVER = 20_000
"""Rows beside the indexes, which every search looks through, until these take them in."""


class LanceIndex:
    """One version of one index: record in SQLite, chunks in a LanceDB table. See `protocols.IndexStore`.

    Exact below 100,000 chunks; above, an index of vectors proposes and exact cosines decide (`refine_factor`).

    Args:
        path: file of the record; made where missing, unless it is only read.
        folder: of the LanceDB database; made where missing. The table is named after the path's last two parts.
        read_only: for who only reads, such as serve.

    Raises:
        StoreError: the record cannot be opened, or is of another format.
        NotReady: it is only read, and is being made.
    """

    resident = False

    def __init__(self, path: Path, folder: Path, *, read_only: bool = False) -> None:
        self._record = SqliteRecord(path, FORMAT, read_only=read_only)
        self._name = table_name(path)
        self._opening = Lock()
        self._conditions: dict[tuple[int, str], str] = {}
        self._known: Any = None
        with lance_errors(folder):
            if not read_only:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = lancedb.connect(folder, read_consistency_interval=timedelta(0))
        self._folder = folder

    def generation(self) -> Generation:
        """The newest; 0 where nothing was written."""
        return self._record.generation()

    def generations(self) -> Sequence[Generation]:
        """Those that can still be asked, oldest first."""
        return self._record.generations()

    def apply(self, change: Change) -> Generation:
        """Make the next generation: rows first, then the commit of the record by which they are seen.

        Raises:
            Conflict: another generation was made meanwhile; nothing is written.
            StoreFull: the disk is full; nothing is seen of what was written.
            BadIndex: a row that cannot be kept; nothing is seen of what was written.
        """
        with self._record.writing() as connection, lance_errors(self._folder):
            number = self._record.write_documents(connection, change)
            table = self._cleared(number, change)
            names = _named(connection, change)
            for begin in range(0, len(change.dead_chunks), _AT_ONCE):
                _bury(table, number, "key", [int(key) for key in change.dead_chunks[begin : begin + _AT_ONCE]])
            gone = [names[id_] for id_ in change.dead_documents if id_ in names]
            for begin in range(0, len(gone), _AT_ONCE):
                _bury(table, number, "name", gone[begin : begin + _AT_ONCE])
            [key] = connection.execute("SELECT next FROM keys").fetchone()
            for begin in range(0, len(change.chunks), _AT_ONCE):
                rows = change.chunks[begin : begin + _AT_ONCE]
                table.add(as_table(rows, key + begin, number, names, table.schema))
            connection.execute("UPDATE keys SET next = ?", (key + len(change.chunks),))
            self._index(table)
            return self._record.finish(connection, change, number, table.count_rows("died = 0"))

    def documents(self, as_of: int = 0) -> Iterator[DocumentRow]:
        """The record of documents, by id."""
        return self._record.documents(as_of)

    def recorded(self, as_of: int = 0) -> dict[str, RecordedRow]:
        """The record of documents, as a census compares them."""
        return self._record.recorded(as_of)

    def find_documents(self, ids: Sequence[str], as_of: int = 0) -> list[DocumentRow | None]:
        """What the record says of those documents, in order."""
        return self._record.find_documents(ids, as_of)

    def chunks(self, as_of: int = 0, after: int = -1) -> Iterator[ChunkRow]:
        """Chunks of a generation by key, or those that changed after another one."""
        table, at = self._standing(as_of, after)
        if table is None:
            return
        condition = _alive(at)
        if after >= 0:
            condition = f"(born > {after} AND born <= {at}) OR (died > {after} AND died <= {at})"
        yield from self._by_key(table, condition)

    def standing(self, as_of: int = 0) -> Iterator[ChunkBatch]:
        """Chunks of a generation by columns, held against their checksums."""
        rows = self.chunks(as_of)
        while batch := list(islice(rows, _AT_ONCE)):
            yield batch_of(batch)

    def fetch(self, keys: Sequence[int]) -> list[ChunkRow | None]:
        """By key, alive or dead, in order; None where it is not there. Cost: some ms, and 10 µs a row."""
        table = self._table()
        generations = self.generations()
        if table is None or not keys or not generations:
            return [None] * len(keys)
        oldest, newest = generations[0].number, generations[-1].number
        rows = self._rows(table, [int(key) for key in keys], newest)
        return [row if row and _is_kept(row, oldest, newest) else None for row in map(rows.get, keys)]

    def chunks_of(self, documents: Sequence[str]) -> list[ChunkRow]:
        """Chunks that are alive now, of those documents, by key."""
        table, at = self._standing()
        if table is None:
            return []
        with self._record.reading() as connection:
            names = [str(name) for name in _names(connection, documents).values()]
        found: list[ChunkRow] = []
        for begin in range(0, len(names), _AT_ONCE):
            part = ", ".join(names[begin : begin + _AT_ONCE])
            found += self._by_key(table, f"({_alive(at)}) AND name IN ({part})")
        return sorted(found, key=lambda row: row.key)

    def damage(self, *, deep: bool = False) -> list[Damage]:
        """Whether the table is there, and rows of no time; `deep`: words against texts, chunk by chunk."""
        with self._record.snapshot() as (connection, _):
            found = list(self._record.damage(connection))
        table, at = self._standing()
        if table is None:
            gone = "The record has generations, and the table of chunks is not there."
            return [*found, Damage("missing", "store", 0, "", gone)] if at else found
        why = "It is found by other words than its own."
        misread = self._misread(table, _alive(at)) if deep else ()
        return [*found, *(Damage("corrupt", "words", *each, why) for each in misread)]

    def mend(self) -> int:
        """Make the words anew from the chunks; how many chunks."""
        with self._record.writing() as connection, lance_errors(self._folder):
            self._record.mend(connection)
            table = self._table()
            if table is None:
                return 0
            for key, _ in self._misread(table, "true"):
                [row] = table.search().where(f"key = {key}").select(["context", "text"]).to_arrow().to_pylist()
                table.update(where=f"key = {key}", values={"folded": folded_text(row["context"], row["text"])})
            table.create_index("folded", config=_AS_THEY_ARE, replace=True)
            return int(table.count_rows())

    def search(self, query: Query) -> list[Hit]:
        """The k best by vectors, words or both fused by rank. Cost: some 10 ms, and 1 µs a document where it is filtered.

        Raises:
            NotFound: that generation is not there.
            BadIndex: the vector is none of this index.
        """
        try:
            return self._searched(query)
        except NotFound:
            if query.as_of:
                raise
            return self._searched(query)  # what was the newest was pruned between two looks

    def _searched(self, query: Query) -> list[Hit]:
        vector, asked = as_query(query.vector), words_of(query.words)
        table, at = self._standing(query.as_of)
        if table is None or query.k < 1:
            return []
        both = bool(len(vector) and asked)
        n_pool = max(_POOL, 4 * query.k) if both else query.k
        condition = f"({_alive(at)}){self._may_be_found(query, at)}"
        dense: list[tuple[int, float]] = []
        lexical: list[tuple[int, float]] = []
        with lance_errors(self._folder):
            if len(vector) and sized(table.schema, len(vector)) and vector.any():
                nearest = table.search(vector, vector_column_name="vector").distance_type("dot")
                nearest = nearest.where(f"{condition} AND vector IS NOT NULL", prefilter=True)
                told = nearest.nprobes(_PROBES).refine_factor(4).select(["key", "_distance"]).limit(n_pool).to_arrow()
                dense = _ranked(told["key"].to_pylist(), [1.0 - each for each in told["_distance"].to_pylist()])
            if asked:
                wanted = MatchQuery(" ".join(asked), "folded")  # type: ignore[call-arg]  # the rest has defaults
                matching = table.search(wanted, query_type="fts")
                told = matching.where(condition, prefilter=True).select(["key", "_score"]).limit(n_pool).to_arrow()
                lexical = _ranked(told["key"].to_pylist(), told["_score"].to_pylist())
        if both:
            return fused(dense, lexical, query.k)
        return [Hit(key, score, dense=score) for key, score in dense] or [
            Hit(key, score, lexical=score) for key, score in lexical
        ]

    def prune(self, before: int) -> int:
        """Forget what died before a generation; how many chunks. The newest always stays.

        The record forgets first: who finds his generation there after he opened the table has it whole.
        """
        with self._record.writing() as connection:
            oldest = self._record.forget(connection, before)
        table = self._table()
        if table is None:
            return 0
        with lance_errors(self._folder):
            condition = f"died > 0 AND died <= {oldest}"
            n_dead = int(table.count_rows(condition))
            if n_dead:
                table.delete(condition)
                table.optimize(cleanup_older_than=_KEPT)
        return n_dead

    def close(self) -> None:
        """Close the record; what was applied stays."""
        self._record.close()

    def _table(self) -> Any:
        """The table at its newest version; None where nothing was ever written."""
        with self._opening, lance_errors(self._folder):
            if self._known is None:
                try:
                    self._known = self._database.open_table(self._name)
                except (ValueError, FileNotFoundError):
                    return None
            return self._known

    def _standing(self, as_of: int = 0, after: int = 0) -> tuple[Any, int]:
        """The table as it stands at one version, which has all of the generation that is meant."""
        while True:
            with self._record.snapshot(as_of) as (connection, at):
                if after > 0:
                    self._record.resolve(connection, after)
            if at == 0 or self._table() is None:
                return None, at
            with lance_errors(self._folder):
                table = self._database.open_table(self._name)
                table.checkout(table.version)
            try:
                with self._record.reading() as connection:
                    self._record.resolve(connection, at)
            except NotFound:
                if as_of:
                    raise
            else:
                return table, at

    def _cleared(self, number: int, change: Change) -> Any:
        """The table to write to, made where missing, without what a killed `apply` left in it."""
        table = self._table()
        vectors = next((row.vector for row in change.chunks if any(row.vector)), b"")
        if table is None:
            with self._opening:
                self._known = table = self._database.create_table(self._name, schema=WITHOUT_VECTOR)
                table.create_index("key", config=BTree())
        if vectors and len(vectors) % 4 == 0 and "vector" not in table.schema.names:
            table.add_columns(vector_field(len(vectors) // 4))
        if table.count_rows(f"born >= {number} OR died >= {number}"):
            table.delete(f"born >= {number}")
            table.update(where=f"died >= {number}", values={"died": 0})
        return table

    def _by_key(self, table: Any, condition: str) -> Iterator[ChunkRow]:
        with lance_errors(self._folder):
            found = table.search().where(condition).select(["key"]).to_arrow()
        keys = sorted(found["key"].to_pylist())
        for begin in range(0, len(keys), _AT_ONCE):
            part = keys[begin : begin + _AT_ONCE]
            rows = self._rows(table, part, self.generation().number)
            yield from (rows[key] for key in part)

    def _misread(self, table: Any, condition: str) -> Iterator[tuple[int, str]]:
        """Key and document of chunks that have not their own words."""
        with lance_errors(self._folder):
            looked = table.search().where(condition).select(["key", "document", "context", "text", "folded"])
            for batch in looked.to_batches(batch_size=_AT_ONCE):
                for row in batch.to_pylist():
                    if row["folded"] != folded_text(row["context"], row["text"]):
                        yield row["key"], row["document"]

    def _rows(self, table: Any, keys: Sequence[int], newest: int) -> dict[int, ChunkRow]:
        with lance_errors(self._folder):
            found = table.search().where(f"key IN ({', '.join(map(str, keys))})").limit(len(keys) + 1).to_arrow()
        return {row["key"]: as_chunk(row, newest) for row in found.to_pylist()}

    def _may_be_found(self, query: Query, at: int) -> str:
        """The condition on documents: the shorter of those that may be found and those that may not.

        A generation never changes, but who may find what in it does, with later ones.
        """
        asked = (at, repr((dict(query.where), query.groups, self._record.generation().number)))
        known = self._conditions.get(asked)
        if known is not None:
            return known
        with self._record.snapshot(at) as (connection, _):
            findable = self._record.findable(connection, query, at)
            names = dict(connection.execute("SELECT document, name FROM names"))
        shown = [name for id_, name in names.items() if id_ in findable]
        hidden = [name for id_, name in names.items() if id_ not in findable]
        condition = f" AND name NOT IN ({', '.join(map(str, hidden))})" if hidden else ""
        if len(shown) < len(hidden):
            condition = f" AND name IN ({', '.join(map(str, shown or [0]))})"
        if len(self._conditions) >= _CONDITIONS:
            self._conditions = {}
        self._conditions[asked] = condition
        return condition

    def _index(self, table: Any) -> None:
        """Make the indexes that are missing, and take in what too many searches would look through one by one."""
        there = {each.columns[0]: each.name for each in table.list_indices()}
        if "folded" not in there:
            table.create_index("folded", config=_AS_THEY_ARE)
        if "vector" in table.schema.names and "vector" not in there and table.count_rows("died = 0") >= _INDEXED_FROM:
            table.create_index("vector", config=IvfSq(distance_type="dot"))
        stats = table.index_stats(there["folded"]) if "folded" in there else None
        if stats is not None and stats.num_unindexed_rows >= _LEFT_OVER:
            table.optimize(cleanup_older_than=_KEPT)


def _alive(at: int) -> str:
    return f"born <= {at} AND (died = 0 OR died > {at})"


def _is_kept(row: ChunkRow, oldest: int, newest: int) -> bool:
    return row.born <= newest and not 0 < row.died <= oldest


def _ranked(keys: Sequence[int], scores: Sequence[float]) -> list[tuple[int, float]]:
    return sorted(zip(keys, scores, strict=True), key=lambda each: (-each[1], each[0]))


def _bury(table: Any, number: int, column: str, those: Sequence[int]) -> None:
    table.update(where=f"{column} IN ({', '.join(map(str, those))}) AND died = 0", values={"died": number})


def _named(connection: sqlite3.Connection, change: Change) -> dict[str, int]:
    """A number for each document that the change speaks of: conditions on numbers are short, and need no quotes."""
    ids = list(dict.fromkeys([row.document for row in change.chunks] + [row.id for row in change.documents]))
    connection.executemany("INSERT OR IGNORE INTO names (document) VALUES (?)", [(id_,) for id_ in ids])
    return _names(connection, [*ids, *change.dead_documents])


def _names(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    query = "SELECT name FROM names WHERE document = ?"
    found = ((id_, connection.execute(query, (id_,)).fetchone()) for id_ in ids)
    return {id_: row[0] for id_, row in found if row}
