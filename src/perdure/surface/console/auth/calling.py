"""One HTTP request as far as signing in reads it, and the cookies that answer it: plain mappings in, texts out, no framework.

Made by the application once a request. What surprised us: cookies know no port, so two consoles of one host share their names,
and signing in to one signs out of the other; each still refuses the other's tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perdure.surface.keying import is_loopback

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings

Purpose = Literal["session", "before"]
_COOKIES: Mapping[Purpose, str] = {"session": "perdure", "before": "perdure_before"}
_BEFORE_S = 600
"""How long a page of sign-in can be sent: as long as its cookie lives."""
_HOST = re.compile(r"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
"""Of a request: what stands behind the name would else be read as part of its address."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks over HTTP, before anybody knows who that is.

    Args:
        headers: by their names in lower case, `host` among them.
        cookies: by name.
        address: of the peer, without its port; the proxy's where one stands before the console.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def host(self) -> str:
        """What the browser calls this console, with the port."""
        return self.headers.get("host", "").lower()


def host_known(host: str, settings: ConsoleSettings) -> bool:
    """Whether a browser may ask for the console by this name: another site's name could point at this machine.

    >>> from perdure.core.settings import ConsoleSettings
    >>> ours = ConsoleSettings(hosts="console.example")
    >>> [host_known(each, ours) for each in ("127.0.0.1:8500", "[::1]:8500", "console.example", "evil.example")]
    [True, True, True, False]
    """
    name = _name_of(host.lower())
    ours = {each.strip().lower() for each in settings.hosts.split(",")} | {settings.host.lower()}
    return bool(name) and (is_loopback(name) or name in ours - {"", "0.0.0.0", "::"})  # noqa: S104 - refused as a name


def cookie_name(purpose: Purpose, settings: ConsoleSettings) -> str:
    """Under TLS the browser itself keeps a cookie of this name from being set by another host, or without TLS."""
    return f"__Host-{_COOKIES[purpose]}" if settings.behind_tls else _COOKIES[purpose]


def cookie_text(purpose: Purpose, value: str, settings: ConsoleSettings) -> str:
    """The `Set-Cookie` header that gives a cookie; an empty value takes it back. No script can read it."""
    longest_s = int(settings.longest_h * 3600) if purpose == "session" else _BEFORE_S
    secure = "; Secure" if settings.behind_tls else ""
    max_age = longest_s if value else 0
    return f"{cookie_name(purpose, settings)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}"


def _name_of(host: str) -> str:
    """Of `name`, `name:port`, `[address]` or `[address]:port`; empty for anything else."""
    found = _HOST.fullmatch(host)
    return (found["literal"] or found["name"]) if found else ""


def address_of(headers: Mapping[str, str], peer: str, settings: ConsoleSettings) -> str:
    """Where a request comes from: the peer, or what the proxy before the console added last; what stands before that anybody can write.

    >>> from perdure.core.settings import ConsoleSettings
    >>> address_of({"x-forwarded-for": "1.1.1.1, 10.0.0.7"}, "127.0.0.1", ConsoleSettings(behind_tls=True))
    '10.0.0.7'
    """
    said = headers.get("x-forwarded-for", "").rpartition(",")[2].strip() if settings.behind_tls else ""
    return said or peer
