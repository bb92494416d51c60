"""Whom upstreams over TLS are checked against: made once, for reading all certificates costs some 20 ms."""

from __future__ import annotations

import ssl
from functools import lru_cache

from perdure.core.errors import BadRoute


@lru_cache(maxsize=16)
def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """A context that checks certificate and host name; shared by all upstreams that trust the same.

    Args:
        ca_file: PEM file of the authorities to trust instead of this machine's; empty: this machine's, which OpenSSL
            lets the environment replace too (`SSL_CERT_FILE`, `SSL_CERT_DIR`).

    Raises:
        BadRoute: the file cannot be read, or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise BadRoute(
            f"The certificate authorities in {ca_file!r} cannot be read: {error.strerror or type(error).__name__}.",
            hint="Give a PEM file with one or more certificates.",
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context
