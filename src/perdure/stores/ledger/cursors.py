"""The cursors role: small JSON values by name, overwritten in place and outside the audit chain."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from perdure.core.clock import to_us
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.schema import cursors
from perdure.stores.ledger.scope import Scope


class SqlCursors:
    """Watermarks and intents, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, name: str) -> Any | None:
        """The value, or None when there is none."""
        query = select(cursors.c.value).where(cursors.c.project == self._scope.project, cursors.c.name == name)
        text = self._scope.connection.execute(query).scalar()
        return None if text is None else json.loads(text)

    def put(self, name: str, value: Any) -> None:
        """Keep a JSON-compatible value."""
        author = self._scope.writing()
        row = {"value": json_text(value), "at_us": to_us(author.at), "actor": author.actor}
        here = (cursors.c.project == self._scope.project, cursors.c.name == name)
        if self._scope.connection.execute(cursors.update().where(*here), row).rowcount == 0:
            key = {"project": self._scope.project, "name": name}
            self._scope.connection.execute(cursors.insert(), {**key, **row})

    def list(self, prefix: str) -> dict[str, Any]:
        """Values by name, of the names that begin with `prefix`."""
        query = select(cursors.c.name, cursors.c.value).where(cursors.c.project == self._scope.project)
        rows = self._scope.connection.execute(query.order_by(cursors.c.name))
        return {row.name: json.loads(row.value) for row in rows if row.name.startswith(prefix)}
