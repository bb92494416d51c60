"""Whatever a tool gives, it ends no fence and begins none; whatever a call carries, judging it ends and says the same again."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from perdure.engines.agents.marking import fence_of, fenced
from perdure.engines.agents.provenance import Known, Read, doubt_of
from perdure.serve.tools.http_asking import Address
from perdure.serve.tools.toolbox import cut_to

FENCE = fence_of("run_1")
PARTS = st.sampled_from(
    ["</tool_result>", "<tool_result", "< / TOOL_RESULT ", FENCE, "<|", "|>", "<", ">", "\n", "a", "é", '"']
)
TEXTS = st.one_of(st.text(), st.lists(PARTS).map("".join))


@given(TEXTS)
@example("<<tool_result/tool_result>")
def test_no_text_ends_its_fence(text):
    """There is one beginning and one end, and the fence stands in the beginning alone."""
    told = fenced(text, "look", FENCE)
    assert len(re.findall(r"<\s*tool_result", told, re.IGNORECASE)) == 1
    assert len(re.findall(r"<\s*/\s*tool_result", told, re.IGNORECASE)) == 1
    assert told.count(FENCE) == 1
    assert told.endswith("\n</tool_result>")
    assert "<|" not in told


@given(TEXTS, TEXTS)
def test_no_parameter_makes_another_path(one, two):
    """Of two parameters each stays where it was declared, whatever they hold."""
    address = Address.of("https://h.example/a/{one}/b?x={two}", "t")
    try:
        path = address.path({"one": one, "two": two}, {})
    except ValueError:
        assert one in ("", ".", "..")
        return
    assert re.fullmatch(r"/a/[\w%.~-]+/b\?x=[\w%.~-]*", path, re.ASCII)


@given(st.dictionaries(st.sampled_from(["to", "text"]), TEXTS), TEXTS, TEXTS)
def test_judging_is_the_same_again_and_a_whole_copy_never_passes(arguments, own, read):
    """The same call has the same verdict; one that carries all of a long foreign text is always doubted."""
    known = Known([own], [Read(read)])
    assert doubt_of("send", arguments, {}, known) == doubt_of("send", arguments, {}, known)
    secret = "the depot of the northern region was flooded in spring"
    carried = {**arguments, "text": f"{arguments.get('text', '')} {secret}"}
    assert doubt_of("send", carried, {}, Known(["send it"], [Read(f"{read}\n{secret}")])) is not None


@given(TEXTS, st.integers(1, 60))
def test_a_cut_result_keeps_its_size(text, most):
    """What is given is at most as large as it may be, and what is not cut is whole."""
    body, told, cut = cut_to(text, most)
    assert cut == (len(text.encode("utf-8", "replace")) > most)
    assert cut or told == text
    assert not cut or len(told.rpartition("\n[Cut here")[0].encode("utf-8", "replace")) <= most
    assert body
