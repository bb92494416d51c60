"""The last good routing table on disk: what a server starts from when the ledger is gone.

One JSON file, replaced atomically, holding the table, the definitions of its versions with the
digests of their blobs, and a checksum over all of it. The blobs are read from the blob store, which
verifies them. The watcher writes it after every swap and reads it once, at the start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from perdure.core.canonical import content_hash
from perdure.core.errors import Corrupt, NotFound, StoreError
from perdure.serve.routing import RoutingTable, table_as_json, table_from_json


def write_table(path: Path, table: RoutingTable) -> None:
    """Keep `table` at `path`; a crash leaves the old file or the new one.

    Raises:
        StoreError: the disk refused; the old file is untouched.
    """
    data = table_as_json(table)
    text = json.dumps({"digest": content_hash(data), "table": data}, indent=1, ensure_ascii=False)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"The routing table cannot be kept at {path}: {error.strerror}.",
            hint="Free disk space or mend the folder: without this file a restart needs the ledger.",
            path=str(path),
        ) from error


def read_table(path: Path, models: Iterable[str]) -> RoutingTable:
    """The table kept at `path`, for the models that are still declared.

    Raises:
        NotFound: no table was ever kept there.
        Corrupt: the file is not what `write_table` wrote.
    """
    hint = "Start the server once while the ledger can be read; it writes the file anew."
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if content_hash(kept["table"]) != kept["digest"]:
            raise Corrupt(f"The routing table in {path} does not match its checksum.", hint=hint, path=str(path))
        return table_from_json(kept["table"], models)
    except FileNotFoundError as error:
        raise NotFound(f"There is no routing table at {path}.", hint=hint, path=str(path)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"The routing table in {path} cannot be read: {error}.", hint=hint, path=str(path)) from error
