"""How the code of two versions differs: the text that training kept under the hash that each version's lineage has."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound
from perdure.core.ids import Digest

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.surface.console.records import Asked


@dataclass(frozen=True, slots=True)
class CodeChange:
    """A unified diff; or, where there are no lines, what is known in its place."""

    lines: tuple[str, ...]
    said: str


def code_change(asked: Asked, old: Version, new: Version) -> CodeChange:
    """The difference of what `fit` was written as, where both texts are kept; else whether it changed at all."""
    was, now = str(old.lineage.get("code", "")), str(new.lineage.get("code", ""))
    if not was or not now:
        return CodeChange((), "Versions of this kind rest on no code of their own.")
    if was == now:
        return CodeChange((), f"The code is the same: {was[:12]}.")
    before, after = _lines(asked, was), _lines(asked, now)
    if before is None or after is None:
        gone = old.id if before is None else new.id
        said = f"The code changed, {was[:12]} to {now[:12]}; the text of {gone} was not kept when it was trained."
        return CodeChange((), said)
    lines = tuple(unified_diff(before, after, old.id, new.id, lineterm="", n=3))
    return CodeChange(lines, "" if lines else "The code is the same but for names of its classes.")


def _lines(asked: Asked, digest: str) -> list[str] | None:
    from perdure.engines.training.code import read_code

    with suppress(NotFound):
        return read_code(asked.project.place.stores.blobs.get(Digest(digest)))
    return None
