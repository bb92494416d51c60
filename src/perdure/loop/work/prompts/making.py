"""Makes versions of a prompt: equal definitions are one version, whoever makes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perdure.assets.version import Version
from perdure.core.canonical import content_hash, plain
from perdure.core.ids import version_id
from perdure.loop.protocols import Watched, Workplace


def make_version(
    place: Workplace, asset: Watched, definition: Mapping[str, Any], lineage: Mapping[str, Any], now: datetime
) -> str:
    """The id of the version that has this definition; registered where there is none yet."""
    told = plain(definition)
    made = version_id(asset.name, content_hash(told))
    with place.transaction(now, "another wording") as session:
        if made not in {each.id for each in session.registry.list_versions(asset.name)}:
            version = Version(made, asset.name, "prompt", told, {}, plain(lineage), {}, now, place.actor)
            session.registry.put_version(version)
    return made
