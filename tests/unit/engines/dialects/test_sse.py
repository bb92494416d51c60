"""Server-sent events, cut anywhere and full of traps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.errors import UpstreamBad
from perdure.engines.dialects import sse
from perdure.engines.dialects.sse import Event, Reader, event


def read(*pieces: bytes) -> list[tuple[str, bytes]]:
    reader = Reader()
    return [(found.name, found.data) for piece in pieces for found in reader.feed(piece)]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_each_way_to_end_a_line_is_read(newline):
    text = newline.join(
        [b": hello", b"event: a", b"data: one", b"data:two", b"id: 7", b"retry: 3", b"", b"data", b"", b""]
    )

    assert read(text) == [("a", b"one\ntwo"), ("", b"")]


def test_a_line_feed_after_a_carriage_return_in_another_piece_ends_no_second_line():
    assert read(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [("", b"a\nb")]


def test_a_byte_order_mark_is_skipped_only_at_the_begin():
    assert read(b"\xef\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [("", b"a")]


def test_a_name_without_data_names_no_later_event():
    assert read(b"event: a\n\ndata: b\n\n") == [("", b"b")]


def test_an_event_without_its_blank_line_is_none():
    assert read(b"data: a\n") == []


def test_an_event_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    reader = Reader()
    reader.feed(b"data: " + b"x" * 900)

    with pytest.raises(UpstreamBad):
        reader.feed(b"x" * 200)


def test_events_that_end_are_not_added_up(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    reader = Reader()

    assert sum(len(reader.feed(b"data: " + b"x" * 400 + b"\n\n")) for _ in range(20)) == 20


def test_a_name_cannot_hold_a_line():
    with pytest.raises(ValueError, match="cannot name"):
        event(b"{}", "a\ndata: b")


@given(st.binary(), st.sampled_from(["", "ping", "message_start"]))
def test_whatever_bytes_are_written_one_event_is_read(data, name):
    found = Reader().feed(event(data, name) + event(b"next"))

    assert found == [Event(name, data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")), Event("", b"next")]


@given(
    st.lists(
        st.sampled_from(
            [b"data: a", b"data:b\x00", b"event: e", b": c", b"", b"\n", b"\r", b"\r\n", b"\n\n", b"x:\xff"]
        )
    ),
    st.data(),
)
def test_events_are_the_same_however_the_stream_is_cut(parts, data):
    text = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert read(*pieces) == read(text)
