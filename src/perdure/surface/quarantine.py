"""Counts what was set aside: rows of sources and of requests that broke their contract."""

from __future__ import annotations

from perdure.stores.lake.protocols import Lake

TABLE = "quarantine"


def quarantined_by_origin(lake: Lake) -> dict[str, int]:
    """Rows in quarantine by where they came from: `source:NAME` or `request:MODEL`, sorted.

    Cost: one column of the table is read.
    """
    if lake.version(TABLE) is None:
        return {}
    counted = lake.read(TABLE, columns=["origin"])["origin"].value_counts().sort("origin")
    return dict(counted.iter_rows())
