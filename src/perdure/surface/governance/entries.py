"""The audit chain, read page by page; and ids found by their beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from perdure.core.errors import BadRequest, not_found

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry, LedgerSession

_PAGE = 1000


def entries(
    session: LedgerSession, *, subject: str | None = None, after: int = 0, actions: Sequence[str] = ()
) -> Iterator[AuditEntry]:
    """Every entry with a greater sequence number, oldest first.

    Args:
        session: what to read.
        subject: those that name it; None: all.
        after: 0: from the first one on.
        actions: those of one of these; none: of any. Say them where they are known: facts of decisions are large.
    """
    while True:
        page = session.audit.list(after=after, limit=_PAGE, subject=subject, actions=actions)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].sequence


def by_beginning(what: str, text: str, ids: Iterable[str]) -> str:
    """The one id that begins with `text`, with or without the part before its first underscore.

    >>> by_beginning("incident", "1m8", ["inc_1m828", "inc_1m9zz"])
    'inc_1m828'

    Raises:
        NotFound: none does.
        BadRequest: several do.
    """
    known = list(ids)
    if text in known:
        return text
    found = [each for each in known if text and (each.startswith(text) or each.partition("_")[2].startswith(text))]
    if not found:
        raise not_found(what, text, known)
    if len(found) > 1:
        raise BadRequest(f"{len(found)} {what}s begin with {text!r}: {', '.join(found[:4])}.", hint="Write more of it.")
    return found[0]
