"""Signs what is sent to a webhook, and verifies it at the other end.

The header is `perdure-signature: t=1361923200,v1=5257a8…`: seconds since 1970, and HMAC-SHA256 in hex
over `t`, a dot and the body as it was sent. Called by the webhook that sends alerts, and by receivers.
The time is signed too, so that a message that somebody kept cannot be sent again much later.

What surprised us: verify the bytes that came, never JSON that was read and written again.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from perdure.core.clock import from_us, to_us
from perdure.core.errors import Refused

SIGNATURE = "perdure-signature"
"""The header of the signature."""
DELIVERY = "perdure-delivery"
"""The header of the delivery's id: the same at every try, so that a receiver takes each alert once."""
_VERSION = "v1"


def sign(secret: str | bytes, body: bytes, now: datetime) -> str:
    """The value of the signature's header.

    >>> from perdure.core.clock import EPOCH
    >>> sign("s3cret", b"{}", EPOCH)[:20]
    't=0,v1=4f08262fc59ce'
    """
    t = str(to_us(now) // 1_000_000)
    return f"t={t},{_VERSION}={_digest(secret, t, body)}"


def verify_signature(
    secret: str | bytes, header: str, body: bytes, now: datetime, tolerance_s: float = 300.0
) -> datetime:
    """The instant at which a message was signed, when its signature is right; nothing else is ever returned.

    Args:
        secret: the one that the sender signs with.
        header: value of `perdure-signature`; of several `v1` one must be right, so that a secret can be changed.
        body: the bytes as they came.
        now: the receiver's clock, aware.
        tolerance_s: how far it may be from the sender's, either way.

    Raises:
        Refused: the header cannot be read, the signature is another secret's or another body's, or it is too old.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    given = [value for name, _, value in parts if name == _VERSION]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12 or not given:
        raise Refused(f"The signature {header[:200]!r} cannot be read.", hint="Expected: t=SECONDS,v1=HEX.")
    right = _digest(secret, times[0], body)
    if not any(hmac.compare_digest(right.encode(), each.encode()) for each in given):
        raise Refused(
            "The signature is not this body's under this secret.",
            hint="Verify the bytes as they came; compare secrets.",
        )
    age_s = to_us(now) / 1e6 - int(times[0])
    if abs(age_s) > tolerance_s:
        raise Refused(
            f"The message was signed {age_s:.0f} s ago; {tolerance_s:g} s are allowed.",
            hint="Compare the clocks, or refuse it: somebody may have kept it.",
        )
    return from_us(int(times[0]) * 1_000_000)


def _digest(secret: str | bytes, t: str, body: bytes) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, t.encode() + b"." + body, hashlib.sha256).hexdigest()
