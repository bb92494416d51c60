"""Posts one message to an address over HTTP, once: alerts and spans go out this way.

One try is one connection. Certificates are verified, redirects are not followed: the answer is told as it is. What surprised
us: a socket's time-out is for one read, and looking a name up has none, so a receiver that drips a byte now and then would
hold a round for ever. The whole try has one time-out instead: it runs in a thread, and its connection is shut when that is
over.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult

from perdure.core.clock import machine_now
from perdure.core.errors import NotReady
from perdure.durable.retry import within
from perdure.loop.alerts import Answer


def post(
    url: SplitResult,
    data: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> Answer:
    """Try once; what the network does wrong is in the answer, which never holds the address.

    Args:
        url: `http` or `https`.
        data: the body.
        headers: beside its length.
        timeout_s: of the whole try.
        tls: how certificates are verified; by default as the system does.
    """
    connection = _connection(url, timeout_s, tls)
    sent = {**headers, "connection": "close"}
    try:
        return within(timeout_s, "post", lambda: _posted(connection, url, data, sent))
    except NotReady:
        return Answer(None, f"no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, _told(error))
    finally:
        _shut(connection)


def _connection(
    url: SplitResult, timeout_s: float, tls: Callable[[], ssl.SSLContext] | None
) -> http.client.HTTPConnection:
    host = str(url.hostname)
    if url.scheme == "https":
        context = (tls or ssl.create_default_context)()
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=timeout_s)


def _posted(
    connection: http.client.HTTPConnection, url: SplitResult, data: bytes, headers: Mapping[str, str]
) -> Answer:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request("POST", target, data, dict(headers))
    # The body is left unread: the status says all, and a long body would make a message that arrived a failure.
    with connection.getresponse() as answer:
        return Answer(answer.status, retry_after_s=_seconds(answer.headers.get("retry-after", "")))


def _seconds(text: str) -> float:
    """How long `Retry-After` asks to wait: seconds, or until an instant; 0 when it says nothing that can be read.

    >>> _seconds("120"), _seconds("soon"), _seconds("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, 0.0, 0.0)
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (until - machine_now()).total_seconds()) if until.tzinfo is not None else 0.0


def _told(error: Exception) -> str:
    """An error of the network in words. None of them holds the address, which may be a secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.HTTPException):
        return f"no answer that is HTTP ({type(error).__name__})"
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def _shut(connection: http.client.HTTPConnection) -> None:
    """End what may still be read in a thread that took too long."""
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it was over already; the connection that is collected closes it
        finally:
            connection.close()
