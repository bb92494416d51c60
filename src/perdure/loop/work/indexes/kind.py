"""The kind "index", whole: what compose registers."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.assets.index import Index
from perdure.loop.protocols import Kind, Looker
from perdure.loop.work.indexes.causes import index_causes
from perdure.loop.work.indexes.censuses import Censuses
from perdure.loop.work.indexes.gates import index_gates
from perdure.loop.work.indexes.remedies import index_remedies
from perdure.loop.work.indexes.sentinels import Sentinels
from perdure.loop.work.indexes.signals import index_signals
from perdure.loop.work.indexes.watched import IndexesAtWork


def index_kind(opens: IndexesAtWork | None = None, indexes: Sequence[Index] = ()) -> Kind:
    """The kind "index" with all its recipes.

    Args:
        opens: opens versions of indexes; None: what is kept in the ledger is read, and nothing is opened.
        indexes: those that are declared: censuses of them are taken, and their embedders looked at.
    """
    recipes = (index_signals(opens), index_causes(), index_remedies(opens), index_gates(opens))
    lookers: tuple[Looker, ...] = ()
    if opens is not None and indexes:
        lookers = (Censuses(indexes, opens), Sentinels(indexes, opens))
    return Kind("index", *recipes, lookers)
