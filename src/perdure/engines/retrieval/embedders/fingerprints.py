"""What an embedder is known by: a digest over all that its vectors depend on."""

from __future__ import annotations

from perdure.core.canonical import content_hash


def fingerprint(by: str, **parts: str | int | bool) -> str:
    """`by` and the digest of everything that its vectors depend on, 32 hex digits: weights, tokenizer, prefixes, dimensions ….

    >>> fingerprint("endpoint", route="small", dimensions=8) == fingerprint("endpoint", dimensions=8, route="small")
    True
    >>> fingerprint("endpoint", route="small", dimensions=8) == fingerprint("endpoint", route="small", dimensions=16)
    False
    """
    return f"{by}-{content_hash(parts)[:32]}"
