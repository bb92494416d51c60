"""Passwords: what may be one, how it is kept, and whether one fits. Kept by Argon2id alone (RFC 9106).

What surprised us: one verification takes 186 ms of a processor and 64 MiB, so whoever is not signed in could hold up everybody else:
`routes` lets two at a time through, and a name that nobody has costs the same as one that somebody has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.core.errors import BadRequest

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST, MOST = 12, 200
"""Characters; length is what counts (NIST SP 800-63B, 2017, section 5.1.1)."""
_LEAST_DISTINCT = 5


class Passwords:
    """Makes and checks digests.

    Args:
        hasher: how they are kept; by default the low-memory profile of RFC 9106, section 4.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        if hasher is None:
            from argon2 import PasswordHasher, profiles

            hasher = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
        self._hasher = hasher
        self._nobody = hasher.hash("nobody has this password")

    def digest(self, password: str) -> str:
        """What is kept of it."""
        return self._hasher.hash(password)

    def fits(self, digest: str | None, password: str) -> bool:
        """Whether a password is the one; without a digest the same work is done for nothing, and it is not."""
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            self._hasher.verify(digest or self._nobody, password[: MOST + 1])
        except (VerificationError, InvalidHashError):
            return False
        return digest is not None

    def is_dated(self, digest: str) -> bool:
        """Whether it was made with less work than is asked for by now."""
        return self._hasher.check_needs_rehash(digest)


def check_new(password: str, person: str) -> None:
    """Refuse what others would guess.

    Raises:
        BadRequest: too short or long, nearly one character, or the person's name.
    """
    if not LEAST <= len(password) <= MOST:
        raise BadRequest(
            f"A password has {LEAST} to {MOST} characters; this one has {len(password)}.",
            hint="Three words that do not belong together are one.",
        )
    if len(set(password)) < _LEAST_DISTINCT or not password.lower().replace(person, "").strip():
        raise BadRequest("This password is easily guessed.", hint="Take words that do not belong together.")
