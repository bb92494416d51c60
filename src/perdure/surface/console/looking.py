"""A page of the console without a browser: found by its address, and viewed as the server would. For `perdure look`.

Nothing is permitted or refused here: whoever runs the command reads the stores themselves. Texts that the console keeps a note of being
seen are noted here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.routing import compile_path

from perdure.core.errors import NotFound
from perdure.surface.console.app import by_words
from perdure.surface.console.areas import pages
from perdure.surface.console.auth.permitting import person_of
from perdure.surface.console.commanding import commanded
from perdure.surface.console.records import ROLES, Asked, Person
from perdure.surface.console.twins import API

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.surface.console.parts import ConsoleParts
    from perdure.surface.console.records import Page, View


def look(parts: ConsoleParts, address: str) -> tuple[View, datetime]:
    """What the page at an address shows to the project's actor, and the instant that it is as of.

    Args:
        parts: of the console; its board is made anew.
        address: as it stands in the browser or after the host: `/assets/model/eta/drift?measure=js`.

    Raises:
        NotFound: no page has the address, or nothing is there.
    """
    told = urlsplit(address)
    path = told.path.removeprefix(API) or "/"
    page, given = _found(path)
    parts.boards.refresh()
    board = parts.boards.refresh()  # requests and spend are counted from the second look on
    asked = Asked(
        project=parts.project,
        board=board,
        person=_person(parts, parts.project.actor),
        now=board.at,
        path=given,
        query=dict(parse_qsl(told.query, keep_blank_values=True)),
        parts=parts,
    )
    here = f"{path}?{told.query}" if told.query else path
    return commanded(page.view(asked), board.at, here), board.at


def _found(path: str) -> tuple[Page, dict[str, str]]:
    for page in sorted(pages(), key=lambda each: by_words(each.path)):
        if match := compile_path(page.path)[0].match(unquote(path)):
            return page, match.groupdict()
    raise NotFound(
        f"No page of the console has the address {path!r}.", hint="Copy it from the browser, or begin with /."
    )


def _person(parts: ConsoleParts, name: str) -> Person:
    """Somebody of the ledger, with their duties; else somebody with every role."""
    with parts.project.place.stores.ledger.read() as session:
        known = next((each for each in session.people.list() if each.name == name), None)
    return Person(name, frozenset(ROLES)) if known is None else person_of(known)
