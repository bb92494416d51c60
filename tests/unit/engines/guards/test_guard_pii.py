"""Personal data: what is found, what is left alone, and at what cost."""

from __future__ import annotations

import pytest

from perdure.core.clock import cpu_s
from perdure.core.errors import BadGuard
from perdure.engines.guards.pii import KINDS, may_hold, patterns
from perdure.engines.guards.secrets import PATTERNS

FOUND = [
    ("email", "mail ann.o.x+y@mail.example.co.uk.", "ann.o.x+y@mail.example.co.uk"),
    ("email", "<BOB@EXAMPLE.ORG>", "BOB@EXAMPLE.ORG"),
    ("email", "josé@exämple.de", "josé@exämple.de"),
    ("phone", "call +49 (0)30 1234 5678 now", "+49 (0)30 1234 5678"),
    ("phone", "0049 30 12345678", "0049 30 12345678"),
    ("phone", "(415) 555-2671", "(415) 555-2671"),
    ("phone", "415-555-2671", "415-555-2671"),
    ("phone", "1-415-555-2671", "1-415-555-2671"),
    ("phone", "020 7946 0958", "020 7946 0958"),
    ("phone", "030/12345678", "030/12345678"),
    ("phone", "06 12 34 56 78", "06 12 34 56 78"),
    ("phone", "phone: 5551234567", "5551234567"),
    ("phone", "my mobile number is 07700900123", "07700900123"),
    ("phone", "98765 43210", "98765 43210"),
    ("phone", "(11) 91234-5678", "(11) 91234-5678"),
    ("iban", "IBAN DE89 3704 0044 0532 0130 00 IS mine", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "NO9386011117947", "NO9386011117947"),
    ("credit_card", "4111 1111 1111 1111 12/26", "4111 1111 1111 1111"),
    ("credit_card", "5500-0055-5555-5559", "5500-0055-5555-5559"),
    ("credit_card", "378282246310005", "378282246310005"),
    ("credit_card", "3782 822463 10005", "3782 822463 10005"),
    ("credit_card", "30569309025904", "30569309025904"),
    ("credit_card", "2223003122003222", "2223003122003222"),
    ("us_ssn", "ssn 123-45-6789", "123-45-6789"),
    ("us_ssn", "social security number: 123456789", "123456789"),
    ("ip", "from 203.0.113.9, twice", "203.0.113.9"),
    ("ip", "2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ("date_of_birth", "born on 12 May 1980", "12 May 1980"),
    ("date_of_birth", "DOB: 1980-05-12", "1980-05-12"),
    ("date_of_birth", "geboren am 12.05.1980", "12.05.1980"),
    ("date_of_birth", "Date of birth: May 12, 1980", "May 12, 1980"),
    ("date_of_birth", "出生日期: 1980年5月12日", "1980年5月12日"),
    ("passport", "passport no. C01X00T47", "C01X00T47"),
    ("passport", "Driver's license: D123-4567-8901", "D123-4567-8901"),
    ("passport", "NHS number 943 476 5919", "943 476 5919"),
    ("national_id", "CPF 529.982.247-25", "529.982.247-25"),
    ("national_id", "12345678Z", "12345678Z"),
    ("national_id", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("mac", "00:1B:44:11:3A:B7", "00:1B:44:11:3A:B7"),
    ("mac", "001b.4411.3ab7", "001b.4411.3ab7"),
    ("crypto", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("crypto", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("crypto", "0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
]  # fmt: skip
HARMLESS = [
    "Order 4471 of 2024-05-12 cost 1,250.50 EUR (about 1.250,50).", "At 12:30:45 on 01.02.2023 10:30 it rained.",
    "Version 1.2.3.4 and v10.0.0.1, section 1.2.3.4.5", "std::vector<int> a::b, ::1, 127.0.0.1, 0.0.0.0",
    "4111111111111112 is no card, nor is 1234567812345678", "DE89370400440532013001 has a wrong checksum",
    "The 2023 passport control took 45 minutes", "He was born in Paris in 1980", "ISBN 978-3-16-148410-0",
    "uuid 123e4567-e89b-12d3-a456-426614174000", "@user mentioned @other", "price@ 10", "a@b", "pi is 3.14159265358979",
    "12345678A", "tracking 1Z999AA10123456784", "000-12-3456 666-12-3456", "1700000000 seconds", "10.5281/zenodo.1234567",
    "tell me 3 facts about 1984", "call me at 5 or 6", "ff:ff:ff:ff:ff:ff", "range 100-200-300", "2 + 2 = 4",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "0x1234", "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
]  # fmt: skip
HOSTILE = ["a", "1", "1 ", "@", "a@", "a.a@", "a@a.", "0", "+1", "(1)", "DE89 ", "1.1.", ":", "a:", "00:", "phone ", "phone 1",
           "born ", "born 1 a", "passport a1 ", "password=", "password", "-----BEGIN PRIVATE KEY-----", "eyJ", "://:", "a://b:c",
           "sk-a1", "4111 1111 ", "a1b2", " ", "0x", "1.1-1/", "social security ", "id number is ", "AB12", "AB12 ", "-",
           "_", "gh", "\n", "AKIA"]  # fmt: skip


def found(text: str, *kinds: str) -> list[tuple[str, str]]:
    """Each once, however many patterns point at it."""
    hits = [hit for pattern in patterns(kinds) for hit in pattern.find(text)]
    return list(dict.fromkeys((hit.kind, text[hit.start : hit.end]) for hit in hits))


@pytest.mark.parametrize(("kind", "text", "stretch"), FOUND)
def test_what_is_personal_is_found_to_the_letter(kind: str, text: str, stretch: str) -> None:
    assert found(text, kind) == [(kind, stretch)]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_every_kind_has_an_example_here() -> None:
    assert {kind for kind, _, _ in FOUND} == set(KINDS)


def test_the_scan_before_the_scans_lets_every_example_through() -> None:
    assert all(may_hold(text) for _, text, _ in FOUND)


def test_what_begins_inside_of_a_refused_match_is_still_found() -> None:
    """A pair of letters and digits that is no account swallows none that follows."""
    assert found("XX12 DE89 3704 0044 0532 0130 00", "iban") == [("iban", "DE89 3704 0044 0532 0130 00")]


def test_a_gate_is_true_of_every_example_of_its_patterns() -> None:
    """A gate that said no to a text with a match would hide it."""
    for kind, text, _ in FOUND:
        matching = [pattern for pattern in patterns((kind,)) if list(pattern.find(text))]
        assert all(pattern.gate is None or pattern.gate(text) for pattern in matching), text


def test_a_match_is_never_longer_than_its_pattern_says() -> None:
    for kind, text, _ in FOUND:
        for pattern in patterns((kind,)):
            assert all(hit.after - hit.at + 1 <= pattern.longest for hit in pattern.find(text)), text


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadGuard, match="credit_card"):
        patterns(("creditcard",))


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_of_100_kb_costs_linear_time(piece: str) -> None:
    """Twice the text costs about twice the time; a catastrophic pattern would take minutes for the first."""
    text = piece * (100_000 // len(piece))
    begin = cpu_s()
    for pattern in (*patterns(), *PATTERNS):
        for _ in pattern.find(text):
            pass
    assert cpu_s() - begin < 2.0
