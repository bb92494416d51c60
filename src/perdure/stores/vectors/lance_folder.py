"""A folder of LanceDB: how a version's table is named in it, and what its failures are here. Used by `lancedb` only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perdure.core.errors import PerdureError, StoreError, StoreFull


def table_name(path: Path) -> str:
    """Such as `handbook-3f9a`; of a path with other letters, its digest makes the name its own."""
    plain = f"{path.parent.name}-{path.stem}"
    legal = re.sub("[^A-Za-z0-9_-]", "_", plain)
    return legal if legal == plain else f"{legal}-{hashlib.blake2b(plain.encode(), digest_size=4).hexdigest()}"


@contextmanager
def lance_errors(folder: Path) -> Iterator[None]:
    """LanceDB tells of everything by RuntimeError, OSError or ValueError, with the cause in words."""
    try:
        yield
    except PerdureError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        if isinstance(error, UnicodeEncodeError):
            raise
        facts = {"path": str(folder), "type": type(error).__name__}
        if "No space left" in str(error) or "os error 28" in str(error):
            raise StoreFull(f"No room left to write {folder}.", hint="Free some disk space.", **facts) from error
        raise StoreError(f"LanceDB in {folder} failed: {error}.", hint="Check the folder.", **facts) from error
