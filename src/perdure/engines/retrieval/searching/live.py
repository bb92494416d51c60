"""The searcher that is asked now: it follows generations, and is merged behind everybody's back when much has changed.

Readers take `current` and search it as long as they like; nobody waits for a lock but who moves it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from perdure.engines.retrieval.searching.protocols import Findable, Row
from perdure.engines.retrieval.searching.searcher import Searcher


class LiveSearcher:
    """Holds the searcher of the newest generation. Safe to share between threads.

    Args:
        searcher: to begin with.
    """

    def __init__(self, searcher: Searcher) -> None:
        self._current = searcher
        self._lock = threading.Lock()
        self._merging: threading.Thread | None = None

    @property
    def current(self) -> Searcher:
        """The newest whole generation."""
        return self._current

    def move(
        self,
        born: Iterable[Row],
        dead: Iterable[int],
        generation: int,
        *,
        documents: Iterable[Findable] | None = None,
    ) -> Searcher:
        """Go on to a later generation, see `Searcher.moved`; merged meanwhile in a thread where it became heavy.

        Raises:
            BadIndex: a new key is lower than one that is known; what is searched stays.
        """
        with self._lock:
            self._current = self._current.moved(born, dead, generation, documents=documents)
            if self._current.heavy and (self._merging is None or not self._merging.is_alive()):
                self._merging = threading.Thread(
                    target=self._merge, args=(self._current,), name="perdure-search-merge", daemon=True
                )
                self._merging.start()
            return self._current

    def put(self, searcher: Searcher) -> None:
        """Search another one from now on, such as one that was built anew."""
        with self._lock:
            self._current = searcher

    def wait(self, timeout_s: float = 60.0) -> bool:
        """Until what is merged now is merged; whether it is."""
        merging = self._merging
        if merging is not None:
            merging.join(timeout_s)
        return merging is None or not merging.is_alive()

    def _merge(self, seen: Searcher) -> None:
        merged = seen.merged()
        with self._lock:
            if self._current.state.segments[0] is seen.state.segments[0]:
                self._current = self._current.onto(merged)
