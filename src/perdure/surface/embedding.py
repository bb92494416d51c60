"""Vectors of texts by an upstream's `/embeddings`: the port `Embed` that compose gives to the semantic cache, and calibration.

Connections are kept alive and lent to one thread at a time: the gateway asks from the threads of its slow checks. The gateway
records and bills what it asks here (`serve.gateway.embedded`); a calibration is nobody's call, and is not.
"""

from __future__ import annotations

import http.client
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from perdure.assets.route import Route
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadRoute, UpstreamError, not_found
from perdure.core.ports import Embedded

_TIMEOUT_S = 10.0
_TEXTS_A_TRY = 256
_Pool = dict[str, list[http.client.HTTPConnection]]
"""Host and port → connections that nobody uses now."""


@dataclass(frozen=True, slots=True)
class EmbedAt:
    """Where an embedder answers."""

    url: str
    """What stands before `/embeddings`."""
    model: str
    secret: str = ""
    headers: Mapping[str, str] | None = None


class HttpEmbed:
    """The port `Embed` over OpenAI's `/embeddings`. Safe to share between threads.

    Args:
        routes: by name: an embedder may be one, by its first target.
        upstreams: by name: an embedder may be `upstream/model`.
        secrets: the environment.
    """

    def __init__(
        self, routes: Mapping[str, Route], upstreams: Mapping[str, Upstream], secrets: Mapping[str, str]
    ) -> None:
        self._routes = routes
        self._upstreams = upstreams
        self._secrets = secrets
        self._pool: _Pool = {}
        self._lock = threading.Lock()
        # Whoever embeds has no end that tells it: connections go with it.
        weakref.finalize(self, _close, self._pool)

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        """One row a text, and what the upstream counted.

        Raises:
            UpstreamError: no answer, or none that holds as many vectors of one length.
            NotFound: no such route or upstream.
            BadRoute: its upstream speaks another dialect than OpenAI's.
        """
        return self._embedded(self.find(route), texts)

    def find(self, embedder: str) -> EmbedAt:
        """Where an embedder answers.

        Raises: NotFound, BadRoute, as `embed`.
        """
        if embedder in self._routes:
            target = self._routes[embedder].targets[0]
            upstream, model = target.upstream, target.model
        else:
            name, _, model = embedder.partition("/")
            if name not in self._upstreams or not model:
                raise not_found("embedder", embedder, [*self._routes, *(f"{each}/MODEL" for each in self._upstreams)])
            upstream = self._upstreams[name]
        if upstream.dialect != "openai":
            raise BadRoute(
                f"The embedder {embedder!r} is at {upstream.name!r}, which speaks {upstream.dialect}.",
                hint="Embed by an upstream that answers OpenAI's /embeddings.",
            )
        secret = self._secrets.get(upstream.key_env, "") if upstream.key_env else ""
        return EmbedAt(upstream.url, model, secret, upstream.headers)

    def embed_at(self, at: EmbedAt, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors alone, at an address."""
        return self._embedded(at, texts).vectors

    def _embedded(self, at: EmbedAt, texts: Sequence[str]) -> Embedded:
        parts = [self._some(at, texts[first : first + _TEXTS_A_TRY]) for first in range(0, len(texts), _TEXTS_A_TRY)]
        counts = [part.n_tokens for part in parts if part.n_tokens is not None]
        vectors = np.concatenate([part.vectors for part in parts]) if parts else np.zeros((0, 0), np.float32)
        return Embedded(vectors, sum(counts) if len(counts) == len(parts) else None)

    def _some(self, at: EmbedAt, texts: Sequence[str]) -> Embedded:
        body = msgspec.json.encode({"model": at.model, "input": list(texts), "encoding_format": "float"})
        headers = {**(at.headers or {}), "content-type": "application/json"}
        if at.secret:
            headers["authorization"] = f"Bearer {at.secret}"
        status, answer = self._posted(urlsplit(f"{at.url.rstrip('/')}/embeddings"), body, headers)
        if status != 200:
            raise UpstreamError(
                f"The embedder {at.model!r} answered {status}.", hint="Check its address, key and model."
            )
        return _vectors(answer, len(texts), at.model)

    def _posted(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Over a kept connection, or a new one; one that was closed meanwhile is made anew, once."""
        kept = self._taken(url.netloc)
        while True:
            used = kept or _connection(url)
            try:
                used.request("POST", url.path, body, dict(headers))
                response = used.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                used.close()
                if kept is None:
                    why = type(error).__name__
                    raise UpstreamError(f"The embedder at {url.hostname} did not answer: {why}.") from error
                kept = None
                continue
            with self._lock:
                self._pool.setdefault(url.netloc, []).append(used)
            return response.status, answer

    def _taken(self, host: str) -> http.client.HTTPConnection | None:
        with self._lock:
            free = self._pool.get(host)
            return free.pop() if free else None


def _close(pool: _Pool) -> None:
    for connections in pool.values():
        for connection in connections:
            connection.close()


def _connection(url: SplitResult) -> http.client.HTTPConnection:
    made = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return made(str(url.hostname), url.port, timeout=_TIMEOUT_S)


def _vectors(answer: bytes, n: int, model: str) -> Embedded:
    try:
        whole = msgspec.json.decode(answer)
        told: list[Any] = whole["data"]
        rows = np.array([each["embedding"] for each in sorted(told, key=lambda each: each["index"])], np.float32)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UpstreamError(f"The embedder {model!r} answered what holds no vectors.") from error
    if rows.ndim != 2 or rows.shape[0] != n or not np.isfinite(rows).all():
        raise UpstreamError(
            f"The embedder {model!r} gave {rows.shape[0]} vectors for {n} texts, or some that are none."
        )
    return Embedded(rows, _counted(whole.get("usage")))


def _counted(usage: object) -> int | None:
    """Tokens by OpenAI's `usage` of embeddings."""
    found = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return found if type(found) is int and found >= 0 else None
