"""Callers' keys: making a secret, and knowing one again.

    pk-perdure-key_1m8x0c2d4e5f6g7h8-<43 random characters>

A secret has 256 random bits, so its SHA-256 can be looked up in a mapping: nobody learns a digest by how long a look-up
takes, for nobody can choose one. The part before the random characters is the key's id, by which a person finds it
again and a log may name it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from perdure.core.errors import Unauthorized
from perdure.stores.ledger.protocols import Key

_FORM = re.compile(rb"pk-perdure-[a-z0-9_]+-[A-Za-z0-9_-]{43}")


def new_secret(key_id: str) -> str:
    """A secret of that key, to be shown once: 256 random bits behind the key's id.

    >>> new_secret("key_1m8")[:19], len(new_secret("key_1m8"))
    ('pk-perdure-key_1m8-', 62)
    """
    return f"pk-perdure-{key_id}-{secrets.token_urlsafe(32)}"


def digest_of(secret: bytes) -> str:
    """SHA-256 of the whole secret, as hex: what is kept of it."""
    return sha256(secret).hexdigest()


def is_good(key: Key, now: datetime) -> bool:
    """Whether a key may be used at an instant on the machine's clock."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def authenticate(keys: Mapping[str, Key], secret: bytes, now: datetime) -> Key:
    """The key of a secret. Cost: about 1 µs.

    Args:
        keys: by the digest of their secrets, as `Live.keys` has them.
        secret: as the caller sent it, without `Bearer `.
        now: on the machine's clock.

    Raises:
        Unauthorized: no secret, one that is not known, or a key that was revoked or is over. The message says nothing
            of the secret.
    """
    key = keys.get(sha256(secret).hexdigest())
    if key is not None and is_good(key, now):
        return key
    raise _unauthorized(key, secret)


def still_good(keys: Mapping[str, Key], key: Key, now: datetime) -> Key:
    """A key that something in this process acts for, as it stands now; see `authenticate`.

    Raises:
        Unauthorized: it is not known any more, was revoked, or is over.
    """
    found = keys.get(key.digest)
    if found is not None and found.id == key.id and is_good(found, now):
        return found
    raise Unauthorized(
        f"The key {key.id!r} that this acts for is not good any more.", hint="Ask again by a key that is.", key=key.id
    )


def _unauthorized(key: Key | None, secret: bytes) -> Unauthorized:
    """Why, as far as the caller may know: who holds the secret may know what became of it."""
    if not secret:
        return Unauthorized("No key was sent.", hint="Send one as `Authorization: Bearer KEY` or as `x-api-key: KEY`.")
    if key is None:
        form = "" if _FORM.fullmatch(secret) else " It has not the form of one: pk-perdure-ID-…"
        return Unauthorized(f"The key that was sent is not known.{form}", hint="Ask for one: perdure key create.")
    what = "was revoked" if key.revoked_at is not None else "has expired"
    return Unauthorized(f"The key {key.id!r} {what}.", hint="Ask for a new one: perdure key create.", key=key.id)
