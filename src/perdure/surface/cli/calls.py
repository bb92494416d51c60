"""`perdure calls` and `perdure call`: the newest calls of the gateway, and one told whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from perdure.surface.cli.options import HERE, At, Folder, Json, opened
from perdure.surface.cli.printing import Column, Fitted, hanging, of_rows, print_json, put
from perdure.surface.cli.spending import Since, as_of
from perdure.surface.words import instant, money, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.surface.calls import AttemptRow, CallRow, Calls, CallStory, GuardRow, SaidRow

_CALLS = {
    "at": Column("at (UTC)", ()),
    "id": Column("call", ()),
    "route": Column("route", ()),
    "arm": Column("arm", (), spare=6),
    "team": Column("team", (), spare=3),
    "outcome": Column("outcome", ()),
    "status": Column("status", (), right=True, spare=2),
    "tokens": Column("tokens", (), right=True, spare=4),
    "cost": Column("cost (USD)", (), right=True),
    "took": Column("ms", (), right=True, spare=1),
    "first": Column("first byte (ms)", (), right=True, spare=5),
    "cache": Column("cache", (), spare=7),
    "attempts": Column("tries", (), right=True, spare=8),
}
_ATTEMPTS = {
    "began": Column("after (ms)", (), right=True),
    "target": Column("target", ()),
    "status": Column("status", (), right=True),
    "error": Column("error", ()),
    "took": Column("took (ms)", (), right=True),
    "first": Column("first byte (ms)", (), right=True, spare=1),
    "tokens": Column("tokens", (), right=True, spare=2),
    "cost": Column("cost (USD)", (), right=True),
}
_GUARDS = {
    "guard": Column("guard", ()),
    "side": Column("side", ()),
    "action": Column("said", ()),
    "found": Column("found", ()),
    "score": Column("score", (), right=True, spare=1),
    "took": Column("took (ms)", (), right=True, spare=2),
    "version": Column("version", (), spare=3),
}
_SAID = {
    "at": Column("at (UTC)", ()),
    "name": Column("name", ()),
    "value": Column("value", (), right=True),
    "key": Column("key", (), spare=1),
    "text": Column("text", ()),
}
_OUTCOME = {
    "answered": "green",
    "cut": "red",
    "failed": "red",
    "blocked": "yellow",
    "refused": "yellow",
    "cancelled": "dim",
}
_ACTION = {
    "passed": "green",
    "blocked": "red",
    "failed": "red",
    "redacted": "yellow",
    "warned": "yellow",
    "shadowed": "dim",
}


def calls(  # noqa: PLR0913 - a command takes what may be said with it
    project: Folder = HERE,
    route: Annotated[str | None, typer.Option("--route", metavar="ROUTE", help="Only of this route.")] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="OUTCOME", help="Only those that ended so, such as cut.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many, the newest.")] = 20,
    since: Since = "7d",
    at: At = None,
    json: Json = False,
) -> None:
    """The newest calls of the gateway: who, what became of it, how long, how much."""
    from perdure.core.units import parse_duration

    found = opened(project).calls(route=route, outcome=outcome, limit=limit, since=parse_duration(since), at=at)
    _listed(found, as_json=json)


def call(
    call: Annotated[str, typer.Argument(metavar="CALL", help="The call's id, or how it begins.")],
    project: Folder = HERE,
    at: At = None,
    json: Json = False,
) -> None:
    """One call, whole: who, which version, its tries, guards, tokens, money, and bodies as they are kept."""
    _told(opened(project).call(call, at=at), as_json=json)


def _listed(found: Calls, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    as_of(found.as_of)
    if not found.rows:
        return put("No such call was recorded in this stretch.")
    put(Fitted(of_rows(_CALLS, [_cells(row) for row in found.rows])))
    if found.n > len(found.rows):
        put(f"[dim]{len(found.rows):,} of {found.n:,}; --limit shows more[/]")
    return None


def _cells(row: CallRow) -> dict[str, str]:
    return {
        "at": instant(row.at),
        "id": escape(row.id),
        "route": escape(row.route) or "–",
        "arm": row.arm,
        "team": escape(row.team),
        "outcome": f"[{_OUTCOME.get(row.outcome, 'default')}]{row.outcome}[/]",
        "status": str(row.status),
        "tokens": _n_tokens(row.tokens),
        "cost": money(row.cost_usd),
        "took": _ms(row.latency_ms),
        "first": _ms(row.first_ms),
        "cache": row.cache,
        "attempts": str(row.n_attempts),
    }


def _told(found: CallStory, *, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    row = found.call
    outcome = f"[{_OUTCOME.get(row.outcome, 'default')}]{row.outcome}[/]"
    put(f"[bold]{escape(row.id)}[/]  {outcome} {row.status}  {instant(row.at)} UTC")
    for name, text in _facts(found).items():
        if text:
            put(hanging(Text(f"  {name:9}", "dim"), Text(text)))
    _table("tries", _ATTEMPTS, [_attempt(each) for each in found.attempts])
    _table("guards", _GUARDS, [_guard(each) for each in found.guards])
    _table("said later", _SAID, [_said(each) for each in found.feedback])
    for name, body in (("request", found.request), ("answer", found.answer)):
        if body is None:
            put(f"\n[dim]{name}: not kept[/]")
        else:
            put(f"\n[bold]{name}[/] [dim](as it is kept)[/]", *(Text(f"  {line}") for line in _lines(body)))
    return None


def _facts(found: CallStory) -> dict[str, str]:
    row = found.call
    counted = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in row.tokens.items())
    first = f", first byte after {_ms(row.first_ms)} ms" if row.first_ms else ""
    saved = f"; the cache saved {money(row.saved_usd)}" if row.saved_usd else ""
    return {
        "who": f"team {row.team or '–'}, key {row.key or '–'}",
        "route": f"{row.version or row.route or '–'} ({row.arm or 'none'}), endpoint {row.endpoint}",
        "prompt": row.prompt,
        "ended": row.finish,
        "took": f"{_ms(row.latency_ms)} ms{first}{', streamed' if row.stream else ''}",
        "cache": row.cache,
        "tokens": counted + (" (estimated: the upstream did not tell)" if row.estimated else ""),
        "cost": money(row.cost_usd) + saved,
        "tags": ", ".join(f"{name}={value}" for name, value in found.tags.items()),
    }


def _table(heading: str, columns: Mapping[str, Column], rows: list[dict[str, str]]) -> None:
    if rows:
        put(f"\n[bold]{heading}[/]", Fitted(of_rows(columns, rows), indent=2))


def _attempt(row: AttemptRow) -> dict[str, str]:
    return {
        "began": _ms(row.began_ms),
        "target": escape(row.target),
        "status": str(row.status) if row.status else "none",
        "error": f"[red]{escape(row.error)}[/]" if row.error else "",
        "took": _ms(row.took_ms),
        "first": _ms(row.first_ms),
        "tokens": _n_tokens(row.tokens),
        "cost": money(row.cost_usd) if row.tokens or row.cost_usd is not None else "",
    }


def _guard(row: GuardRow) -> dict[str, str]:
    shadow = " (shadow)" if row.arm == "shadow" else ""
    return {
        "guard": escape(row.guard) + shadow,
        "side": row.side,
        "action": f"[{_ACTION.get(row.action, 'default')}]{row.action}[/]",
        "found": escape(" ".join(part for part in (row.check, row.kind) if part)),
        "score": number(row.score) if row.score else "",
        "took": _ms(row.took_ms),
        "version": escape(row.version),
    }


def _said(row: SaidRow) -> dict[str, str]:
    return {
        "at": instant(row.at),
        "name": escape(row.name),
        "value": number(row.value),
        "key": escape(row.key),
        "text": escape(row.text),
    }


def _lines(body: Any) -> list[str]:
    """Messages as `role: text`; what is no list of messages as JSON."""
    import msgspec

    if isinstance(body, str):
        return body.splitlines()
    messages = body if isinstance(body, list) else [body]
    if not all(isinstance(each, dict) and isinstance(each.get("role"), str) for each in messages):
        return msgspec.json.format(msgspec.json.encode(body)).decode().splitlines()
    return [line for each in messages for line in _message(each)]


def _message(message: Mapping[str, Any]) -> list[str]:
    import msgspec

    content = message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    parts = [] if content is None else [content if isinstance(content, str) else msgspec.json.encode(content).decode()]
    parts += [msgspec.json.encode(rest).decode()] if rest else []
    return f"{message['role']}: {' '.join(parts)}".splitlines()


def _n_tokens(tokens: Mapping[str, int]) -> str:
    n = tokens.get("input", 0) + tokens.get("output", 0)
    return f"{n:,}" if n else ""


def _ms(value: float | None) -> str:
    """Milliseconds to a tenth.

    >>> _ms(1234.56), _ms(None)
    ('1,234.6', '')
    """
    return "" if value is None else f"{value:,.1f}"
