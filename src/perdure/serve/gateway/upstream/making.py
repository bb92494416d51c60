"""The client of an upstream, as it is declared. Called where routes are loaded; never for a request."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from perdure.assets.upstream import Upstream
from perdure.serve.gateway.upstream.any_llm import AnyClient
from perdure.serve.gateway.upstream.http import HttpClient
from perdure.serve.gateway.upstream.local import LocalClient
from perdure.serve.gateway.upstream.protocols import Client


def make_client(upstream: Upstream, secret: str, *, tls: ssl.SSLContext | None = None) -> Client:
    """A client for an upstream; nothing is connected yet.

    Over HTTP the secret is no business of the client's: its header differs from dialect to dialect, and comes with each
    request. `upstream.headers` are sent with each request by the client.

    Args:
        upstream: as declared.
        secret: what the variable `key_env` holds; empty where it names none.
        tls: whom to trust, from `tls.tls_context`; None: what this machine trusts.

    Raises:
        BadRoute: it is declared in a way that cannot be called.
        MissingExtra: its dialect needs a library that is not installed.
    """
    if upstream.dialect == "local":
        return LocalClient(upstream.url)
    if upstream.dialect == "any":
        return AnyClient(upstream.url, secret, max_connections=upstream.max_connections)
    most = upstream.max_connections
    return HttpClient(upstream.url, max_connections=most, tls=tls, headers=upstream.headers, name=upstream.name)


def path_prefix(upstream: Upstream) -> str:
    """What stands before each path of an upstream's requests: the path of its address.

    >>> path_prefix(Upstream("openai", "https://api.openai.com/v1/"))
    '/v1'
    >>> path_prefix(Upstream("tiny", "models/smollm2.gguf", dialect="local"))
    ''
    """
    return "" if upstream.dialect in ("local", "any") else urlsplit(upstream.url).path.rstrip("/")
