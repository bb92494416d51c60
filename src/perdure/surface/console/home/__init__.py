"""The area home: one page, what needs somebody now first."""

from __future__ import annotations

from perdure.surface.console.home.page import home
from perdure.surface.console.records import Deed, Page

PAGES: tuple[Page, ...] = (Page("home", "/", "home/home.html", home, place="home"),)
DEEDS: tuple[Deed, ...] = ()
