"""`/language/calls/{id}`: one call from the request to the answer: guards, cache, retrieval, each try of a model, what was said of it later.

Its texts are on a page of their own, `/texts`, for whoever may read them; that they were read stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.surface.calls import AttemptRow, CallStory, GuardRow
from perdure.surface.console.asking import address
from perdure.surface.console.language.bodies import Words, messages_of
from perdure.surface.console.language.calls import TONES
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, count, ms, page_of, usd
from perdure.surface.console.language.seen import note_seen
from perdure.surface.console.language.waterfall import Bar, placed
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.words import number

ACTIONS: dict[str, Tone] = {
    "passed": "good",
    "blocked": "bad",
    "failed": "bad",
    "redacted": "warn",
    "warned": "warn",
    "shadowed": "mute",
}


@dataclass(frozen=True, slots=True)
class CallPage:
    """The whole page."""

    id: str
    at: datetime
    outcome: str
    tone: Tone
    status: int
    facts: Table
    bars: tuple[Bar, ...]
    took: str
    guards: Table
    said: Table
    tokens: Table
    texts: str
    """Address of the page with its texts."""
    may_read: bool
    keeps: bool
    """Its texts are kept."""
    shown: bool
    """This is that page."""
    request: tuple[Words, ...]
    answer: tuple[Words, ...]


def view(asked: Asked) -> View:
    """`/language/calls/{id}`.

    Raises:
        NotFound: none was recorded under it.
        BadRequest: several begin so.
    """
    return _view(asked, shown=False)


def texts_view(asked: Asked) -> View:
    """`/language/calls/{id}/texts`: the same with its texts."""
    return _view(asked, shown=True)


def _view(asked: Asked, *, shown: bool) -> View:
    found = asked.project.call(asked.path["id"], at=asked.now, drains=False)
    row = found.call
    if shown:
        note_seen(asked, "call", row.id)
    page = address("/language/calls", row.id)
    data = CallPage(
        id=row.id,
        at=row.at,
        outcome=row.outcome,
        tone=TONES.get(row.outcome, "mute"),
        status=row.status,
        facts=_facts(asked, found),
        bars=placed(list(_bars(found)), row.latency_ms),
        took=ms(row.latency_ms),
        guards=_guards(found, shown=shown),
        said=_said(found, shown=shown),
        tokens=Table(
            ("Tokens", "Count"),
            [(name.replace("_", " "), count(n)) for name, n in row.tokens.items()],
            "Tokens, as the upstream counted them"
            if not row.estimated
            else "Tokens, estimated: the upstream did not tell",
            numeric=frozenset({1}),
            empty="No tokens were counted.",
        ),
        texts=page + "/texts",
        may_read=asked.person.may("bodies"),
        keeps=found.request is not None or found.answer is not None,
        shown=shown,
        request=messages_of(found.request) if shown else (),
        answer=messages_of(found.answer) if shown else (),
    )
    crumbs = (OVERVIEW, ("Calls", "/language/calls"), *([(row.id, page)] if shown else []))
    return View("Texts of a call" if shown else f"Call {row.id}", data, crumbs, f"perdure call {row.id}")


def _facts(asked: Asked, found: CallStory) -> Table:
    row = found.call
    prompt = row.prompt.partition("@")[0]
    searched, index = found.tags.get("search", ""), found.tags.get("index", "")
    rows: list[tuple[str, Cell | str]] = [
        ("when", at(row.at)),
        ("who", f"team {row.team or NONE}, key {row.key or NONE}"),
        ("route", Cell(f"{row.version or row.route or NONE} ({row.arm or 'none'})", page_of("route", row.route)) if row.route else NONE),
        ("endpoint", row.endpoint + (", streamed" if row.stream else "")),
        ("prompt", Cell(row.prompt, page_of("prompt", prompt)) if prompt in asked.project.project.prompts else row.prompt),
        ("retrieval", Cell(f"search {searched} of {index}", address("/language/searches", searched)) if searched else ""),
        ("ended", row.finish),
        ("cache", row.cache + (f", saved {usd(row.saved_usd)}" if row.saved_usd else "")),
        ("cost", usd(row.cost_usd)),
        ("first byte", ms(row.first_ms) if row.first_ms is not None else ""),
        ("tags", ", ".join(f"{name}={value}" for name, value in found.tags.items() if name not in ("search", "index"))),
    ]  # fmt: skip
    return Table(("What", "How"), [each for each in rows if each[1] != ""], "What is known of it")


def _bars(found: CallStory) -> Iterator[Bar]:
    """In the order in which they came: guards of the input from the begin on, tries, guards of the output up to the end."""
    row = found.call
    yield Bar(
        "the whole call",
        "call",
        TONES.get(row.outcome, "mute"),
        row.outcome,
        0.0,
        row.latency_ms,
        cost=usd(row.cost_usd),
    )
    yield from (_guard_bar(each, 0.0) for each in found.guards if each.side == "input")
    if row.cache:
        yield Bar(f"cache: {row.cache}", "cache", "info", row.cache, None, 0.0)
    yield from map(_try, found.attempts)
    outs = [each for each in found.guards if each.side != "input"]
    yield from (_guard_bar(each, max(0.0, row.latency_ms - each.took_ms)) for each in outs)


def _guard_bar(found: GuardRow, began_ms: float) -> Bar:
    name = Cell(f"guard {found.guard}", page_of("guard", found.guard))
    shadow = " (shadow)" if found.arm == "shadow" else ""
    tone = ACTIONS.get(found.action, "mute")
    return Bar(name, f"guard of the {found.side}", tone, found.action + shadow, began_ms, found.took_ms)


def _try(found: AttemptRow) -> Bar:
    n = found.tokens.get("input", 0) + found.tokens.get("output", 0)
    return Bar(
        found.target,
        "model",
        "bad" if found.error else "good",
        found.error or f"status {found.status}",
        found.began_ms,
        found.took_ms,
        tokens=f"{n:,}" if n else "",
        cost=usd(found.cost_usd) if found.tokens or found.cost_usd is not None else "",
        with_=() if found.first_ms is None else (f"first byte after {ms(found.first_ms)}",),
    )


def _guards(found: CallStory, *, shown: bool) -> Table:
    def row(each: GuardRow) -> tuple[Cell | str, ...]:
        text: tuple[Any, ...] = (each.text or NONE,) if shown else ()
        return (
            Cell(each.guard, page_of("guard", each.guard)),
            each.side + (", shadow" if each.arm == "shadow" else ""),
            Cell(each.action, tone=ACTIONS.get(each.action, "mute")),
            " ".join(part for part in (each.check, each.kind) if part) or NONE,
            number(each.score) if each.score else NONE,
            ms(each.took_ms),
            each.version,
            *text,
        )

    headings = ("Guard", "Side", "Did", "Found", "Score", "Took", "Version", *(("Text",) if shown else ()))
    return Table(
        headings,
        [row(each) for each in found.guards],
        "What guards said",
        numeric=frozenset({4, 5}),
        empty="No guard looked at it.",
    )


def _said(found: CallStory, *, shown: bool) -> Table:
    rows = [
        (each.name, number(each.value), at(each.at), each.key or NONE, *((each.text,) if shown else ()))
        for each in found.feedback
    ]
    headings = ("What", "Value", "When", "By key", *(("Text",) if shown else ()))
    return Table(
        headings, rows, "What was said of it later", numeric=frozenset({1}), empty="Nobody said anything of it."
    )
