"""The pointers role: where each alias points now, and every move that ever was.

`pointers` holds the present, so that serving resolves in one indexed read; `pointer_moves` holds
the history. Both are written together under one sequence number, and both are in the chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from perdure.assets.version import Pointer, PointerMove
from perdure.core.clock import from_us, to_us
from perdure.core.errors import DeclarationError, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.schema import pointer_moves, versions
from perdure.stores.ledger.schema import pointers as present_pointers
from perdure.stores.ledger.scope import Author, Change, Removal, Scope, Write

_ALL = (
    select(present_pointers)
    .where(present_pointers.c.project == bindparam("project"))
    .order_by(present_pointers.c.asset, present_pointers.c.name)
)
_OF_ASSET = _ALL.where(present_pointers.c.asset == bindparam("asset"))
_GENERATION = select(func.max(pointer_moves.c.sequence)).where(pointer_moves.c.project == bindparam("project"))


class SqlPointers:
    """Named aliases, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def set(
        self,
        pointers: Sequence[Pointer],
        *,
        remove: Sequence[tuple[str, str]] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> int:
        """Point, and take away those in `remove`; returns the generation. What stands so already is left alone.

        Raises:
            NotFound: a version that does not exist, or is not of that asset.
            DeclarationError: a share outside 0 to 1, or one pointer twice.
        """
        author = self._scope.writing()
        _check(pointers, remove)
        present = {(pointer.asset, pointer.name): pointer for pointer in self.list()}
        moved = [pointer for pointer in pointers if present.get((pointer.asset, pointer.name)) != pointer]
        gone = [present[each] for each in remove if each in present]
        for pointer in moved:
            self._check_version(pointer)
        if not moved and not gone:
            return self.generation()
        evidence, writes = facts or {}, list[Write | Removal]()
        for pointer in moved:
            known = (pointer.asset, pointer.name) in present
            writes += self._writes(author, pointer, replaces=known, facts=evidence)
        for pointer in gone:
            writes += self._removal(author, pointer, facts=evidence)
        return self._save(Change("pointers.set", _subject(*moved, *gone), _said(moved, gone, evidence)), writes)

    def remove(self, asset: str, name: str) -> int:
        """Take the pointer away; its history stays. Returns the new generation.

        Raises:
            NotFound: no such pointer.
        """
        author = self._scope.writing()
        present = {pointer.name: pointer for pointer in self.list(asset)}
        if name not in present:
            raise not_found(f"pointer of {asset}", name, present)
        gone = present[name]
        said = _said((), [gone], {})
        return self._save(Change("pointers.remove", asset, said), self._removal(author, gone, facts={}))

    def history(self, asset: str) -> list[PointerMove]:
        """Every move of the asset's pointers, oldest first."""
        query = select(pointer_moves).where(
            pointer_moves.c.project == self._scope.project, pointer_moves.c.asset == asset
        )
        rows = self._scope.connection.execute(query.order_by(pointer_moves.c.sequence, pointer_moves.c.name))
        return [_move(row) for row in rows]

    def generation(self) -> int:
        """Sequence number of the newest move of any pointer; 0 when none."""
        return self._scope.connection.execute(_GENERATION, {"project": self._scope.project}).scalar() or 0

    def _check_version(self, pointer: Pointer) -> None:
        of_asset = select(versions.c.id).where(
            versions.c.project == self._scope.project, versions.c.asset == pointer.asset
        )
        wanted = self._scope.connection.execute(of_asset.where(versions.c.id == pointer.version)).one_or_none()
        if wanted is None:
            known = self._scope.connection.scalars(of_asset)
            raise not_found(f"version of {pointer.asset}", pointer.version, known)

    def _writes(self, author: Author, pointer: Pointer, *, replaces: bool, facts: Mapping[str, Any]) -> list[Write]:
        key = {"project": self._scope.project, "asset": pointer.asset, "name": pointer.name}
        share = float(pointer.share)
        row = {**key, "version": pointer.version, "share": share, "actor": author.actor}
        move = _move_row(author, key, version=pointer.version, share=share, facts=facts)
        return [Write(present_pointers, row, replaces=replaces), Write(pointer_moves, move)]

    def _removal(self, author: Author, pointer: Pointer, *, facts: Mapping[str, Any]) -> list[Write | Removal]:
        key = {"project": self._scope.project, "asset": pointer.asset, "name": pointer.name}
        move = _move_row(author, key, version=None, share=0.0, facts=facts)
        return [Removal(present_pointers, key), Write(pointer_moves, move)]

    def _save(self, change: Change, writes: Sequence[Write | Removal]) -> int:
        return self._scope.save(change, writes).sequence

    def list(self, asset: str | None = None) -> list[Pointer]:
        """Where the pointers stand, by asset and name."""
        if asset is None:
            rows = self._scope.connection.execute(_ALL, {"project": self._scope.project})
        else:
            rows = self._scope.connection.execute(_OF_ASSET, {"project": self._scope.project, "asset": asset})
        return [Pointer(row.asset, row.name, row.version, row.share) for row in rows]


def _subject(*pointers: Pointer) -> str:
    return ",".join(sorted({pointer.asset for pointer in pointers}))


def _said(moved: Sequence[Pointer], gone: Sequence[Pointer], evidence: Mapping[str, Any]) -> dict[str, Any]:
    parts = {"moves": tuple(moved), "removed": tuple(gone), "evidence": evidence}
    return {name: part for name, part in parts.items() if part}


def _check(moves: Sequence[Pointer], remove: Sequence[tuple[str, str]]) -> None:
    named = [*((pointer.asset, pointer.name) for pointer in moves), *remove]
    if len(set(named)) != len(named):
        raise DeclarationError("One set of moves points the same pointer twice.", hint="Give each pointer once.")
    for pointer in moves:
        if not 0.0 <= pointer.share <= 1.0:
            raise DeclarationError(
                f"The share of {pointer.asset}/{pointer.name} is {pointer.share!r}, but it must be 0 to 1."
            )


def _move_row(
    author: Author, key: Mapping[str, str], *, version: str | None, share: float, facts: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **key,
        "version": version,
        "share": share,
        "at_us": to_us(author.at),
        "actor": author.actor,
        "reason": author.reason,
        "facts": json_text(facts),
    }


def _move(row: Row[Any]) -> PointerMove:
    return PointerMove(
        asset=row.asset,
        name=row.name,
        version=row.version,
        share=row.share,
        sequence=row.sequence,
        at=from_us(row.at_us),
        actor=row.actor,
        reason=row.reason,
        facts=json.loads(row.facts),
    )
