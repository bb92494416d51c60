"""The last good routing table on disk: what a server starts from when the ledger is gone.

One JSON file, replaced atomically, holding the table, the definitions of its versions with the
digests of their blobs, callers' keys by the digests of their secrets, and a checksum over all of it.
The blobs are read from the blob store, which verifies them. The watcher writes it after every swap and
every change of a key, and reads it where there is no ledger to read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perdure.core.canonical import content_hash, plain
from perdure.core.clock import parse_at
from perdure.core.errors import Corrupt, NotFound, StoreError
from perdure.serve.routing import RoutingTable, table_as_json, table_from_json
from perdure.stores.ledger.protocols import Key


def write_table(path: Path, table: RoutingTable, keys: Iterable[Key] = ()) -> None:
    """Keep `table` and `keys` at `path`; a crash leaves the old file or the new one.

    Raises:
        StoreError: the disk refused; the old file is untouched.
    """
    data = {**table_as_json(table), "keys": [plain(key) for key in keys]}
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


def read_table(path: Path, assets: Iterable[str]) -> RoutingTable:
    """The table kept at `path`, for the assets that are still declared.

    Raises:
        NotFound: no table was ever kept there.
        Corrupt: the file is not what `write_table` wrote.
    """
    return read_kept(path, assets)[0]


def read_kept(path: Path, assets: Iterable[str]) -> tuple[RoutingTable, dict[str, Key]]:
    """The table kept at `path`, for the assets that are still declared, and the keys by digest.

    Raises:
        NotFound: no table was ever kept there.
        Corrupt: the file is not what `write_table` wrote.
    """
    hint = "Start the server once while the ledger can be read; it writes the file anew."
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if content_hash(kept["table"]) != kept["digest"]:
            raise Corrupt(f"The routing table in {path} does not match its checksum.", hint=hint, path=str(path))
        # Files of before have no keys.
        keys = [_key(each) for each in kept["table"].get("keys", ())]
        return table_from_json(kept["table"], assets), {key.digest: key for key in keys}
    except FileNotFoundError as error:
        raise NotFound(f"There is no routing table at {path}.", hint=hint, path=str(path)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"The routing table in {path} cannot be read: {error}.", hint=hint, path=str(path)) from error


def _key(data: Mapping[str, Any]) -> Key:
    instants = {name: parse_at(data[name]) for name in ("created_at", "expires_at", "revoked_at") if data[name]}
    return Key(**{**data, **instants})
