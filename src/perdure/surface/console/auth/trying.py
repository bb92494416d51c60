"""Slows down who guesses passwords, by the name guessed at and by the address that guesses; and tells the ledger of it, seldom.

A try is counted before it is checked, so that many at once are not many free ones; the one that succeeds takes its name's count back.
The address keeps its count: one account of one's own would else buy guesses at everybody else's.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock
from typing import TYPE_CHECKING

from perdure.core.errors import LimitReached

if TYPE_CHECKING:
    from perdure.stores.sessions.protocols import Tries

_MINUTE_US = 60_000_000
_MOST_NAME = 64
_WITH_PORT = re.compile(r"\A(?:\[([^\]]*)\](?::\d+)?|([^:]*):\d+)\Z")
"""`[address]`, `[address]:port`, or `address:port`: how some proxies write whom they speak for."""


class Tried:
    """Counts tries over one store."""

    def __init__(self, tries: Tries) -> None:
        self._tries = tries
        self._lock = Lock()

    def begin(self, name: str, address: str, now_us: int) -> None:
        """Count a try at a name, if it may be made now.

        Raises:
            LimitReached: too many failed; `delay_s` says how long to wait.
        """
        names = [_of_name(name), _of_address(address)]
        with self._lock:
            wait_s = self._tries.waits(names, now_us)
            if not wait_s:
                self._tries.failed(names[:1], now_us)
        if wait_s:
            error = LimitReached(f"Too many tries failed. Wait {_in_words(wait_s)}.", hint="Then try again.")
            error.delay_s = wait_s
            raise error

    def failed(self, address: str, now_us: int) -> None:
        """The try was wrong: the address is counted too."""
        self._tries.failed([_of_address(address)], now_us)

    def succeeded(self, name: str) -> None:
        """The try was right: the name is free again."""
        self._tries.clear([_of_name(name)])


class Told:
    """Which failed tries the ledger has heard of: one entry a minute and name, so that nobody floods the chain."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, tuple[int, int]] = {}

    def due(self, name: str, now_us: int) -> int:
        """How many failed since the last entry, where one is due; else 0. `name` is somebody's, or empty for all that nobody has."""
        with self._lock:
            n, last_us = self._waiting.get(name, (0, -_MINUTE_US))
            due = now_us - last_us >= _MINUTE_US
            self._waiting[name] = (0, now_us) if due else (n + 1, last_us)
            return n + 1 if due else 0


def _of_name(name: str) -> str:
    return f"name:{name[:_MOST_NAME]}"


def _of_address(address: str) -> str:
    """One customer has a whole /64 of IPv6; an IPv4 address written as one of IPv6 is itself, and no port makes it another.

    >>> _of_address("2001:db8:1:2:3:4:5:6"), _of_address("::ffff:10.0.0.1"), _of_address("10.0.0.1:4711")
    ('address:2001:db8:1:2::/64', 'address:10.0.0.1', 'address:10.0.0.1')
    """
    said = _WITH_PORT.sub(r"\1\2", address)
    try:
        found = ip_address(said.partition("%")[0])
    except ValueError:
        return f"address:{said[:_MOST_NAME]}"
    if not isinstance(found, IPv6Address):
        return f"address:{found}"
    return f"address:{found.ipv4_mapped or ip_network((int(found), 64), strict=False)}"


def _in_words(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 120 else f"{round(whole / 60)} min"
