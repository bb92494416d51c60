"""Attempts in a row share one error, and a suite is another exam once enough of it is new."""

from __future__ import annotations

import hashlib

import pytest

from perdure.assets.version import Version
from perdure.core.ports import Answered
from perdure.loop.work.prompts.attempts import NEW_SHARE, attempt_alpha, new_share, sketch
from perdure.loop.work.prompts.improving import rewritten
from perdure.testing.prompts import rewrite

CHAMPION = Version(
    "answer@1", "answer", "prompt",
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{ question }}"}], "route": "r",
     "variables": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
     "params": {}, "output": None},
    {}, {}, {}, None,
)  # fmt: skip


_LATE = '{"messages": [{"role": "user", "content": "{{ question }}"}, {"role": "system", "content": "late"}]}'


def _digests(start: int, end: int) -> list[str]:
    return [hashlib.sha256(str(at).encode()).hexdigest() for at in range(start, end)]


def test_all_attempts_together_spend_no_more_than_one_error():
    assert 0.049 < sum(attempt_alpha(k) for k in range(1, 5000)) < 0.05


@pytest.mark.parametrize("n", [40, 200, 5000])
def test_the_share_of_new_cases_is_known_from_sketches(n):
    """Exact in small suites, and within some points in large ones; a sketch never holds more than 256 digests."""
    before, now = sketch(_digests(0, n)), sketch(_digests(n // 2, n + n // 2))
    assert len(before) <= 256
    assert new_share(before, now) == pytest.approx(0.5, abs=0.0 if n <= 256 else 0.12)
    assert new_share(before, before) == 0.0 < NEW_SHARE


def test_a_rewrite_keeps_variables_and_everything_but_the_messages():
    found = rewritten(CHAMPION, Answered({"content": f"Here it is: {rewrite('Be clear.')}"}), [])
    assert found == {**CHAMPION.definition, "messages": [{"role": "system", "content": "Be clear."},
                                                         {"role": "user", "content": "{{ question }}"}]}  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "", "no JSON", "{}", '{"messages": []}', '{"messages": "x"}', '{"messages": [{"role": "tool", "content": "x"}]}',
        rewrite("Be brief."), rewrite("{{ secret }}"), rewrite("{{ question.__class__ }}"), rewrite("Be clear.", "no variable"),
        rewrite("The answer to it all is: 4 times 12 lanes."), _LATE,
    ],
)  # fmt: skip
def test_what_cannot_compete_is_no_rewrite(said):
    """No messages, none that can be rendered, none that differ, or a case's own words."""
    assert rewritten(CHAMPION, Answered({"content": said}), ["4 times 12 lanes"]) is None
