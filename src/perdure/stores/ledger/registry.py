"""The registry role: assets with their newest definition, and immutable versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, select

from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.core.clock import from_us, to_us
from perdure.core.errors import Refused, not_found
from perdure.stores.ledger.chain import json_text
from perdure.stores.ledger.protocols import AssetRecord
from perdure.stores.ledger.schema import assets, versions
from perdure.stores.ledger.scope import Change, Scope, Write

_KEPT = 256
"""So many versions stay decoded: decoding one takes 150 µs, and a repair looks at a hundred of them many times."""
# Built once: building the query costs more than answering it.
_FIND = select(versions).where(versions.c.project == bindparam("project"), versions.c.id == bindparam("id"))


class SqlRegistry:
    """Assets and their versions, over one snapshot or transaction."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def put_asset(self, kind: str, name: str, definition: Mapping[str, Any]) -> AssetRecord:
        """Keep the asset's definition; one equal to the stored one changes nothing."""
        author = self._scope.writing()
        digest = content_hash(definition)
        query = select(assets).where(assets.c.project == self._scope.project, assets.c.kind == kind)
        stored = self._scope.connection.execute(query.where(assets.c.name == name)).one_or_none()
        if stored is not None and stored.digest == digest:
            return _asset(stored)
        text = json_text(definition)
        row = {
            "project": self._scope.project,
            "kind": kind,
            "name": name,
            "digest": digest,
            "definition": text,
            "at_us": to_us(author.at),
            "actor": author.actor,
        }
        change = Change("registry.put_asset", name, {"kind": kind, "digest": digest})
        self._scope.save(change, [Write(assets, row, replaces=stored is not None)])
        return AssetRecord(kind, name, digest, json.loads(text), author.at)

    def list_assets(self, kind: str | None = None) -> list[AssetRecord]:
        """Assets by kind and name."""
        query = select(assets).where(assets.c.project == self._scope.project).order_by(assets.c.kind, assets.c.name)
        if kind is not None:
            query = query.where(assets.c.kind == kind)
        return [_asset(row) for row in self._scope.connection.execute(query)]

    def put_version(self, version: Version) -> Version:
        """Keep the version; one that is there already stays as it is.

        Raises:
            Refused: the id is taken by a version of other content, or is not of that asset.
        """
        self._scope.writing()
        if version.id.partition("@")[0] != version.asset:
            raise Refused(f"The version id {version.id!r} is not of the asset {version.asset!r}.")
        row = _version_row(self._scope.project, version)
        stored = self._find(version.id)
        if stored is not None:
            return _same_content(stored, row)
        facts = {"kind": version.kind, "version": version.id, "artifacts": version.artifacts}
        self._scope.save(Change("registry.put_version", version.asset, facts), [Write(versions, row)])
        return version

    def get_version(self, version_id: str) -> Version:
        """The version of an id.

        Raises:
            NotFound: no such version; the message names the nearest.
        """
        row = self._find(version_id)
        if row is None:
            known = select(versions.c.id).where(versions.c.project == self._scope.project)
            raise not_found("version", version_id, self._scope.connection.scalars(known))
        return _version(row)

    def list_versions(self, asset: str, *, limit: int | None = None) -> list[Version]:
        """The asset's versions, oldest first; with `limit` only so many of the newest."""
        query = select(versions).where(versions.c.project == self._scope.project, versions.c.asset == asset)
        newest_first = query.order_by(versions.c.created_us.desc(), versions.c.sequence.desc()).limit(limit)
        return [_version(row) for row in self._scope.connection.execute(newest_first)][::-1]

    def find_artifact(self, digest: str) -> str | None:
        """Id of the oldest version that holds this blob digest. O(versions)."""
        query = select(versions.c.id, versions.c.artifacts).where(
            versions.c.project == self._scope.project, versions.c.artifacts.contains(digest, autoescape=True)
        )
        for row in self._scope.connection.execute(query.order_by(versions.c.sequence)):
            if digest in json.loads(row.artifacts).values():
                return str(row.id)
        return None

    def _find(self, version_id: str) -> Row[Any] | None:
        return self._scope.connection.execute(_FIND, {"project": self._scope.project, "id": version_id}).one_or_none()


def _asset(row: Row[Any]) -> AssetRecord:
    return AssetRecord(row.kind, row.name, row.digest, json.loads(row.definition), from_us(row.at_us))


def _version_row(project: str, version: Version) -> dict[str, Any]:
    return {
        "project": project,
        "id": version.id,
        "asset": version.asset,
        "kind": version.kind,
        "definition": json_text(version.definition),
        "artifacts": json_text(version.artifacts),
        "lineage": json_text(version.lineage),
        "metrics": json_text(version.metrics),
        "created_us": to_us(version.created_at),
        "actor": version.actor,
    }


def _version(row: Row[Any]) -> Version:
    names = (row.id, row.asset, row.kind, row.actor)
    return _decoded(names, row.created_us, row.definition, row.artifacts, row.lineage, row.metrics)


@lru_cache(maxsize=_KEPT)
def _decoded(
    names: tuple[str, str, str, str], created_us: int, definition: str, artifacts: str, lineage: str, metrics: str
) -> Version:
    """The version of a row. Versions never change, so whoever asks for the same one is given the same object."""
    version_id, asset, kind, actor = names
    return Version(
        id=version_id,
        asset=asset,
        kind=kind,
        definition=json.loads(definition),
        artifacts=json.loads(artifacts),
        lineage=json.loads(lineage),
        metrics=json.loads(metrics),
        created_at=from_us(created_us),
        actor=actor,
    )


def _same_content(stored: Row[Any], row: Mapping[str, Any]) -> Version:
    differing = [name for name in ("kind", "definition", "artifacts", "lineage") if getattr(stored, name) != row[name]]
    if differing:
        raise Refused(
            f"The version {stored.id!r} exists with another {', '.join(differing)}: versions never change.",
            hint="Make its id from its content with `core.ids.version_id`.",
            differing=differing,
        )
    return _version(stored)
