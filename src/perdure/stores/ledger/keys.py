"""The keys role: callers of the gateway, by the hashes of their secrets.

The secret itself never comes here: who issues a key shows it once, and keeps its SHA-256. The audit says who issued,
changed or revoked which key of which team; no digest of a secret stands in it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from perdure.core.clock import from_us, to_us
from perdure.core.errors import DeclarationError, Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import Key
from perdure.stores.ledger.schema import keys
from perdure.stores.ledger.scope import Change, Scope, Write

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIXED = ("team", "digest", "created_us", "actor")
"""What a key is, from issue to end."""


class SqlKeys:
    """Keys by id, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def put(self, key: Key) -> Key:
        """Insert, or replace the earlier state of that id; an equal one changes nothing.

        Raises:
            DeclarationError: the digest is not 64 hex digits in lower case.
            Refused: another key has this digest; the id is one of another team, secret or issue; or it was revoked,
                which is for good.
        """
        self._scope.writing()
        if not _DIGEST.fullmatch(key.digest):
            raise DeclarationError(
                f"The digest of the key {key.id!r} is not 64 hex digits in lower case.",
                hint="Give the SHA-256 of the secret, as hex.",
            )
        row = _key_row(self._scope.project, key)
        stored = self._one(keys.c.id == key.id)
        if stored is None:
            if self._one(keys.c.digest == key.digest) is not None:
                raise Refused("Another key has this secret.", hint="Issue a new one: secrets are never used twice.")
            self._save("keys.issue", key, row, replaces=False)
        elif any(getattr(stored, name) != value for name, value in row.items()):
            _check_change(stored, row)
            revoked = stored.revoked_us is None and key.revoked_at is not None
            self._save("keys.revoke" if revoked else "keys.change", key, row, replaces=True)
        return key

    def get(self, key_id: str) -> Key:
        """The key of an id.

        Raises:
            NotFound: no such key.
        """
        row = self._one(keys.c.id == key_id)
        if row is None:
            known = select(keys.c.id).where(keys.c.project == self._scope.project)
            raise not_found("key", key_id, self._scope.connection.scalars(known))
        return _key(row)

    def list(self, *, team: str | None = None) -> list[Key]:
        """In the order in which they were issued, revoked ones too."""
        query = select(keys).where(keys.c.project == self._scope.project)
        if team is not None:
            query = query.where(keys.c.team == team)
        return [_key(row) for row in self._scope.connection.execute(query.order_by(keys.c.created_us, keys.c.id))]

    def generation(self) -> int:
        """Sequence number of the newest change of any key; 0 when there is none."""
        newest = select(func.max(keys.c.sequence)).where(keys.c.project == self._scope.project)
        return int(self._scope.connection.scalar(newest) or 0)

    def _one(self, condition: ColumnElement[bool]) -> Row[Any] | None:
        query = select(keys).where(keys.c.project == self._scope.project, condition)
        return self._scope.connection.execute(query).one_or_none()

    def _save(self, action: str, key: Key, row: dict[str, Any], *, replaces: bool) -> None:
        said = {"key": key.id, "team": key.team, "label": key.label, "admin": key.admin, "limits": key.limits}
        said |= {"expires_at": key.expires_at, "revoked_at": key.revoked_at}
        self._scope.save(Change(action, key.id, said), [Write(keys, row, replaces=replaces)])


def _check_change(stored: Row[Any], row: dict[str, Any]) -> None:
    if stored.revoked_us is not None:
        raise Refused(f"The key {stored.id!r} was revoked, which is for good.", hint="Issue a new one.")
    differing = [name for name in _FIXED if getattr(stored, name) != row[name]]
    if differing:
        raise Refused(f"The key {stored.id!r} exists with another {', '.join(differing)}.", hint="Issue a new one.")


def _key_row(project: str, key: Key) -> dict[str, Any]:
    return {
        "project": project,
        "id": key.id,
        "team": key.team,
        "digest": key.digest,
        "label": key.label,
        "created_us": to_us(key.created_at),
        "expires_us": None if key.expires_at is None else to_us(key.expires_at),
        "revoked_us": None if key.revoked_at is None else to_us(key.revoked_at),
        "admin": int(key.admin),
        "limits": json_text(key.limits),
        "actor": key.actor,
    }


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        team=row.team,
        digest=row.digest,
        label=row.label,
        created_at=from_us(row.created_us),
        expires_at=None if row.expires_us is None else from_us(row.expires_us),
        revoked_at=None if row.revoked_us is None else from_us(row.revoked_us),
        admin=bool(row.admin),
        limits=json.loads(row.limits),
        actor=row.actor,
    )
