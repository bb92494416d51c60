"""Events that are like the one before say nothing but their text; any other is read in full."""

import json

from hypothesis import given
from hypothesis import strategies as st

from perdure.engines.dialects.meter import StreamMeter
from perdure.engines.dialects.stencil import Stencil

_MARK = b'"content":"'


def _event(text: str, *, spaces: bool = False, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    separators = (", ", ": ") if spaces else (",", ":")
    chunk = {"id": "c1", "model": "m", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk, separators=separators).encode() + b"\n\n"


def _learned(event: bytes) -> Stencil:
    stencil = Stencil()
    stencil.learn(event, _MARK)
    return stencil


def test_the_text_of_an_event_like_the_learned_one_is_found() -> None:
    """Whatever its length."""
    stencil = _learned(_event("Hello"))
    assert [stencil.text(_event(text)) for text in ("", " there", "x" * 500)] == [b"", b" there", b"x" * 500]


def test_a_padding_of_random_letters_makes_no_difference() -> None:
    """As OpenAI pads its streams."""
    stencil = _learned(_event("Hello", usage=None, obfuscation="ab"))
    assert stencil.text(_event(" you", usage=None, obfuscation="qwertz")) == b" you"
    assert stencil.text(_event(" you", usage={}, obfuscation="qwertz")) is None


def test_any_other_event_is_not_taken_for_one() -> None:
    """Another member, an end, an error, two events at once, half of one."""
    stencil = _learned(_event("Hello"))
    end = _event("a").replace(b"null}", b'"stop"}')
    others = [_event("a", usage={"total_tokens": 3}), end, _event("a") * 2, _event("a")[:-1], b"data: [DONE]\n\n", b""]
    assert [stencil.text(each) for each in others] == [None] * len(others)


def test_a_text_with_quotation_marks_or_line_breaks_is_read_in_full() -> None:
    """Where a text ends is only sure without them."""
    stencil = _learned(_event("Hello"))
    assert [stencil.text(_event(text)) for text in ('say "no"', '"', "\\")] == [None] * 3
    assert stencil.text(_event("a@b").replace(b"@", b"\n")) is None
    assert stencil.text(_event("a@b").replace(b"@", b"\r")) is None


def test_before_anything_was_learned_every_event_is_read_in_full() -> None:
    """An empty stencil fits nothing."""
    assert Stencil().text(_event("Hello")) is None


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from([{}, {"usage": None}, {"usage": None, "obfuscation": "abc"}]),
)
def test_a_meter_counts_and_sends_the_same_as_one_that_gets_the_stream_cut_anew(
    texts: list[str], spaces: bool, more: dict[str, object]
) -> None:
    """One that gets an event in two pieces reads it in full."""
    events = [_event(text, spaces=spaces, **more) for text in texts] + [b"data: [DONE]\n\n"]
    quick, full = StreamMeter("chat", hide_usage=True), StreamMeter("chat", hide_usage=True)
    sent = b"".join(quick.feed(event) for event in events)
    pieces = [piece for event in events for piece in (event[:9], event[9:])]
    assert sent == b"".join(full.feed(piece) for piece in pieces)
    assert (quick.n_bytes, quick.done) == (full.n_bytes, full.done) == (quick.n_bytes, True)
