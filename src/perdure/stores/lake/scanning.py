"""Scans Delta tables that are not ours: those of users that documents come from. Ours are `delta.DeltaLake`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from perdure.core.errors import Corrupt, StoreError
from perdure.stores.lake.panicking import is_panic


def scan_table(where: str) -> pl.LazyFrame:
    """The newest version of a Delta table, lazily.

    Args:
        where: folder, or address of an object store; its secrets are those of the environment.

    Raises:
        StoreError: there is none, or its log cannot be read.
    """
    with table_errors(where):
        return pl.scan_delta(DeltaTable(where))


@contextmanager
def table_errors(where: str) -> Iterator[None]:
    """Translate what Delta, Parquet and their stores raise.

    Raises:
        StoreError: any of it.
    """
    try:
        yield
    except StoreError:
        raise
    except (DeltaError, pl.exceptions.PolarsError, OSError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StoreError(
            f"The table {where} cannot be read: {why.rstrip('.')}.",
            hint="Is it there, and has it every column that TableRows names?",
            path=where,
        ) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise Corrupt(
            f"The table {where} cannot be read: a file of it is damaged.", hint="Mend the table.", path=where
        ) from error
