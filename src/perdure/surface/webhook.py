"""Posts alerts to an address over HTTP: the `Sender` that compose gives to the loop.

One try is one connection. Certificates are verified, redirects are not followed: the answer is told
as it is. What surprised us: a socket's time-out is for one read, and looking a name up has none, so a
receiver that drips a byte now and then would hold a round for ever. The whole try has one time-out
instead: it runs in a thread, and its connection is shut when that is over.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from perdure import __version__
from perdure.core.canonical import canonical_json
from perdure.core.clock import machine_now
from perdure.core.errors import BadSettings, NotReady
from perdure.core.settings import AlertSettings
from perdure.core.signature import DELIVERY, SIGNATURE, sign
from perdure.durable.retry import within
from perdure.loop.alerts import Answer


class Webhook:
    """Posts to the address of the settings.

    Args:
        settings: with an address.
        environment: where the secret is looked up, at each try.
        tls: how certificates are verified; by default as the system does.
    """

    def __init__(
        self, settings: AlertSettings, environment: Mapping[str, str], tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._url = urlsplit(settings.url)
        self._tls = tls or ssl.create_default_context

    def send(self, delivery: str, attempt: int, body: Mapping[str, Any]) -> Answer:
        """Try once, within `timeout_s`; what the network does wrong is in the answer.

        Raises:
            BadSettings: the secret is not in the environment; nothing was sent.
        """
        data = canonical_json(slack_text(body) if self._settings.format == "slack" else body)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": f"perdure/{__version__}",
            DELIVERY: delivery,
            "perdure-attempt": str(attempt),
            "connection": "close",
        }
        if self._settings.secret_env:
            headers[SIGNATURE] = sign(self._secret(), data, machine_now())
        connection = self._connection()
        try:
            return within(self._settings.timeout_s, "alert", lambda: _posted(connection, self._url, data, headers))
        except NotReady:
            return Answer(None, f"no answer within {self._settings.timeout_s:g} s")
        except (OSError, http.client.HTTPException) as error:
            return Answer(None, _told(error))
        finally:
            _shut(connection)

    def _secret(self) -> str:
        name = self._settings.secret_env
        secret = self._environment.get(name, "")
        if not secret:
            raise BadSettings(
                f"Alerts are not sent: the environment has no {name}, which holds the secret to sign them with.",
                hint=f"Set {name} where the loop runs; what is in the outbox is sent then.",
                key="alerts.secret_env",
            )
        return secret

    def _connection(self) -> http.client.HTTPConnection:
        host, timeout_s = str(self._url.hostname), self._settings.timeout_s
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, self._url.port, timeout=timeout_s, context=self._tls())
        return http.client.HTTPConnection(host, self._url.port, timeout=timeout_s)


def _posted(
    connection: http.client.HTTPConnection, url: SplitResult, data: bytes, headers: Mapping[str, str]
) -> Answer:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request("POST", target, data, dict(headers))
    # The body is left unread: the status says all, and a long body would make an alert that arrived a failure.
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


def slack_text(body: Mapping[str, Any]) -> dict[str, str]:
    """The message as Slack and its like read it.

    >>> print(slack_text({"asset": "fares", "event": "opened", "summary": "a < b", "doing": "", "causes": [],
    ...     "events": [{"event": "opened", "text": "a < b"}], "look": "perdure explain inc_1"})["text"])
    *fares* opened: a &lt; b
    `perdure explain inc_1`
    """
    lines = [f"*{_escaped(body['asset'])}* {_words(body['event'])}: {_escaped(body['summary'])}"]
    rest = [each for each in body["events"] if each["event"] != "opened"]
    lines += [f"• {_words(each['event'])}: {_escaped(each['text'])}" for each in rest]
    lines += [f"• {cause['weight']:.0%} {_words(cause['name'])}: {_escaped(cause['text'])}" for cause in body["causes"]]
    if body["doing"]:
        lines.append(f"→ {_escaped(body['doing'])}")
    return {"text": "\n".join([*lines, f"`{body['look']}`"])}


def _words(name: str) -> str:
    return _escaped(name.replace("_", " "))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
