"""The cursors role: small JSON values by name, overwritten in place and outside the audit chain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from perdure.core.clock import to_us
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.schema import cursors
from perdure.stores.ledger.scope import Scope

_NAMES_A_QUERY = 500
"""SQLite takes 999 parameters in its older builds."""
# Built once: building a query costs more than answering it, and a round asks some hundred times.
_HERE = cursors.c.project == bindparam("project")
_GET = select(cursors.c.value).where(_HERE, cursors.c.name == bindparam("name"))
_LIST = select(cursors.c.name, cursors.c.value).where(_HERE).order_by(cursors.c.name)
# A range of the primary key: there may be as many cursors as assets.
_LIST_FROM = _LIST.where(cursors.c.name >= bindparam("first"), cursors.c.name < bindparam("after"))


class SqlCursors:
    """Watermarks and intents, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def get(self, name: str) -> Any | None:
        """The value, or None when there is none."""
        text = self._scope.connection.execute(_GET, {"project": self._scope.project, "name": name}).scalar()
        return None if text is None else json.loads(text)

    def put(self, name: str, value: Any) -> None:
        """Keep a JSON-compatible value."""
        self.put_all({name: value})

    def put_all(self, values: Mapping[str, Any]) -> None:
        """Keep JSON-compatible values by name. Cost: two statements, however many they are, beside a look for known names."""
        author = self._scope.writing()
        written = {"at_us": to_us(author.at), "actor": author.actor}
        rows = [{"name": name, "value": json_text(value), **written} for name, value in values.items()]
        known = self._known(list(values))
        changed = [{**row, "known": row["name"]} for row in rows if row["name"] in known]
        new = [{"project": self._scope.project, **row} for row in rows if row["name"] not in known]
        if changed:
            here = (cursors.c.project == self._scope.project, cursors.c.name == bindparam("known"))
            self._scope.connection.execute(cursors.update().where(*here), changed)
        if new:
            self._scope.connection.execute(cursors.insert(), new)

    def _known(self, names: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for first in range(0, len(names), _NAMES_A_QUERY):
            some = names[first : first + _NAMES_A_QUERY]
            query = select(cursors.c.name).where(cursors.c.project == self._scope.project, cursors.c.name.in_(some))
            found.update(self._scope.connection.scalars(query))
        return found

    def list(self, prefix: str) -> dict[str, Any]:
        """Values by name, of the names that begin with `prefix`."""
        here = {"project": self._scope.project}
        if prefix:
            span = {"first": prefix, "after": prefix[:-1] + chr(ord(prefix[-1]) + 1)}
            rows = self._scope.connection.execute(_LIST_FROM, {**here, **span})
        else:
            rows = self._scope.connection.execute(_LIST, here)
        return {row.name: json.loads(row.value) for row in rows}
