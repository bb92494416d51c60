"""What models cost, who spends it, and what limits hold."""

from __future__ import annotations

from perdure.surface.console.money.anomalies_page import anomalies_page
from perdure.surface.console.money.budgets_page import budgets_page
from perdure.surface.console.money.spending_page import money_page
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (
    Page("money", "/money", "money/spending.html", money_page, place="money"),
    Page("budgets", "/money/budgets", "money/budgets.html", budgets_page, place="money"),
    Page("odd hours", "/money/anomalies", "money/anomalies.html", anomalies_page, place="money"),
)
DEEDS: tuple[Deed, ...] = ()
