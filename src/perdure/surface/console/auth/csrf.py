"""Keeps other sites from acting as whoever is signed in: a deed comes from a page of ours, and carries its session's token.

Called before every POST that a cookie admits. The token is masked anew each time it is drawn, so that what an answer's compressed
length tells is of no use (BREACH: Gluck, Harris and Prado, 2013).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_bytes
from typing import TYPE_CHECKING

from perdure.core.errors import Refused

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings
    from perdure.surface.console.auth.calling import Caller

FIELD = "csrf"
"""Of a form."""
HEADER = "perdure-csrf"
"""Of a call under `/api` that a cookie admits."""
_N_BYTES = 32


def new_secret() -> str:
    """32 random bytes as base64url: what a session's tokens are made of."""
    return urlsafe_b64encode(token_bytes(_N_BYTES)).decode()


def secret_before(token: str) -> str:
    """What the tokens of a page before signing in are made of: bound to the browser by the cookie `token`."""
    return urlsafe_b64encode(hashlib.sha256(b"before:" + token.encode()).digest()).decode()


def masked(secret: str) -> str:
    """A token of this secret, another one each time.

    >>> secret = new_secret()
    >>> masked(secret) == masked(secret), token_fits(masked(secret), secret), token_fits(secret, secret)
    (False, True, False)
    """
    plain, pad = urlsafe_b64decode(secret), token_bytes(_N_BYTES)
    return urlsafe_b64encode(pad + _xor(pad, plain)).decode()


def token_fits(token: str, secret: str) -> bool:
    """Whether a token was made of this secret; compared in equal time."""
    try:
        whole = urlsafe_b64decode(token.encode("ascii"))
    except (binascii.Error, UnicodeError):
        return False
    if len(whole) != 2 * _N_BYTES:
        return False
    return hmac.compare_digest(_xor(whole[:_N_BYTES], whole[_N_BYTES:]), urlsafe_b64decode(secret))


def check_page_is_ours(caller: Caller, settings: ConsoleSettings) -> None:
    """Refuse what was sent from a page of another site, or from nowhere.

    Raises:
        Refused: the browser says so; or it says nothing, and the request names no origin, or another one.
    """
    said = caller.headers.get("sec-fetch-site")
    if said is not None:
        ours = said == "same-origin"
    else:
        scheme = "https" if settings.behind_tls else "http"
        ours = bool(caller.host) and caller.headers.get("origin", "").lower() == f"{scheme}://{caller.host}"
    if not ours:
        raise Refused(
            "This was not sent from a page of this console.",
            hint="Open the console's own page, and send it from there.",
        )


def check_token(token: str, secret: str) -> None:
    """Refuse a form that is not of this session.

    Raises:
        Refused: no token, or one of another session.
    """
    if not token_fits(token, secret):
        raise Refused(
            "This form is not of your session, or that has ended since.", hint="Load the page again, and send it anew."
        )


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))
