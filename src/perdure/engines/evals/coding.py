"""The scorer of code: the answer's code and the case's checks are run apart, with limits. No security boundary."""

from __future__ import annotations

import re

from perdure.assets.scorers import CodePasses
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered, RunCode
from perdure.engines.evals.parts import Tools, failed
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import GOOD, LONGEST, expected_of, texts_of

_BLOCK = re.compile(r"^[ \t]*```([\w+-]*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "python", "py", "python3")


def code_in(text: str) -> str:
    r"""The Python of an answer: its fenced blocks of Python one after the other, or all of it where there is no fence.

    >>> code_in("Here it is:\n```python\nx = 1\n```\nDone.")
    'x = 1\n'
    """
    blocks = _BLOCK.findall(text[:LONGEST])
    if not blocks:
        return text[:LONGEST]
    return "\n".join(code for language, code in blocks if language.lower() in _PYTHON)


class CodePassesPart:
    """1 where every check is reached and holds, else 0."""

    needs = "`expected`: Python that checks, such as `assert add(1, 2) == 3`"
    code = 1

    def __init__(self, declared: CodePasses, tools: Tools) -> None:
        if tools.run_code is None:
            raise BadSuite(
                "CodePasses needs a runner of code, and none is there.", hint="Give compile_scorers a run_code."
            )
        self._declared = declared
        self._run: RunCode = tools.run_code

    def lacks(self, case: Case) -> str:
        """No checks."""
        return "" if "".join(texts_of(expected_of(case, "checks"))).strip() else "the case has no checks"

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: a process, some 40 ms, and up to `seconds`.

        Raises:
            NotReady: no process could be started.
        """
        code = code_in(answer.text)
        if not code.strip():
            return failed("the answer holds no Python")
        checks = "\n".join(texts_of(expected_of(case, "checks")))
        ran = self._run.run(code, checks, seconds=self._declared.seconds, megabytes=self._declared.megabytes)
        if ran.passed:
            return GOOD
        return Score(0.0, why=ran.why[:300], facts={"output": ran.output[-2_000:]} if ran.output else {})
