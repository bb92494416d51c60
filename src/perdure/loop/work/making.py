"""Makes versions that are all definition, with no artifact beside it: equal definitions are one version, whoever makes them.

Remedies call it in their steps, so that a step that is done again makes the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perdure.assets.version import Version
from perdure.core.canonical import content_hash, plain
from perdure.core.ids import version_id
from perdure.loop.protocols import Workplace


def make_version(
    place: Workplace, asset: str, kind: str, definition: Mapping[str, Any], lineage: Mapping[str, Any], now: datetime
) -> Version:
    """The version that has this definition: the one that is there already, else a new one of this lineage.

    Cost: a hash of the definition of each version of the asset.
    """
    told = plain(definition)
    digest = content_hash(told)
    with place.transaction(now, f"another version of a {kind}") as session:
        known = session.registry.list_versions(asset)
        same = next((each for each in known if content_hash(each.definition) == digest), None)
        if same is not None:
            return same
        made = Version(version_id(asset, digest), asset, kind, told, {}, plain(lineage), {}, now, place.actor)
        return session.registry.put_version(made)
