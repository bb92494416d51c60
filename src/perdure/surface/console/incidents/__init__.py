"""What went wrong, what the loop found and did about it, and what a person can do."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
