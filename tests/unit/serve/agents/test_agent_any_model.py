"""Whatever a model says, a run ends in words; and wherever it dies, it goes on to the same end."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.core.runs import ENDED

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(["look", "send", "nope", "final_result", "perdure_mistake", ""]) | junk
arguments = st.sampled_from(['{"what": "a"}', "{}", "{not json", "[]", "", '{"place": "x"}']) | junk
call = st.fixed_dictionaries({"id": junk, "function": st.fixed_dictionaries({"name": names, "arguments": arguments})})
message = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=8) | junk,
        "tool_calls": st.lists(call | junk, max_size=3) | junk,
        "refusal": st.none() | st.text(max_size=3),
    },
)
reply = st.fixed_dictionaries(
    {"message": message, "finish": st.sampled_from(["stop", "length", "tool_calls", "content_filter", ""])}
)


@given(script=st.lists(reply, min_size=1, max_size=6), dies_at=st.integers(0, 12), has_output=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answers_end_in_words_and_go_on_after_a_death(
    kit: Any, script: Any, dies_at: int, has_output: bool
) -> None:
    """The journal of a run that died once is the journal of one that never did."""
    live = _live(kit, has_output)

    def stage(replies: Any) -> Any:
        made = kit.stage(kit.world(*replies), live, guard=kit.guard(steps=8))
        made.table |= {name: lambda **given: f"got {sorted(given)}" for name in ("look", "send")}
        return made

    whole = stage([*script, kit.text("Done.")])
    ended = whole.run()
    assert ended.status in ENDED
    assert ended.status == "done" or (ended.why and ended.text)
    first = stage([*script, kit.text("Done.")])
    first.journal.dies_at = dies_at
    try:
        first.run()
    except asyncio.CancelledError:
        n_chats = sum(each.kind == "chat" for each in first.journal.steps)
        second = first.again()
        second.guard = kit.guard(steps=8 - n_chats)
        second.world = kit.world(*[*script, kit.text("Done.")][n_chats:] or [kit.text("Done.")])
        assert second.run() == ended
        assert second.kinds() == whole.kinds()


_LIVES: dict[bool, Any] = {}


def _live(kit: Any, has_output: bool) -> Any:
    """Loaded once: a version is shared by its runs."""
    if has_output not in _LIVES:
        schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
        _LIVES[has_output] = kit.live(output=schema if has_output else None)
    return _LIVES[has_output]
