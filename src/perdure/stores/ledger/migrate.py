"""Bringing a ledger's file to the newest revision when it is opened.

Called by `SqliteLedger`. A file that is there already costs one read: Alembic is imported only to
migrate. Migrations run inside one write transaction, so of several processes that open a new file
at once, one migrates and the others find it done; a crash half-way leaves nothing behind.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from perdure.core.errors import StoreError
from perdure.stores.ledger.database import SqliteFile
from perdure.stores.ledger.schema import REVISION

FOLDER = Path(__file__).parent / "migrations"


def migrate(file: SqliteFile) -> None:
    """Bring the file to the newest revision; nothing happens when it is there.

    Raises:
        StoreError: the file is some other application's, or written by a newer perdure.
    """
    with file.reading() as connection:
        if _revision(connection, file.path) == REVISION:
            return
    with file.writing() as connection:
        if _revision(connection, file.path) != REVISION:
            _upgrade(connection, file.path)


def check_revision(file: SqliteFile) -> None:
    """Check that a file opened for reading is a ledger of this revision.

    Raises:
        StoreError: it is not.
    """
    with file.reading() as connection:
        found = _revision(connection, file.path)
    if found != REVISION:
        raise StoreError(
            f"The ledger {file.path} is at revision {found!r}, but {REVISION!r} was expected.",
            hint="Start the control plane of this version once: it migrates the ledger.",
            path=str(file.path),
        )


def _revision(connection: Connection, path: Path) -> str | None:
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if "alembic_version" in names:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if found is None else str(found)
    if names:
        raise StoreError(f"{path} is a database, but no ledger.", hint="Check `stores.root` in perdure.toml.")
    return None


def _upgrade(connection: Connection, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The ledger {path} cannot be brought to revision {REVISION!r}: {error}.",
            hint="It was written by a newer perdure: install that version.",
            path=str(path),
        ) from error
