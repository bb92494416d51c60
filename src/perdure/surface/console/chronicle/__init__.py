"""What was ever decided and done, and whether the record of it is whole; alerts, quarantine, feeds."""

from __future__ import annotations

from perdure.surface.console.chronicle.alerts_page import alerts_page
from perdure.surface.console.chronicle.browsing import ledger_page
from perdure.surface.console.chronicle.entry_told import entry_page
from perdure.surface.console.chronicle.feeds_page import feeds_page
from perdure.surface.console.chronicle.quarantine_page import quarantine_page
from perdure.surface.console.chronicle.verifying import verify, verify_page
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (
    Page("ledger", "/ledger", "chronicle/entries.html", ledger_page, place="ledger"),
    Page("verification", "/ledger/verify", "chronicle/verify.html", verify_page, place="ledger"),
    Page("alerts", "/ledger/alerts", "chronicle/alerts.html", alerts_page, place="ledger"),
    Page("quarantine", "/ledger/quarantine", "chronicle/quarantine.html", quarantine_page, place="ledger"),
    Page("feeds", "/ledger/feeds", "chronicle/feeds.html", feeds_page, place="ledger"),
    Page("entry", "/ledger/{sequence}", "chronicle/entry.html", entry_page, place="ledger"),
)
DEEDS: tuple[Deed, ...] = (Deed("verify", "/ledger/verify", verify, "note", asks_reason=False),)
