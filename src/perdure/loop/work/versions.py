"""Loads what a version pins: its feature plan and its reference profile. Versions never change, so they are kept."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from perdure.assets.version import CHAMPION, Version
from perdure.core.ids import Digest
from perdure.engines.features import FeaturePlan
from perdure.engines.profile import Profile, from_bytes
from perdure.stores.blobs.protocols import Blobs
from perdure.stores.ledger.protocols import Ledger


def get_version(ledger: Ledger, version_id: str) -> Version:
    """The version of that id.

    Raises:
        NotFound: the ledger does not know it.
    """
    with ledger.read() as session:
        return session.registry.get_version(version_id)


def find_champion(ledger: Ledger, asset: str) -> Version | None:
    """The version that the champion pointer names, or None."""
    with ledger.read() as session:
        for pointer in session.pointers.list(asset):
            if pointer.name == CHAMPION:
                return session.registry.get_version(pointer.version)
    return None


def plan_of(version: Version) -> FeaturePlan:
    """The feature plan that the version pins."""
    return _plan(msgspec.json.encode(version.definition))


@lru_cache(maxsize=256)
def _plan(definition: bytes) -> FeaturePlan:
    return FeaturePlan.from_definition(msgspec.json.decode(definition))


def profile_of(blobs: Blobs, version: Version) -> Profile:
    """The profile of the rows the version was trained on.

    Raises:
        NotFound: the version was made without one.
    """
    return from_bytes(blobs.get(Digest(version.artifacts["profile"])))
