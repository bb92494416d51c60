"""What the lake has of a source's rows, compared by content: which rows it lacks, which were corrected and put back.

Feeds ask when a source changed under them, intake when it cannot tell by itself what is new.
"""

from __future__ import annotations

from functools import cached_property

import polars as pl

from perdure.assets.source import Source

_ORDER = ("_available_at", "_batch")


class KeptRows:
    """The rows of one source's table, in the columns that it shares with the source's contract.

    Args:
        source: whose rows they are.
        kept: the table's newest version, whole.
        like: a frame with the contract's types, which the table's columns are cast to.
    """

    def __init__(self, source: Source, kept: pl.DataFrame, like: pl.DataFrame) -> None:
        self._fields = [name for name in source.contract.model_fields if name in kept.columns]
        self._rows = kept.select(
            *(pl.col(name).cast(like.schema[name], strict=False) for name in self._fields), *_ORDER
        )
        identity = list(dict.fromkeys([*source.key, source.event_at])) if source.key else []
        self._identity = identity if set(identity) <= set(self._fields) else []

    def lacks(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of the rows that the table never had."""
        return rows.join(self._rows, on=self._fields, how="anti", nulls_equal=True, maintain_order="left")

    def taken_back(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those that the table had, then had a correction of, which the source does not show any more.

        Args:
            rows: all that the source shows, by the instant from which they were known.

        Only a source with a key tells what corrects what; of the others none was taken back.
        """
        if not self._identity:
            return rows.clear()
        withdrawn = self._newest.join(rows, on=self._fields, how="anti", nulls_equal=True)
        last = rows.unique(self._identity, keep="last", maintain_order=True)
        last = last.join(withdrawn, on=self._identity, how="semi", nulls_equal=True, maintain_order="left")
        return last.join(self._rows, on=self._fields, how="semi", nulls_equal=True, maintain_order="left")

    @cached_property
    def _newest(self) -> pl.DataFrame:
        return self._rows.sort(_ORDER, maintain_order=True).unique(self._identity, keep="last")
