"""Makes generations of the world of `index_world` until it is killed, or kills such processes and looks at what they left.

python index_killing.py apply PATH STORE            makes generations for ever
python index_killing.py kill PATH STORE SEED KILLS  kills as many, each at a random instant; tells what it found as JSON
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from perdure.core.clock import sleep_s
from perdure.stores.vectors.opening import open_index
from perdure.stores.vectors.protocols import Generation, IndexStore, Query, checksum_of
from perdure.testing.conformance.index_world import places, standing, step, texts, vector_of

LONGEST_S = 0.08


def apply_for_ever(path: Path, store: str) -> None:
    """Until somebody ends it."""
    index = open_index(path, store)
    while True:
        made = step(index)
        if made.number % 7 == 0:
            index.prune(made.number - 4)


def kill_forked(path: Path, rng: random.Random) -> bool:
    """A child of this very process, so that a kill costs no start of Python; whether it was at work till then."""
    child = os.fork()
    if child == 0:
        try:
            apply_for_ever(path, "")
        finally:
            os._exit(1)
    sleep_s(rng.random() * LONGEST_S)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_started(path: Path, store: str, rng: random.Random) -> bool:
    """A process of its own: LanceDB has threads that no fork survives; whether it was at work till then."""
    before = newest(path)
    child = subprocess.Popen([sys.executable, __file__, "apply", str(path), store])
    while newest(path) == before and child.poll() is None:
        sleep_s(0.01)
    sleep_s(rng.random() * 3 * LONGEST_S)
    child.kill()
    return child.wait() == -signal.SIGKILL


def newest(path: Path) -> int:
    """The newest generation's number, by a look at the record."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT coalesce(max(number), 0) FROM generations").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def wrong(path: Path, store: str) -> tuple[int, list[str]]:
    """The newest generation, and all that is not as it must be."""
    index = open_index(path, store)
    try:
        number = index.generation().number
        found = [
            f"generation {each.number}: {what}" for each in index.generations() for what in _mixed(index, each.number)
        ]
    finally:
        index.close()
    return number, found if store else found + _broken(path)


def _mixed(index: IndexStore, number: int) -> list[str]:
    expected, rows = standing(number), list(index.chunks(number))
    told = next((each for each in index.generations() if each.number == number), Generation(0, 0))
    looks = {
        "chunks": places(index, number) == expected and len(rows) == len(expected) == told.n_chunks,
        "documents": [row.id for row in index.documents(number)] == sorted({id_ for id_, _ in expected}),
        "checksums": all(row.checksum == checksum_of(row) for row in rows),
        "vectors": all(row.vector == vector_of(row.text) for row in rows),
        "words": sorted(texts(index, index.search(Query(500, words="stands", as_of=number))))
        == sorted(expected.values()),
        "nearest": len(index.search(Query(500, vector_of("x"), as_of=number))) == len(expected),
        "fetched": index.fetch([row.key for row in rows]) == rows,
    }
    return [what for what, good in looks.items() if not good]


def _broken(path: Path) -> list[str]:
    """What SQLite itself says of file and words."""
    connection = sqlite3.connect(path)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        alone = "SELECT count(*) FROM (SELECT key FROM chunks EXCEPT SELECT rowid FROM words)"
        over = "SELECT count(*) FROM (SELECT rowid FROM words EXCEPT SELECT key FROM chunks)"
        found += [query for query in (alone, over) if connection.execute(query).fetchone()[0]]
    finally:
        connection.close()
    return found


def main() -> None:
    """See the module."""
    what, path, store, *more = sys.argv[1:]
    if what == "apply":
        apply_for_ever(Path(path), store)
    rng = random.Random(int(more[0]))
    reached, found = [], []
    for _ in range(int(more[1])):
        at_work = kill_started(Path(path), store, rng) if store else kill_forked(Path(path), rng)
        number, what_is_wrong = wrong(Path(path), store)
        reached.append(number)
        found += what_is_wrong + ([] if at_work else [f"the writer failed after generation {number}"])
    print(json.dumps({"reached": reached, "wrong": found}))


if __name__ == "__main__":
    main()
