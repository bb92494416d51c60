"""What waits for a person, by what that person looks after."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
