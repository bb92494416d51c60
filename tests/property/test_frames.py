"""Frames survive what disks and crashes do to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perdure.stores.capture.frames import HEADER_BYTES, MAGIC, frame, walk

# Payloads that look like frames, in part or whole, are the hard ones.
_payloads = st.lists(st.binary(max_size=40) | st.just(MAGIC) | st.binary(max_size=8).map(frame), max_size=6)


def _good(data: bytes) -> list[bytes]:
    return [data[each.start + HEADER_BYTES : each.end] for each in walk(data) if each.kind == "frame"]


@given(_payloads, st.binary(max_size=60))
def test_stretches_cover_any_bytes_in_order_and_without_gaps(payloads, noise):
    data = b"".join(map(frame, payloads)) + noise
    borders = [0]
    for stretch in walk(data):
        assert stretch.start == borders[-1] < stretch.end
        borders.append(stretch.end)
    assert borders[-1] == len(data)


@given(_payloads)
def test_every_frame_comes_back(payloads):
    assert _good(b"".join(map(frame, payloads))) == payloads


@given(_payloads.filter(bool), st.data())
def test_a_flipped_bit_costs_one_frame_and_is_seen(payloads, data):
    whole = bytearray(b"".join(map(frame, payloads)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    ends = [sum(len(frame(each)) for each in payloads[: n + 1]) for n in range(len(payloads))]
    hit = next(n for n, end in enumerate(ends) if at < end)
    found = _good(bytes(whole))
    kept = payloads[:hit], payloads[hit + 1 :]
    inside = found[len(kept[0]) : len(found) - len(kept[1])]
    assert found == [*kept[0], *inside, *kept[1]]
    # Only a frame that lay inside the payload of the broken one may take its place.
    assert all(frame(each) in payloads[hit] for each in inside)
    assert any(stretch.kind != "frame" for stretch in walk(bytes(whole)))


@given(_payloads.filter(bool), st.data())
def test_a_cut_end_is_torn_and_all_before_it_is_whole(payloads, data):
    plain = [each.replace(MAGIC, b"") for each in payloads]
    whole = b"".join(map(frame, plain))
    n_cut = data.draw(st.integers(1, len(frame(plain[-1])) - 1))
    stretches = list(walk(whole[:-n_cut]))
    assert [each.kind for each in stretches] == ["frame"] * (len(plain) - 1) + ["torn"]
