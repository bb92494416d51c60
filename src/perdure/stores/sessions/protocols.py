"""Protocols of the store of secrets, sessions and tries. Called by the console; kept apart from the ledger, and never in its chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SecretKind = Literal["password", "key", "invite"]


@dataclass(frozen=True, slots=True)
class Secret:
    """What a person proves who he is by, as far as it is kept: a digest."""

    id: str
    person: str
    kind: SecretKind
    digest: str
    """Of a password Argon2's text; of keys and invites the SHA-256, as hex, of 256 random bits."""
    made_us: int
    expires_us: int = 0
    """0: never."""
    label: str = ""
    used_us: int = 0
    """When an invite was used, or a key last; 0: not yet."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that has signed in."""

    digest: str
    """SHA-256 of the cookie's token, as hex."""
    person: str
    csrf: str
    """32 random bytes as base64url, of this session alone."""
    began_us: int
    seen_us: int
    expires_us: int
    address: str = ""
    agent: str = ""
    notice: str = ""
    """Shown once, on the next page."""


class Secrets(Protocol):
    """Digests of passwords, keys and invites."""

    def put(self, secret: Secret) -> None:
        """Keep it; a password takes the place of the person's, and ends all of the person's sessions in one transaction."""
        ...

    def find(self, kind: SecretKind, digest: str) -> Secret | None:
        """The key or invite with this digest."""
        ...

    def password(self, person: str) -> Secret | None: ...

    def take(self, secret_id: str, now_us: int) -> bool:
        """Use an invite: True for the first who asks, before it expires."""
        ...

    def used(self, secret_id: str, now_us: int) -> None:
        """A key was used: `used_us` is written at most once a minute."""
        ...

    def list(self, person: str) -> list[Secret]: ...
    def drop(self, secret_id: str) -> bool:
        """Forget one; False where there was none."""
        ...


class Sessions(Protocol):
    """Browsers that have signed in."""

    def begin(self, session: Session) -> None: ...

    def find(self, digest: str, now_us: int, idle_us: int) -> Session | None:
        """The session; None when it is over or was idle for longer. `seen_us` is written at most once a minute."""
        ...

    def note(self, digest: str, notice: str) -> None:
        """Leave a text for the next page."""
        ...

    def noted(self, digest: str) -> str:
        """Take the text that was left, once; empty without one."""
        ...

    def end(self, *, digest: str = "", person: str = "") -> int:
        """End one session, or all of a person; how many."""
        ...

    def list(self, person: str) -> list[Session]: ...
    def prune(self, now_us: int, idle_us: int) -> int: ...


class Tries(Protocol):
    """Failed tries to sign in, by name and by address."""

    def failed(self, names: Sequence[str], now_us: int) -> float:
        """Count one for each of `names`, such as `name:ann` and `address:10.0.0.1`; seconds to wait from now."""
        ...

    def waits(self, names: Sequence[str], now_us: int) -> float:
        """Seconds to wait before the next try; 0: none."""
        ...

    def clear(self, names: Sequence[str]) -> None: ...
