"""The head of a request as bytes, made so that nothing a caller gives can end a line before its time.

Whoever controls a line break in a header or a space in a path controls the requests that follow on the connection; names
that frame a message (`content-length`, `transfer-encoding` …) are ours alone. Checked here, once for the whole head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import SplitResult

from perdure.core.errors import BadRequest, BadRoute
from perdure.serve.gateway.upstream.protocols import HeaderPairs

_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"/[!-~]*")
_OURS = frozenset(
    b"host content-length connection transfer-encoding accept-encoding te trailer upgrade expect keep-alive "
    b"proxy-connection proxy-authorization".split()
)
_PORTS = {"http": 80, "https": 443}


class RequestHead:
    """Writes the heads of requests to one upstream.

    Args:
        url: the upstream's address.
        headers: sent with each request.

    Raises:
        BadRoute: one of `headers` cannot be sent.
    """

    __slots__ = ("_fixed", "_n_fixed")

    def __init__(self, url: SplitResult, headers: Mapping[str, str]) -> None:
        pairs = _encoded(headers)
        # Bodies are read, guarded and metered as they pass: they must come as they are.
        lines = [b"host: " + host_header(url), b"accept-encoding: identity"]
        try:
            lines += [_name(name) + value for name, value in pairs]
        except BadRequest as error:
            raise BadRoute(error.message, hint=error.hint) from error
        self._fixed = b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines)
        # Those lines, the request's own, that of the length, and the empty one at the end.
        self._n_fixed = len(lines) + 3
        if _is_broken(self._fixed, len(lines) + 1):
            raise BadRoute(
                f"A header of the upstream {url.hostname!r} holds a line break or a zero.",
                hint="Write its value on one line.",
            )

    def write(self, path: str, headers: HeaderPairs, n_body: int) -> bytes:
        """The head of a POST with a body of `n_body` bytes.

        Raises:
            BadRequest: the path or a header cannot be sent as it is.
        """
        parts = [_line(path), self._fixed]
        for name, value in headers:
            parts += (_name(name), value, b"\r\n")
        parts.append(b"content-length: %d\r\n\r\n" % n_body)
        head = b"".join(parts)
        if _is_broken(head, self._n_fixed + len(headers)):
            raise BadRequest("A header of the call holds a line break or a zero.", hint="Send its value on one line.")
        return head


def host_header(url: SplitResult) -> bytes:
    """What goes into the header `host`.

    >>> from urllib.parse import urlsplit
    >>> host_header(urlsplit("https://api.example.org:443/v1")), host_header(urlsplit("http://[::1]:8000"))
    (b'api.example.org', b'[::1]:8000')
    """
    host = url.hostname or ""
    name = b"[" + host.encode("ascii") + b"]" if ":" in host else host.encode("idna")
    port = port_of(url)
    return name if port == _PORTS[url.scheme] else name + b":%d" % port


def port_of(url: SplitResult) -> int:
    """The port of an address, that of its scheme where it names none."""
    return url.port or _PORTS[url.scheme]


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    try:
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    except UnicodeEncodeError as error:
        raise BadRoute(
            "A header of an upstream has letters that HTTP cannot carry.", hint="Use ASCII names and Latin-1 values."
        ) from error


def _is_broken(head: bytes, n_lines: int) -> bool:
    return head.count(b"\n") != n_lines or head.count(b"\r") != n_lines or b"\0" in head


@lru_cache(maxsize=512)
def _line(path: str) -> bytes:
    if not _PATH.fullmatch(path):
        raise BadRequest(
            "The path of a call to an upstream holds letters that no path can hold.",
            hint="Check the model's name: spaces and letters beyond ASCII must be percent-encoded.",
        )
    return b"POST " + path.encode("ascii")


@lru_cache(maxsize=512)
def _name(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise BadRequest("The name of a header is not one.", hint="Use letters, digits and hyphens.")
    lower = name.lower()
    if lower in _OURS:
        raise BadRequest(
            f"The header {lower.decode()!r} is set by the client of upstreams itself.",
            hint="Do not pass it on.",
        )
    return lower + b": "
