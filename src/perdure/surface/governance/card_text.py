"""What people write on a model's card, in versions: who changed what, when and why is never lost.

The records tell what was measured; people tell what it is for, where it must not be used, and what they doubt. Their text is an asset of
kind `card`, named `card:MODEL`: each edit is a version, and the pointer `champion` names the one that holds. A version keeps the card's
records as they stood, too, so that it is a whole document. What surprised us: two people edit at once, and the second would undo the first
unseen; so an edit names the version that it began from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash
from perdure.core.errors import BadRequest, Conflict, DeclarationError
from perdure.core.ids import version_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perdure.stores.ledger.protocols import LedgerSession

KIND = "card"
EDITED = "card.edited"
"""Action of the audit chain."""
LONGEST = 20_000
"""Characters of a text: some seven pages."""


@dataclass(frozen=True, slots=True)
class CardText:
    """One version of what people wrote."""

    version: str
    model: str
    text: str
    """Paragraphs with an empty line between them; one that begins with `## ` is a heading."""
    actor: str
    at: datetime
    reason: str
    previous: str
    """The version that it was made from; empty for the first."""
    champion: str
    """The model's version that answered then; empty where none did."""
    records: str
    """The card's records as they stood, as Markdown."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A new text.

    Args:
        model: whose card.
        text: the whole of it.
        reason: kept.
        base: the version that it was made from; None: whatever holds now.
        champion: the model's version that answers; empty where none does.
        records: the card's records, as Markdown.
    """

    model: str
    text: str
    reason: str
    base: str | None = None
    champion: str = ""
    records: str = ""


def card_name(model: str) -> str:
    """Name of the asset whose versions are the texts of a model's card.

    >>> card_name("air_time")
    'card:air_time'
    """
    return f"{KIND}:{model}"


def model_of(asset: str) -> str:
    """The model of a card's asset; empty for any other asset."""
    kind, sign, model = asset.partition(":")
    return model if (kind, sign) == (KIND, ":") else ""


def put_text(session: LedgerSession, edit: Edit, actor: str, at: datetime) -> CardText:
    """Keep a text as the one that holds; a text that holds already changes nothing.

    Raises:
        DeclarationError: it is empty.
        BadRequest: it is longer than `LONGEST`.
        Conflict: somebody changed the card since `base`.
    """
    text = _clean(edit.text)
    present = find_text(session, edit.model)
    now_holds = present.version if present else ""
    if edit.base is not None and edit.base != now_holds:
        who = f"{present.actor} changed" if present else "Somebody took away"
        raise Conflict(
            f"{who} the card of {edit.model} meanwhile: {now_holds or 'nothing'} holds, and not {edit.base or 'nothing'}.",
            hint="Look at what changed, and write yours into it.",
        )
    if present is not None and present.text == text:
        return present
    made = _version(edit, text, now_holds, actor, at)
    session.registry.put_version(made)
    session.pointers.set([Pointer(made.asset, CHAMPION, made.id)], facts={"stage": "edited"})
    session.audit.append(EDITED, edit.model, {"version": made.id, "previous": now_holds, "n_characters": len(text)})
    return _told(made)


def _version(edit: Edit, text: str, previous: str, actor: str, at: datetime) -> Version:
    definition = {"model": edit.model, "text": text, "records": edit.records}
    lineage: Mapping[str, Any] = {"previous": previous, "champion": edit.champion, "reason": edit.reason}
    name = card_name(edit.model)
    made = version_id(name, content_hash({"definition": definition, "lineage": lineage}))
    return Version(made, name, KIND, definition, {}, lineage, {}, at, actor)


def find_text(session: LedgerSession, model: str, version: str = "") -> CardText | None:
    """The text that holds, or one of a version; None where nobody wrote any.

    Raises:
        NotFound: no such version.
    """
    asset = card_name(model)
    wanted = version or next((each.version for each in session.pointers.list(asset) if each.name == CHAMPION), "")
    if not wanted:
        return None
    found = session.registry.get_version(wanted)
    if found.asset != asset:
        raise BadRequest(
            f"{wanted!r} is no version of the card of {model}.", hint=f"perdure history {asset} lists them."
        )
    return _told(found)


def list_texts(session: LedgerSession, model: str, *, limit: int = 50) -> list[CardText]:
    """The newest versions, newest first."""
    return [_told(each) for each in reversed(session.registry.list_versions(card_name(model), limit=limit))]


def parts_of(text: str) -> Sequence[tuple[str, str]]:
    r"""The text in its parts: (`heading` or `paragraph`, words).

    >>> parts_of("## Limits\nNot for cargo.\n\nAsk dispatch.")
    [('heading', 'Limits'), ('paragraph', 'Not for cargo.'), ('paragraph', 'Ask dispatch.')]
    """
    found: list[tuple[str, str]] = []
    for block in text.split("\n\n"):
        lines = block.strip().split("\n")
        if lines[0].startswith("## "):
            found.append(("heading", lines.pop(0)[3:].strip()))
        if any(line.strip() for line in lines):
            found.append(("paragraph", "\n".join(lines).strip()))
    return found


def _clean(text: str) -> str:
    """Lines of one kind without what stands behind them."""
    kept = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).strip()
    if not kept:
        raise DeclarationError("The text of the card is empty.", hint="Write what the model is for, and its limits.")
    if len(kept) > LONGEST:
        raise BadRequest(
            f"The text has {len(kept):,} characters; {LONGEST:,} is the most.", hint="Say it in fewer words."
        )
    return kept


def _told(version: Version) -> CardText:
    lineage, definition = version.lineage, version.definition
    return CardText(
        version=version.id,
        model=str(definition["model"]),
        text=str(definition["text"]),
        actor=version.actor,
        at=version.created_at,
        reason=str(lineage["reason"]),
        previous=str(lineage["previous"]),
        champion=str(lineage["champion"]),
        records=str(definition["records"]),
    )
