"""Which versions are in force on a stage: of an agent or graph and of everything that it works with, by its versions' own definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.assets.version import CHAMPION
from perdure.core.clock import machine_now
from perdure.surface.declaring import declared_versions

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import Ledger

_USES = {"search": "index", "predict": "model", "agent": "agent", "prompt": "prompt"}
"""Kind of a tool or node → its member that names an asset."""


def staged_versions(
    project: Project, ledger: Ledger, actor: str, roots: Sequence[str], wanted: Mapping[str, str] | None = None
) -> dict[str, Version]:
    """Asset → version, for these and all that they use: what is wanted, else the champion, else what is declared.

    A model that was never released has none, and is left out.

    Args:
        project: what it declares.
        ledger: with versions and pointers.
        actor: who looks.
        roots: agents and graphs.
        wanted: asset → version id.

    Raises:
        NotFound: there is no such version.
    """
    wanted = wanted or {}
    with ledger.read() as session:
        declared = {
            each.version.asset: each.version for each in declared_versions(project, session, actor, machine_now())
        }
        ids = {version.id: version for version in declared.values()}
        champions = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}

        def version_of(asset: str) -> Version | None:
            name = wanted.get(asset) or champions.get(asset)
            if name is None:
                return declared.get(asset)
            return ids.get(name) or session.registry.get_version(name)

        found: dict[str, Version] = {}
        ahead = list(roots)
        while ahead:
            asset = ahead.pop()
            version = None if asset in found else version_of(asset)
            if version is not None:
                found[asset] = version
                ahead += used_by(version)
    return found


def used_by(version: Version) -> Iterator[str]:
    """Names of the assets that a version's definition names; routes of semantic caches and embedders are not among them."""
    told = version.definition
    if version.kind == "agent":
        yield from (each for each in (told["prompt"], told["route"]) if each)
        yield from _of_tools(told["tools"])
    elif version.kind == "graph":
        yield from _of_tools(told["nodes"])
        yield from _of_tools([node["tool"] for node in told["nodes"] if node["kind"] == "tool"])
    elif version.kind == "prompt":
        yield told["route"]
    elif version.kind == "route":
        yield from told["guards"]


def _of_tools(told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from (str(each[_USES[each["kind"]]]) for each in told if each["kind"] in _USES)
