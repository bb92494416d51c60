"""One scorer at a time, as a suite would hold it."""

from __future__ import annotations

import pytest

from perdure.assets.suite import Case, Suite
from perdure.core.ports import Answered
from perdure.engines.evals.compiling import compile_scorers


@pytest.fixture
def compiled():
    def make(declared, **tools):
        given = {"embed": None, "entails": None, "run_code": None, "schema": None} | tools
        suite = Suite("tried", [Case("only", {"question": "?"}, "x")], [declared], route="small")
        return compile_scorers(suite, **given)[0]

    return make


@pytest.fixture
def scored(compiled):
    """(scorer, what is expected, what was answered) → its score; further members of case and answer by name."""

    def score(declared, expected, said, *, contexts=(), inputs=None, tools=None, **answer):
        case = Case("only", inputs or {"question": "?"}, expected, tuple(contexts))
        message = said if isinstance(said, dict) else {"content": said}
        return compiled(declared, **(tools or {})).score(case, Answered(message, **answer))

    return score
