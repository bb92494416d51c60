"""What a page made at a price and shows again: bounded, by project, gone with the project's ledger.

What surprised us: every request acts by a copy of the project for its person, so nothing can be kept on that; its ledger is shared.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from perdure.surface.sdk import Perdure

T = TypeVar("T")


class Kept(Generic[T]):
    """The `most` things that were asked for last, for each project. Safe for threads; one is made at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: WeakKeyDictionary[object, OrderedDict[Hashable, T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, project: Perdure, key: Hashable, make: Callable[[], T]) -> T:
        """What was made under a key, or what is made now."""
        with self._lock:
            found = self._of.setdefault(cast("object", project.place.stores.ledger), OrderedDict())
            if key not in found:
                found[key] = make()
            found.move_to_end(key)
            while len(found) > self._most:
                found.popitem(last=False)
            return found[key]

    def once(self, project: Perdure, key: Hashable, make: Callable[[], T]) -> bool:
        """Make it unless it was made under this key; whether it was made now. An error of `make` leaves the key free."""
        made = []

        def noted() -> T:
            made.append(key)
            return make()

        self.get(project, key, noted)
        return bool(made)
