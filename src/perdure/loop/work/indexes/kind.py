"""The kind "index", whole: what compose registers."""

from __future__ import annotations

from perdure.loop.protocols import Kind
from perdure.loop.work.indexes.causes import index_causes
from perdure.loop.work.indexes.gates import index_gates
from perdure.loop.work.indexes.remedies import index_remedies
from perdure.loop.work.indexes.signals import index_signals
from perdure.loop.work.indexes.watched import IndexesAtWork


def index_kind(opens: IndexesAtWork | None = None) -> Kind:
    """The kind "index" with all its recipes.

    Args:
        opens: opens versions of indexes; None: what is kept in the ledger is read, and nothing is opened.
    """
    return Kind("index", index_signals(opens), index_causes(), index_remedies(opens), index_gates(opens))
