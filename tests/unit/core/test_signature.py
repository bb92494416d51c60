"""A signature is right for one body, one secret and a short while; anything else is refused."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from perdure.core.errors import Refused
from perdure.core.signature import sign, verify_signature

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
BODY = b'{"event":"opened"}'


def test_it_is_hmac_sha256_over_time_dot_body() -> None:
    t = str(int(NOW.timestamp()))
    digest = hmac.new(b"secret", t.encode() + b"." + BODY, hashlib.sha256).hexdigest()

    assert sign("secret", BODY, NOW) == f"t={t},v1={digest}"
    assert verify_signature(b"secret", f" v1={digest} , t={t}", BODY, NOW) == NOW


def test_of_several_signatures_one_must_be_right() -> None:
    t, right = sign("new", BODY, NOW).split(",")

    assert verify_signature("new", f"{t},v1=00,{right},v0=x", BODY, NOW) == NOW


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_message_of_another_time_is_refused(off_s: int) -> None:
    signature = sign("secret", BODY, NOW)

    verify_signature("secret", signature, BODY, NOW + timedelta(seconds=off_s), tolerance_s=302)
    with pytest.raises(Refused, match="300 s are allowed"):
        verify_signature("secret", signature, BODY, NOW + timedelta(seconds=off_s))


def test_the_time_cannot_be_made_newer() -> None:
    digest = sign("secret", BODY, NOW).partition(",")[2]
    later = NOW + timedelta(days=1)

    with pytest.raises(Refused, match="is not this body's"):
        verify_signature("secret", f"t={int(later.timestamp())},{digest}", BODY, later)


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=ab", "t=,v1=ab", "t=-1,v1=ab", "t=1,t=2,v1=ab", "t=" + "9" * 40 + ",v1=ab", "t=²,v1=ab"]
)
def test_a_header_that_says_nothing_is_refused(header: str) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        verify_signature("secret", header, BODY, NOW)


def test_a_signature_in_other_letters_is_refused() -> None:
    with pytest.raises(Refused, match="is not this body's"):
        verify_signature("secret", "t=1,v1=äöü", BODY, NOW)
