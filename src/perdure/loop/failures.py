"""One asset that fails does not stop the others: its error is kept, and raised once all had their turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perdure.core.errors import LostLease


class Failures:
    """Errors of single assets within one step of a round.

    >>> failures = Failures()
    >>> for divisor in (0, 1, 2):
    ...     with failures.kept():
    ...         print(2 // divisor)
    2
    1
    >>> failures.errors
    [ZeroDivisionError('integer division or modulo by zero')]
    """

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep an error of the block and go on after it. A lost lease is no asset's failure: it ends the round."""
        try:
            yield
        except LostLease:
            raise
        except Exception as error:  # noqa: BLE001 - recipes are foreign code: a fault in one stops no other asset
            self.errors.append(error)

    def raise_first(self) -> None:
        """Raise the first error, the others as its notes; nothing happens when there is none."""
        if self.errors:
            first, *others = self.errors
            for other in others:
                first.add_note(str(other))
            raise first
