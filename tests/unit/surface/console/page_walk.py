"""Walks a console as a person with every role would: along each link of each page, a few addresses a page; and reads what came."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, unquote

from perdure.surface.console import areas
from perdure.surface.console.records import Asked, Page, Person

EVERYBODY = "admin,engineer,reviewer,scientist,viewer"
PER_PAGE = 4
"""Addresses looked at of one page, such as four incidents."""
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_DRAWS = {"data:image/svg+xml", "data:image/png"}


@dataclass
class Read(HTMLParser):
    """A page as a browser reads it, and what is wrong with it."""

    links: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    statics: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    text: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        if len(given) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if "id" in given:
            self.ids[given["id"]] += 1
        for name, value in given.items():
            if name == "style" or name.startswith(("on", "hx-on")) or value.strip().lower().startswith("js:"):
                self.wrong.append(f"<{tag} {name}={value[:60]!r}>")
            if name.startswith("hx-") and name in ("hx-get", "hx-post") and not value.startswith("/"):
                self.wrong.append(f"<{tag} {name}={value[:60]!r}> leaves the console")
            if name == "hx-trigger" and re.search(r"(click|input|change|load|revealed)\[", value):
                self.wrong.append(f"<{tag} hx-trigger={value!r}> needs eval")
        self._addresses(tag, given)
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            self.wrong.append(f"an inline <{tag}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "script":
            self.text.append(data)

    def _addresses(self, tag: str, given: dict[str, str]) -> None:
        for name in ("href", "src", "action", "hx-get", "xlink:href"):
            if name not in given:
                continue
            to = given[name]
            if to.startswith("/static/"):
                self.statics.append(to)
            elif to.startswith("/") and not to.startswith("//"):
                (self.actions if name == "action" else self.links).append(to)
            elif not to.startswith("#") and to.partition(";")[0].partition(",")[0] not in _DRAWS:
                self.wrong.append(f"<{tag} {name}={to[:80]!r}> leads elsewhere")


@dataclass
class Seen:
    """One address of one page."""

    page: Page
    address: str
    answer: Any
    read: Read


def read(html: str) -> Read:
    """Read a page."""
    made = Read()
    made.feed(html)
    made.close()
    return made


def walk(console: Any, *begins: str) -> tuple[dict[str, Seen], list[str]]:
    """Everything that links lead to from the start, and from the addresses where more begins; and links that lead nowhere."""
    patterns = [(_pattern(page.path), page) for page in sorted(areas.pages(), key=lambda each: "{" in each.path)]
    patterns.sort(key=lambda each: [part.startswith("{") for part in each[1].path.split("/")])
    found: dict[str, Seen] = {}
    waiting, n_of = deque(["/", *begins]), Counter[str]()
    asked: set[str] = set(waiting)
    nowhere: list[str] = []
    while waiting:
        address = waiting.popleft()
        page = next((page for pattern, page in patterns if pattern.fullmatch(address.partition("?")[0])), None)
        if page is None:
            nowhere.append(address)
            if address == "/":
                waiting.extend(each.path for each in areas.pages() if "{" not in each.path)
            continue
        if n_of[page.name] >= PER_PAGE and address not in begins:
            continue
        n_of[page.name] += 1
        answer = console.get(address, as_=EVERYBODY)
        seen = Seen(page, address, answer, read(answer.text) if "html" in answer.headers["content-type"] else Read())
        found[address] = seen
        for each in seen.read.links:
            link = each.partition("#")[0]
            if link and link not in asked and not link.startswith(("/api", "/live")):
                asked.add(link)
                waiting.append(link)
    return found, nowhere


def asked_of(console: Any, seen: Seen) -> Asked:
    """The same request, as the page's view takes it."""
    path, _, query = seen.address.partition("?")
    match = _pattern(seen.page.path).fullmatch(path)
    assert match is not None
    board = console.boards.now()
    person = Person("adm", frozenset(EVERYBODY.split(",")))  # type: ignore[arg-type]
    return Asked(
        project=console.project.acting("adm"),
        board=board,
        person=person,
        now=board.at,
        path={name: unquote(value) for name, value in match.groupdict().items()},
        query=dict(parse_qsl(query, keep_blank_values=True)),
        parts=console.app.state.shell.parts,
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))
