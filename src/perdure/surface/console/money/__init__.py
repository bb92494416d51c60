"""What models cost, who spends it, and what limits hold."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
