"""All areas of the console: the only module that knows them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from perdure.surface.console.records import Deed, Page

AREAS = (
    "home",
    "assets",
    "incidents",
    "registry",
    "inbox",
    "training",
    "language",
    "money",
    "chronicle",
    "people",
)


def pages() -> tuple[Page, ...]:
    """Every page, area by area."""
    return tuple(page for area in AREAS for page in _of(area).PAGES)


def deeds() -> tuple[Deed, ...]:
    """Every deed, area by area."""
    return tuple(deed for area in AREAS for deed in _of(area).DEEDS)


def _of(area: str) -> Any:
    return import_module(f"perdure.surface.console.{area}")
