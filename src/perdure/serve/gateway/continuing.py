"""Requests that continue what lies at the provider: refused where it could be another team's.

OpenAI keeps responses, and continues them for whoever names their id under the same secret. Behind a gateway many teams share
that secret, so an id alone would let one team read on in another's conversation. Whose an id is nobody can tell from it: where
more than one team is declared, ids are refused unless the route says `continues=True`. Called for each request of `/v1/responses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.core.errors import Refused

_IDS = ("previous_response_id", "conversation")
_NOTHING = (b"null", b'""')
_decode = msgspec.json.decode


def check_own(members: Mapping[str, msgspec.Raw]) -> None:
    """Refuse a request that names what an earlier call left at the provider.

    Raises:
        Refused: it continues a response or a conversation, or has an item of one in its input.

    >>> check_own({"input": msgspec.Raw(b'[{"role":"user","content":"Hi"}]'), "previous_response_id": msgspec.Raw(b"null")})
    """
    named = next((name for name in _IDS if name in members and bytes(members[name]) not in _NOTHING), "")
    given = members.get("input")
    if not named and given is not None:
        items = _decode(given)
        named = "input" if isinstance(items, list) and any(map(_refers, items)) else ""
    if named:
        raise Refused(
            f"{named!r} continues what lies at the provider, where all teams of this gateway share one account.",
            hint="Send the conversation itself in `input`; or the operator declares continues=True on the route.",
            param=named,
        )


def _refers(item: Any) -> bool:
    """Whether an item of `input` stands for one at the provider; its type may be left out."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and "content" not in item)
