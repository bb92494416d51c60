"""What of an index in SQLite no row tells: words without chunks, chunks without words, rows of no time, a damaged file.

The stores of chunks use it.

Words are derived from chunks, so they are compared with chunks here, and mended from them. What surprised us: FTS5's own check
wants to write, so a reader cannot ask it; and it compares words with its own copy of the texts, never with the chunks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from perdure.core.texts.tokens import words
from perdure.stores.vectors.packing import unpack
from perdure.stores.vectors.protocols import Damage

WORDS_TABLE = """CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    folded, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
)"""
_AT_ONCE = 2_000
_WITHOUT_WORDS = """
SELECT key, document, died FROM chunks WHERE key IN (SELECT key FROM chunks EXCEPT SELECT id FROM words_docsize) ORDER BY key
"""
_COUNTED = """
SELECT (SELECT count(*) FROM chunks CROSS JOIN words_docsize ON id = key), (SELECT count(*) FROM chunks), (SELECT count(*) FROM words_docsize)
"""
_WITHOUT_CHUNK = "SELECT id FROM words_docsize EXCEPT SELECT key FROM chunks ORDER BY id"
_BESIDE_WORDS = """
SELECT key, document, packed, c0 FROM chunks JOIN words_content ON words_content.id = key WHERE died = 0 ORDER BY key
"""
_NEWEST = "SELECT coalesce(max(number), 0) FROM generations"
_BEYOND = "SELECT (SELECT count(*) FROM {table} WHERE died > 0 AND died > :newest) + (SELECT count(*) FROM {table} WHERE born > :newest)"
_SET_RIGHT = (
    "UPDATE OR REPLACE {table} SET died = 0 WHERE died > 0 AND died > :newest",
    "UPDATE {table} SET born = CASE died WHEN 0 THEN :newest ELSE died END WHERE born > :newest",
)
_TEXTS = "SELECT key, packed FROM chunks ORDER BY key"


def words_text(context: str, text: str) -> str:
    """What a chunk is found by, as FTS5 gets it."""
    return " ".join(words(f"{context}\n{text}"))


def _words_of(packed: object) -> str:
    _, _, (*_, text, context, _), _ = unpack(packed)
    return words_text(context, text)


def lives_damage(connection: sqlite3.Connection, table: str) -> Iterator[Damage]:
    """Rows that were born, or are to die, in a generation that is not there: they would come and go by themselves one day."""
    [newest] = connection.execute(_NEWEST).fetchone()
    [n] = connection.execute(_BEYOND.format(table=table), {"newest": newest}).fetchone()
    if n:
        yield Damage("corrupt", "record", 0, "", f"{n} rows of {table} live in generations that are not there.")


def mend_lives(connection: sqlite3.Connection, table: str) -> None:
    """What is to die is alive, and what is to be born was born just now, within a transaction; what was dead already is dead."""
    [newest] = connection.execute(_NEWEST).fetchone()
    for statement in _SET_RIGHT:
        connection.execute(statement.format(table=table), {"newest": newest})


def damage_of(connection: sqlite3.Connection, *, deep: bool) -> Iterator[Damage]:
    """Words against chunks; `deep`: word by word, and every page of the file. Cost: 0.1 µs a chunk, deep 40 µs."""
    # Where there are as many pairs as chunks, and as words, each has the other: to count costs a fifth of telling them apart.
    if len({*connection.execute(_COUNTED).fetchone()}) > 1:
        yield from _unpaired(connection)
    if not deep:
        return
    for key, document, packed, kept in connection.execute(_BESIDE_WORDS):
        if kept != _words_of(packed):
            yield Damage("corrupt", "words", key, document, "It is found by other words than its own.")
    for (found,) in connection.execute("PRAGMA quick_check(5)"):
        if found != "ok":
            yield Damage("corrupt", "store", 0, "", f"The file is damaged: {found}.")


def _unpaired(connection: sqlite3.Connection) -> Iterator[Damage]:
    for key, document, died in connection.execute(_WITHOUT_WORDS):
        if not died:
            yield Damage("missing", "words", key, document, "It is in the index, and cannot be found by its words.")
    for (key,) in connection.execute(_WITHOUT_CHUNK):
        yield Damage("orphan", "words", key, "", "Words stand there of no chunk.")


def check_words(connection: sqlite3.Connection) -> Iterator[Damage]:
    """FTS5's own check of its index, on a connection that may write."""
    try:
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        if "malformed" not in str(error) and "corrupt" not in str(error):
            raise
        yield Damage("corrupt", "words", 0, "", "The index of words is damaged.")


def mend_words(connection: sqlite3.Connection) -> int:
    """Make the words anew from every chunk, within a transaction; how many. Cost: 40 µs a chunk."""
    connection.execute("DROP TABLE IF EXISTS words")
    connection.execute(WORDS_TABLE)
    n = 0
    reading = connection.execute(_TEXTS)
    while rows := reading.fetchmany(_AT_ONCE):
        told = [(key, _words_of(packed)) for key, packed in rows]
        connection.executemany("INSERT INTO words (rowid, folded) VALUES (?, ?)", told)
        n += len(told)
    return n
