"""CocoIndex as its makers show it: files of a folder, a memoised function a file, rows of a SQLite table. Runs in its own environment.

    python cocoindex_peer.py FOLDER STATE TABLE

For each line that it reads it brings the table up to date, and answers a line of JSON: CPU seconds, what was embedded.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"

import cocoindex as coco
from cocoindex.connectors import localfs, sqlite
from cocoindex.resources.file import FileLike, PatternFilePathMatcher
from shared import cut, process_cpu_s, vectors

FOLDER, STATE, TABLE = (pathlib.Path(each) for each in sys.argv[1:4])
DB = coco.ContextKey[sqlite.ManagedConnection]("bench")
counted = {"n_embedded": 0}


@dataclass
class Row:
    """A chunk of the table."""

    document: str
    position: int
    text: str
    vector: bytes


@coco.lifespan
async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
    """Where its state and the table lie."""
    builder.settings.db_path = STATE
    builder.provide_with(DB, sqlite.managed_connection(TABLE, load_vec=False))
    yield


@coco.fn(memo=True)
async def process(file: FileLike, table: sqlite.TableTarget[Row]) -> None:
    """Cut, embed and declare what one file's rows are."""
    texts = cut(await file.read_text())
    counted["n_embedded"] += len(texts)
    path = file.file_path.path.relative_to(FOLDER).as_posix()
    for position, (text, vector) in enumerate(zip(texts, vectors(texts), strict=True)):
        table.declare_row(row=Row(path, position, text, vector.tobytes()))


@coco.fn
async def main(folder: pathlib.Path) -> None:
    """Every file of the folder is a component of its own."""
    schema = await sqlite.TableSchema.from_class(Row, primary_key=["document", "position"])
    table = await sqlite.mount_table_target(DB, "chunks", schema)
    walked = localfs.walk_dir(
        folder, recursive=True, path_matcher=PatternFilePathMatcher(included_patterns=["**/*.md"])
    )
    await coco.mount_each(process, walked.items(), table)


app = coco.App(coco.AppConfig(name="bench"), main, folder=FOLDER)
for _ in sys.stdin:
    counted["n_embedded"], cpu = 0, process_cpu_s()
    app.update_blocking()
    told = {"cpu_s": process_cpu_s() - cpu, **counted}
    print(json.dumps(told), flush=True)
