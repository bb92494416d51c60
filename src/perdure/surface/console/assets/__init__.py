"""One asset: its health over time, versions, drift, slices, lineage, contract, single predictions."""

from __future__ import annotations

from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = ()
DEEDS: tuple[Deed, ...] = ()
