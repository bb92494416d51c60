"""Upstreams: the providers that a gateway may call. Addresses come from here alone, never from a request.

    openai = Upstream("openai", "https://api.openai.com/v1", key_env="OPENAI_API_KEY")
    claude = Upstream("claude", "https://api.anthropic.com", dialect="anthropic", key_env="ANTHROPIC_API_KEY")

An upstream is no asset: it is an address and a way to speak. What decays is the route over it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from perdure.core.errors import BadRoute

Dialect = Literal["openai", "anthropic", "gemini", "local", "any"]
"""`openai`: any OpenAI-compatible server; `local`: a GGUF model in this process (extra `local`); `any`: whatever
any-llm-sdk can call (extra `any-llm`)."""
DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic", "gemini", "local", "any")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where calls go, and in which dialect.

    Args:
        name: lower case with underscores.
        url: what stands before `/chat/completions`, `/v1/messages` or `/v1beta/models/…`; for `local` a file, for
            `any` the provider's name.
        dialect: how it is spoken to.
        key_env: environment variable that holds its secret; empty: none is sent.
        headers: sent with each call, such as an organisation's id. No secrets.
        provider: name of the provider in the price list, such as `openai`; empty: the upstream's name, then any
            provider that has the model.
        max_connections: at most so many at once.
    """

    name: str
    url: str
    dialect: Dialect = "openai"
    key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    provider: str = ""
    max_connections: int = 512

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadRoute(f"The upstream name {self.name!r} is not legal.", hint="Use a-z, 0-9 and _, a letter first.")
        if self.dialect not in DIALECTS:
            raise BadRoute(
                f"Upstream {self.name!r} speaks {self.dialect!r}, which is not known.",
                hint=f"Use {', '.join(DIALECTS)}.",
            )
        if self.dialect in ("openai", "anthropic", "gemini"):
            self._check_url()

    def _check_url(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadRoute(
                f"Upstream {self.name!r} has the address {self.url!r}, which cannot be called.",
                hint="Write a full one without a query, such as https://api.openai.com/v1.",
            )
        if parts.username or parts.password:
            raise BadRoute(
                f"Upstream {self.name!r} has a user or password in its address.",
                hint="Put the secret into an environment variable, and name it in `key_env`.",
            )
