"""A client of one declared host by one HTTP method, on the gateway's own: no redirect is followed, no proxy, nothing but this host."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from perdure.core.errors import BadAgent
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.protocols import HeaderPairs
from perdure.serve.gateway.upstream.request import RequestHead

_CONNECTIONS = 32
_DECODED = 3
"""Times that a value may be decoded on its way: by a proxy, a framework, an application."""
_SLASHES = re.compile(r"[/\\]")


class _MethodHead(RequestHead):
    """Writes heads of one method other than POST."""

    __slots__ = ("_method",)

    def __init__(self, url: SplitResult, headers: Mapping[str, str], method: str) -> None:
        super().__init__(url, headers)
        self._method = method.encode("ascii")

    def write(self, path: str, headers: HeaderPairs, n_body: int) -> bytes:
        return self._method + super().write(path, headers, n_body).removeprefix(b"POST")


class MethodClient(HttpClient):
    """The gateway's client, by any method.

    Args:
        url: of the host.
        method: `GET`, `POST` …
        name: what errors call it.
    """

    def __init__(self, url: str, method: str, name: str) -> None:
        super().__init__(url, max_connections=_CONNECTIONS, name=name)
        self._head = _MethodHead(urlsplit(url), {}, method)


@dataclass(frozen=True, slots=True)
class Address:
    """A declared address with places for parameters in its path and query.

    >>> Address.of("https://h.org/parcels/{parcel}?lang={lang}", "track").path({"parcel": "a/b?c", "lang": "d&e=f"}, {})
    '/parcels/a%2Fb%3Fc?lang=d%26e%3Df'
    """

    host: str
    """With scheme and port."""
    segments: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    places: tuple[str, ...]

    @staticmethod
    def of(url: str, tool: str) -> Address:
        """A declared one.

        Raises:
            BadAgent: a place stands where no parameter may.
        """
        parts = urlsplit(url)
        segments = tuple(parts.path.split("/")[1:])
        pairs = tuple(_pair(each) for each in parts.query.split("&") if each)
        places = tuple(
            dict.fromkeys(name for part in (*segments, *(value for _, value in pairs)) for name in _places(part))
        )
        if parts.fragment or parts.username or any("{" in name for name, _ in pairs):
            raise BadAgent(
                f"The address of the tool {tool!r} has a parameter where none may stand.",
                hint="Put {parameters} into the path, or behind a = of the query.",
            )
        return Address(f"{parts.scheme}://{parts.netloc}", segments, pairs, places)

    def path(self, given: Mapping[str, str], more: Mapping[str, str]) -> str:
        """Path and query with the values in their places, so that none can leave its own.

        Args:
            given: a text for each place.
            more: further members of the query.

        Raises:
            ValueError: a value would make another path: it is empty, or a server that decodes it would find `.` or `..` between its slashes.
        """
        if any(_steps(given[name]) for each in self.segments for name in _places(each)):
            raise ValueError("a value that would be another path")
        segments = [_filled(each, given) for each in self.segments]
        for declared, segment in zip(self.segments, segments, strict=True):
            if "{" in declared and segment in ("", ".", ".."):
                raise ValueError("a value that would be another path")
        query = [f"{name}={_filled(value, given)}" for name, value in self.pairs]
        query += [f"{_escaped(name)}={_escaped(value)}" for name, value in more.items()]
        return "/" + "/".join(segments) + ("?" + "&".join(query) if query else "")


def _steps(value: str) -> bool:
    """Whether a value holds steps of a path, however often it is decoded: many servers see `..%2F` as `../`.

    >>> [_steps(each) for each in ("a/b", "1..2", "../admin", "..;/admin", "%252e%252e/x")]
    [False, False, True, True, True]
    """
    for _ in range(_DECODED):
        value = unquote(value)
    parts = _SLASHES.split(unicodedata.normalize("NFKC", value))
    return any(part.partition(";")[0].strip() in (".", "..") for part in parts)


def text_of(value: Any) -> str | None:
    """A value as it stands in an address; None for one that cannot.

    >>> text_of(True), text_of(3), text_of(["a"])
    ('true', '3', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _places(part: str) -> list[str]:
    return [each.partition("}")[0] for each in part.split("{")[1:]]


def _filled(part: str, given: Mapping[str, str]) -> str:
    """Each place once: a value that looks like a place is not filled again."""
    head, *rest = part.split("{")
    filled = [head]
    for each in rest:
        name, _, tail = each.partition("}")
        filled += [_escaped(given[name]), tail]
    return "".join(filled)


def _escaped(text: str) -> str:
    return quote(text, safe="", errors="replace")
