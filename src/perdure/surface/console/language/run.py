"""`/language/runs/{id}`: one run of an agent or a graph as a waterfall of its steps, with the calls, searches and runs below them.

What it was asked and gave is on a page of its own, `/texts`, for whoever may read it; that it was read stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.core.clock import from_us
from perdure.core.errors import NotFound
from perdure.core.runs import RunRecord, StepRecord, Wait
from perdure.core.usage import PICO
from perdure.serve.runs.showing import value_of
from perdure.stores.runs.protocols import Told
from perdure.surface.console.asking import address
from perdure.surface.console.language.bodies import Words, messages_of, shown, words_of
from perdure.surface.console.language.cells import NONE, OVERVIEW, at_us, count, ms, page_of, usd
from perdure.surface.console.language.drawings import drawing_of
from perdure.surface.console.language.runs import TONES, cost_of
from perdure.surface.console.language.seen import note_seen
from perdure.surface.console.language.waterfall import Bar, placed
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.runs_kept import get_run

_DEEP = 3
_MOST_BARS = 200
_STATES: dict[str, Tone] = {
    "done": "good",
    "failed": "bad",
    "refused": "bad",
    "waiting": "warn",
    "begun": "info",
    "unknown": "bad",
}
_MARKED = ("recorded", "cached", "cut", "masked", "loop")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went into a step, and what came out."""

    name: str
    given: tuple[Words, ...]
    gave: tuple[Words, ...]
    text: str


@dataclass(frozen=True, slots=True)
class RunPage:
    """The whole page."""

    id: str
    kind: str
    asset: str
    asset_page: str
    status: str
    tone: Tone
    began_at: datetime
    why: str
    text: str
    facts: Table
    bars: tuple[Bar, ...]
    n_left_out: int
    """Bars that are not drawn."""
    took: str
    cost: str
    n_tokens: int
    waits: Table
    drawing: str
    """Of a graph's run: a data URI."""
    texts: str
    may_read: bool
    shown: bool
    input: tuple[Words, ...]
    output: tuple[Words, ...]
    exchanges: tuple[Exchange, ...]


def view(asked: Asked) -> View:
    """`/language/runs/{id}`.

    Raises:
        NotFound: there is none.
        BadRequest: several begin so.
    """
    return _view(asked, texts=False)


def texts_view(asked: Asked) -> View:
    """`/language/runs/{id}/texts`: the same with its texts."""
    return _view(asked, texts=True)


def _view(asked: Asked, *, texts: bool) -> View:
    told = get_run(asked.project, asked.path["id"])
    run = told.run
    if texts:
        note_seen(asked, "run", run.id)
    page = address("/language/runs", run.id)
    end_us = run.ended_us or max((each.began_us + each.took_us for each in told.steps), default=run.began_us)
    bars = list(_bars(asked, told, run.began_us, 0))
    data = RunPage(
        id=run.id,
        kind=run.kind,
        asset=run.asset,
        asset_page=page_of(run.kind, run.asset),
        status=run.status,
        tone=TONES[run.status],
        began_at=from_us(run.began_us),
        why=run.why,
        text=run.text if texts else "",
        facts=_facts(run),
        bars=placed(bars[:_MOST_BARS], (end_us - run.began_us) / 1000.0),
        n_left_out=max(0, len(bars) - _MOST_BARS),
        took=ms((end_us - run.began_us) / 1000.0),
        cost=cost_of(run),
        n_tokens=run.n_tokens,
        waits=_waits(told.waits, texts=texts),
        drawing=drawing_of(asked, run.asset, run.version, run.id) if run.kind == "graph" else "",
        texts=page + "/texts",
        may_read=asked.person.may("bodies"),
        shown=texts,
        input=_words("asked", run.input) if texts else (),
        output=_words("gave", run.output) if texts else (),
        exchanges=tuple(_exchange(each) for each in _ended(told) if each.input or each.output or each.text)
        if texts
        else (),
    )
    crumbs = (OVERVIEW, ("Runs", "/language/runs"), *([(run.id, page)] if texts else []))
    title = f"Texts of {run.id}" if texts else f"Run of {run.asset}"
    return View(title, data, crumbs, f"perdure agent trace {run.id}" + (" --full" if texts else ""))


def _facts(run: RunRecord) -> Table:
    swaps = ", ".join(f"{name} → {value}" for name, value in run.swaps.items())
    rows: list[tuple[str, Cell | str]] = [
        ("run", run.id),
        ("of", Cell(f"{run.kind} {run.asset}", page_of(run.kind, run.asset))),
        ("version", f"{run.version} ({run.arm})"),
        ("began", at_us(run.began_us)),
        ("ended", at_us(run.ended_us)),
        ("steps", count(run.n_steps)),
        ("who", f"team {run.team or NONE}, key {run.key or NONE}" + (f", for {run.user}" if run.user else "")),
        ("begun by", Cell(run.parent, address("/language/runs", run.parent)) if run.parent else ""),
        ("does again", Cell(run.replay_of, address("/language/runs", run.replay_of)) if run.replay_of else ""),
        ("with", swaps),
        ("tags", ", ".join(f"{name}={value}" for name, value in run.tags.items() if name != "expected")),
    ]
    return Table(("What", "How"), [each for each in rows if each[1] != ""], "What is known of it")


def _ended(told: Told) -> Iterator[StepRecord]:
    """Steps without those entries that a later one of the same call took the place of."""
    last = {(each.call, each.kind): each.n for each in told.steps}
    yield from (
        each for each in told.steps if each.state not in ("begun", "waiting") or last[each.call, each.kind] == each.n
    )


def _bars(asked: Asked, told: Told, zero_us: int, depth: int) -> Iterator[Bar]:
    for step in _ended(told):
        yield _bar(step, zero_us, depth)
        below = str(step.facts.get("run", "")) if step.kind == "child" else ""
        if below and depth < _DEEP:
            try:
                yield from _bars(asked, get_run(asked.project, below), zero_us, depth + 1)
            except NotFound:
                continue


def _bar(step: StepRecord, zero_us: int, depth: int) -> Bar:
    kind, _, name = step.node.partition(":")
    known = kind in ("prompt", "agent", "graph", "index")
    n = 0 if step.usage is None else step.usage.n_total
    return Bar(
        name=Cell(name, page_of(kind, name)) if known and name else step.node,
        kind=kind if known else step.kind,
        tone=_STATES[step.state],
        state=step.state + "".join(f", {each}" for each in _MARKED if step.facts.get(each)),
        began_ms=(step.began_us - zero_us) / 1000.0 if step.began_us else None,
        took_ms=step.took_us / 1000.0,
        depth=depth,
        tokens=f"{n:,}" if n else "",
        cost=NONE if step.cost_pusd is None else usd(step.cost_pusd / PICO) if step.cost_pusd else "",
        with_=tuple(_with(step)),
        text=step.error,
    )


def _with(step: StepRecord) -> Iterator[Cell | str]:
    if call := str(step.facts.get("call_id", "")):
        yield Cell("its call", address("/language/calls", call))
    if search := str(step.facts.get("search", "")):
        yield Cell("its search", address("/language/searches", search))
    if run := str(step.facts.get("run", "")):
        yield Cell("its run", address("/language/runs", run))
    if step.facts.get("injection"):
        yield f"reads as instructions ({step.facts['injection']})"
    yield from dict.fromkeys([*([step.version] if step.version else []), *step.versions.values()])


def _waits(waits: Sequence[Wait], *, texts: bool) -> Table:
    rows = [_wait(each, texts=texts) for each in waits]
    headings = ("Question", "Tool", "Asked", "Needs", "Answer", *(("Text",) if texts else ()))
    return Table(headings, rows, "Questions to people", empty="It asked nobody.")


def _wait(wait: Wait, *, texts: bool) -> tuple[Cell | str, ...]:
    answer = wait.answer
    said: Cell | str = Cell("waits for a yes", "/inbox")
    if answer is not None:
        said = f"{'yes' if answer.approves else 'no'}, {answer.actor}: {answer.reason}"
    text = (wait.text,) if texts else ()
    return (wait.id, wait.tool, at_us(wait.asked_us), wait.role or "anybody", said, *text)


def _words(who: str, data: bytes) -> tuple[Words, ...]:
    value = value_of(data)
    return () if value is None else (words_of(who, shown(value)),)


def _exchange(step: StepRecord) -> Exchange:
    given, gave = value_of(step.input), value_of(step.output)
    if step.kind == "chat" and isinstance(given, dict) and isinstance(given.get("messages"), list):
        given = given["messages"]
    return Exchange(step.node, messages_of(given), messages_of(gave), step.text)
