"""What of an index in SQLite no row tells: words without chunks, chunks without words, a damaged file. Used by `sqlite.SqliteIndex`.

Words are derived from chunks, so they are compared with chunks here, and mended from them. What surprised us: FTS5's own check
wants to write, so a reader cannot ask it; and it compares words with its own copy of the texts, never with the chunks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from perdure.core.texts.tokens import words
from perdure.stores.vectors.protocols import Damage

WORDS_TABLE = """CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    folded, tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
)"""
_AT_ONCE = 2_000
_WITHOUT_WORDS = """
SELECT key, document, died FROM chunks WHERE key IN (SELECT key FROM chunks EXCEPT SELECT id FROM words_docsize) ORDER BY key
"""
_COUNTED = "SELECT (SELECT count(*) FROM words_docsize) - (SELECT count(*) FROM chunks)"
_WITHOUT_CHUNK = "SELECT id FROM words_docsize EXCEPT SELECT key FROM chunks ORDER BY id"
_BESIDE_WORDS = """
SELECT key, document, context, text, c0 FROM chunks JOIN words_content ON words_content.id = key WHERE died = 0 ORDER BY key
"""
_TEXTS = "SELECT key, context, text FROM chunks ORDER BY key"


def words_text(context: str, text: str) -> str:
    """What a chunk is found by, as FTS5 gets it."""
    return " ".join(words(f"{context}\n{text}"))


def damage_of(connection: sqlite3.Connection, *, deep: bool) -> Iterator[Damage]:
    """Words against chunks; `deep`: word by word, and every page of the file. Cost: 0.5 µs a chunk, deep 40 µs."""
    lacking = connection.execute(_WITHOUT_WORDS).fetchall()
    for key, document, died in lacking:
        if not died:
            yield Damage("missing", "words", key, document, "It is in the index, and cannot be found by its words.")
    # Where every chunk has words, and there are no more of them than chunks, there are none of no chunk.
    if lacking or connection.execute(_COUNTED).fetchone() != (0,):
        for (key,) in connection.execute(_WITHOUT_CHUNK):
            yield Damage("orphan", "words", key, "", "Words stand there of no chunk.")
    if not deep:
        return
    for key, document, context, text, kept in connection.execute(_BESIDE_WORDS):
        if kept != words_text(context, text):
            yield Damage("corrupt", "words", key, document, "It is found by other words than its own.")
    for (found,) in connection.execute("PRAGMA quick_check(5)"):
        if found != "ok":
            yield Damage("corrupt", "store", 0, "", f"The file is damaged: {found}.")


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
        told = [(key, words_text(context, text)) for key, context, text in rows]
        connection.executemany("INSERT INTO words (rowid, folded) VALUES (?, ?)", told)
        n += len(told)
    return n
