"""A scorer by a function of the project: `(case, answer) -> float | bool | Score`."""

from __future__ import annotations

import inspect
from types import TracebackType
from typing import Any, Self

from perdure.assets.scorers import Custom
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite, Temporary
from perdure.core.ports import Answered
from perdure.engines.evals.parts import failed, not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import BAD, GOOD, finite


class _Contained:
    """Whatever the function raises ends here; what may succeed later (a service that is away) passes."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return isinstance(error, Exception) and not isinstance(error, Temporary)


class CustomPart:
    """What the function returns: 0 to 1, a truth value, None where it does not apply, or a whole `Score`.

    An error of the function counts against the answer that it could not read, and its type is told.
    """

    needs = "what its function reads"
    code = 1

    def __init__(self, declared: Custom) -> None:
        if inspect.iscoroutinefunction(declared.function):
            raise BadSuite(
                "Custom was given no plain function.", hint="Give `def f(case, answer)` that returns 0 to 1."
            )
        self._function = declared.function
        self._name = getattr(declared.function, "__name__", type(declared.function).__name__)

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """Its function says."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:
        """What the function says; a value outside of 0 to 1 is a failure that names the function."""
        contained = _Contained()
        said: Any = None
        with contained:
            said = self._function(case, answer)
        if contained.error is not None:
            return failed(f"{self._name} raised {type(contained.error).__name__}")
        if said is None:
            return not_applicable(f"{self._name} says nothing of it")
        value: Any = said.value if isinstance(said, Score) else said
        if isinstance(said, bool):
            return GOOD if said else BAD
        number = finite(float(value) if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0 else value)
        if isinstance(said, Score) and value is None:
            return said
        if number is None or not 0.0 <= number <= 1.0:
            return failed(f"{self._name} gave {value!r:.60}, which is no score from 0 to 1")
        return said if isinstance(said, Score) else Score(number)
