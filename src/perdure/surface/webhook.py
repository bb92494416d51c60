"""Posts alerts to an address over HTTP: the `Sender` that compose gives to the loop; how, says `posting`."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from perdure import __version__
from perdure.core.canonical import canonical_json
from perdure.core.clock import machine_now
from perdure.core.errors import BadSettings
from perdure.core.settings import AlertSettings
from perdure.core.signature import DELIVERY, SIGNATURE, sign
from perdure.loop.alerts import Answer
from perdure.surface.posting import post


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
        self._tls = tls

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
        }
        if self._settings.secret_env:
            headers[SIGNATURE] = sign(self._secret(), data, machine_now())
        return post(self._url, data, headers, timeout_s=self._settings.timeout_s, tls=self._tls)

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
