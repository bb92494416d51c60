"""Functions of a project that are called for each document: whatever one raises is told as trouble of what it was given.

Chunkers and embedders by a function call theirs so. One document that it stumbles over ends nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from perdure.core.errors import PerdureError, Temporary
from perdure.engines.retrieval.protocols import Unparsable


class Called:
    """A function, to be called within `with`: there what it raises becomes `Unparsable`, but for what passes.

    Args:
        function: of the project.
        trouble: code of what becomes of its errors.
        passes: errors that go on as they are, such as of a service that is away.
    """

    def __init__(self, function: Callable[..., Any], trouble: str, passes: type[PerdureError | Temporary]) -> None:
        self.name: str = getattr(function, "__name__", type(function).__name__)
        self._trouble, self._passes = trouble, passes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, Unparsable | self._passes):
            raise Unparsable(self._trouble, f"{self.name} raised {type(error).__name__}") from error
