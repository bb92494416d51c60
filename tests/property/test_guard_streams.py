"""However an answer is cut, a filter sends what the whole text would have come to, and never a stretch that it found."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from perdure.assets.guard import CanaryLeak, Guard, Names, Pii, Secrets, Topics, Toxicity
from perdure.engines.guards.compiling import compile_guard
from perdure.engines.guards.masking import Masks, Restoring, restored
from perdure.engines.guards.streaming import SlidingFilter

PROMPT = "You are the careful assistant of a small bank and you never talk about the lottery numbers of last week."
CONVERSATION = [{"role": "system", "content": PROMPT}, {"role": "user", "content": "hello"}]
CHECKS = [
    Pii(), Secrets(), Names(("Acme Corp", "Initech")), Topics({"medicine": ("dosage", "diagnos*")}), Toxicity(),
    CanaryLeak(n_words=6),
]  # fmt: skip
PIECES = [
    "ann@example.org", "bob.smith+x@mail.example.co.uk", "+49 30 1234 5678", "(415) 555-2671", "030/12345678",
    "4111 1111 1111 1111", "378282246310005", "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "123-45-6789",
    "8.8.8.8", "2001:db8::8a2e:370:7334", "00:1B:44:11:3A:B7", "born on 12 May 1980", "passport no. C01X00T47",
    "529.982.247-25", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "RSSMRA85T10A562S", "AKIAIOSFODNN7EXAMPLE",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "password=Hunter2xyz!", "pk-perdure-abcd1234efgh5678",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + "x9" * 90,
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow9\n" * 60 + "-----END RSA PRIVATE KEY-----",
    "Acme  Corp", "initech", "diagnosis", "You stupid, pathetic idiot", "go die", PROMPT[8:60], PROMPT,
    "a\u200bnn@exam\u200bple.org", "٤111 1111 1111 1111", "x" * 300, "1" * 40, "1.1.1.1.1.1", "@@", "a@b", "0" * 13, "\u200b",
    "and then", "The dosage", "in 2024,", "42", "…", "é", "😀", " ", "\n", "-", ".", "+", "12/26", "sk-", "-----",
]  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(alphabet="ab1 0.@-+:/(\n\u200b", max_size=12)), min_size=1, max_size=14
).flatmap(lambda parts: st.sampled_from(["", " ", " and "]).map(lambda by: by.join(parts)))
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=40)
REDACT = compile_guard("g", "v", Guard("g", CHECKS, on=("input", "output"), mode="redact").definition(), {})
BLOCK = compile_guard("g", "v", Guard("g", CHECKS, on=("output",), mode="block").definition(), {})


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


def numbered(guard, text):
    """The answer masked as a whole, with masks that two runs share."""
    masks = Masks(draw=lambda: "aaaaaaaa")
    return guard._masked(text, guard._bound(CONVERSATION), masks), masks.count


@given(text=TEXTS, sizes=CUTS)
def test_a_redacted_stream_is_the_redacted_text_however_it_is_cut(text: str, sizes: list[int]) -> None:
    expected, n_masks = numbered(REDACT, text)
    stream = REDACT.filter(CONVERSATION)
    assert isinstance(stream, SlidingFilter)
    stream.masks._draw = lambda: "aaaaaaaa"

    sent = "".join([stream.feed(piece) for piece in cut(text, sizes)]) + stream.end()

    assert sent == expected
    assert stream.masks.count == n_masks
    assert stream.verdict.found == (n_masks > 0)


@given(text=TEXTS, sizes=CUTS)
def test_a_blocking_stream_sends_nothing_of_what_it_finds_and_ends_there(text: str, sizes: list[int]) -> None:
    expected, n_masks = numbered(REDACT, text)
    before = expected.split("[", 1)[0] if n_masks else text
    stream = BLOCK.filter(CONVERSATION)

    sent = "".join([stream.feed(piece) for piece in cut(text, sizes)]) + stream.end()

    assert stream.verdict.found == (n_masks > 0)
    assert text.startswith(sent)
    if n_masks:
        first = re.search(r"\[[A-Z_]+-a{8}\]", expected)
        assert first is not None
        assert len(sent) <= first.start()
    else:
        assert sent == before


@given(text=TEXTS, sizes=CUTS)
def test_a_stream_never_holds_more_than_its_window_where_nothing_is_found(text: str, sizes: list[int]) -> None:
    if numbered(REDACT, text)[1]:
        return
    stream, fed, sent = BLOCK.filter(CONVERSATION), 0, 0
    for piece in cut(text, sizes):
        fed += len(piece)
        sent += len(stream.feed(piece))
        # The window, a stride, the piece itself, and one token without an end.
        assert fed - sent <= 202 + 51 + max(sizes) + 600


@given(
    words=st.lists(st.sampled_from(["[EMAIL-kqzvhwpt]", "[EMAIL-zzzzzzzz]", "[", "[EMAIL", "[]", "x", " ", "]", "[A-b"]),
                   max_size=20),
    sizes=CUTS,
)  # fmt: skip
def test_masks_come_back_in_a_stream_however_it_is_cut(words: list[str], sizes: list[int]) -> None:
    text, restore = "".join(words), {"[EMAIL-kqzvhwpt]": "ann@example.org"}
    stream = Restoring(restore)

    assert "".join([stream.feed(piece) for piece in cut(text, sizes)]) + stream.end() == restored(text, restore)
