"""A caller is known by the hash of the secret, and no error tells a secret."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perdure.core.errors import Unauthorized
from perdure.serve.gateway.keys import authenticate, digest_of, new_secret
from perdure.stores.ledger.protocols import Key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = new_secret("key_1").encode()
KEY = Key("key_1", "support", digest_of(SECRET), "bot", NOW - timedelta(days=1))


def keys(**changes):
    return {KEY.digest: replace(KEY, **changes)}


def test_a_secret_has_the_key_s_id_and_256_random_bits():
    secrets = {new_secret("key_1") for _ in range(50)}

    assert len(secrets) == 50
    assert all(re.fullmatch(r"pk-perdure-key_1-[A-Za-z0-9_-]{43}", each) for each in secrets)


def test_the_holder_of_a_known_secret_is_its_key():
    assert authenticate(keys(expires_at=NOW + timedelta(microseconds=1)), SECRET, NOW).id == "key_1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"expires_at": NOW}, "has expired"), ({"revoked_at": NOW - timedelta(days=2)}, "was revoked")],
)
def test_a_key_that_is_over_is_refused_with_its_id(changes, why):
    with pytest.raises(Unauthorized, match=f"'key_1' {why}") as told:
        authenticate(keys(**changes), SECRET, NOW)
    assert (told.value.status, told.value.facts) == (401, {"key": "key_1"})


@pytest.mark.parametrize(
    "secret",
    [b"", b"sk-other", SECRET[:-1], SECRET + b"x", SECRET.upper(), b"\xff\x00", b" " + SECRET],
    ids=["none", "another's", "short", "long", "upper case", "no text", "space"],
)
def test_no_other_secret_is_known_and_none_is_told(secret):
    with pytest.raises(Unauthorized) as told:
        authenticate(keys(), secret, NOW)

    text = repr(told.value.as_dict())
    assert not secret or secret.decode("latin-1") not in text
    assert SECRET.decode() not in text
    assert KEY.digest not in text
