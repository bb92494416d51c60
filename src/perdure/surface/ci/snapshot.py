"""What is declared at one place: here, in another checkout, or in the ledger of a deployment.

What surprised us: both checkouts have packages of the same names. So the base is loaded first and
taken out of the interpreter again, its folder out of `sys.path` too: what the head imports later,
also while it runs, is its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.canonical import canonical_json
from perdure.core.errors import DeclarationError, NotFound
from perdure.core.settings import Settings, load_settings
from perdure.surface.definitions import definitions
from perdure.surface.import_mistakes import belongs_to
from perdure.surface.project import SETTINGS_FILE, load_project

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.version import Version

LEDGER_FILE = "ledger.db"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A version that a pointer names, with what it pins."""

    model: str
    pointer: str
    version: str
    contract: str
    """Hash of the contract that it was made under."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Declarations at one place."""

    origin: str
    """Where, in words."""
    definitions: Mapping[tuple[str, str], Mapping[str, Any]]
    rules: Mapping[str, Any] | None = None
    """What perdure.toml says of autonomy and roles; None where that is not known."""
    pinned: tuple[Pinned, ...] = ()
    broken: str = ""
    """Code of the error for which the place could not be read; then nothing is compared."""


def snapshot_of(project: Project, settings: Settings, origin: str = "this checkout") -> Snapshot:
    """What a loaded project declares, as it comes out of a ledger."""
    found = {key: msgspec.json.decode(canonical_json(each)) for key, each in definitions(project).items()}
    rules = {"autonomy": settings.loop.autonomy, "roles": {role: sorted(each) for role, each in settings.roles.items()}}
    return Snapshot(origin, found, rules)


def find_base(base: Path | None, ledger: Path, settings: Settings) -> Snapshot | None:
    """What to compare with: another checkout's folder, a ledger, by default the project's own ledger; None without one.

    Args:
        base: a folder that holds perdure.toml or ledger.db, or a ledger's file.
        ledger: file of the project's own ledger, which need not be there.
        settings: of the head; its project's name is looked up in a ledger.

    Raises:
        NotFound: `base` is none of these.
        StoreError: the ledger cannot be read.
    """
    if base is None:
        return _from_ledger(ledger, settings) if ledger.is_file() else None
    if (base / SETTINGS_FILE).is_file():
        return _from_checkout(base.resolve())
    file = base / LEDGER_FILE if base.is_dir() else base
    if not file.is_file():
        raise NotFound(
            f"There is neither a {SETTINGS_FILE} nor a {LEDGER_FILE} in the base {base.name!r}.",
            hint="Give the project's folder in another checkout, or a ledger; leave --base out while there is none.",
        )
    return _from_ledger(file, settings)


def _from_checkout(folder: Path) -> Snapshot:
    try:
        settings = load_settings((folder / SETTINGS_FILE).read_text("utf-8"), os.environ)
        with _taken_out_again(folder):
            return snapshot_of(load_project(folder, settings), settings, "another checkout")
    except DeclarationError as error:
        # Else no pull request could mend it.
        return Snapshot("another checkout", {}, broken=error.code)


@contextmanager
def _taken_out_again(folder: Path) -> Iterator[None]:
    """What the block imports from `folder` is gone after it, and what was there before is back."""
    modules, path = dict(sys.modules), list(sys.path)
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if belongs_to(folder, getattr(module, "__file__", None)):
                del sys.modules[name]
        for name, module in modules.items():
            sys.modules.setdefault(name, module)
        sys.path[:] = path


def _from_ledger(file: Path, settings: Settings) -> Snapshot:
    from perdure.stores.ledger.sqlite import SqliteLedger

    ledger = SqliteLedger.open_read_only(file, project=settings.project.name)
    try:
        with ledger.read() as session:
            found = {(each.kind, each.name): each.definition for each in session.registry.list_assets()}
            pointers = sorted(session.pointers.list(), key=lambda each: (each.asset, each.name))
            versions = [(each, session.registry.get_version(each.version)) for each in pointers]
        pinned = tuple(_pinned(pointer.name, version) for pointer, version in versions if version.kind == "model")
        return Snapshot(f"the ledger at entry {ledger.sequence()}", found, None, pinned)
    finally:
        ledger.close()


def _pinned(pointer: str, version: Version) -> Pinned:
    contract: Mapping[str, Any] = version.definition.get("contract", {})
    return Pinned(version.asset, pointer, version.id, str(contract.get("hash", "")))
