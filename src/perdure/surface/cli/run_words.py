"""Runs and their steps in words, for all that shows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.text import Text

from perdure.core.usage import PICO
from perdure.surface.words import counted, money

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, StepRecord
    from perdure.stores.runs.protocols import Told

STATUS = {
    "running": "cyan", "waiting": "yellow", "done": "green", "limited": "yellow", "failed": "red", "cancelled": "dim",
}  # fmt: skip
MARKS = {
    "done": ("✓", "green"), "failed": ("✗", "red"), "refused": ("⊘", "red"), "waiting": ("…", "yellow"),
    "begun": ("▸", "cyan"), "unknown": ("?", "red"),
}  # fmt: skip
UNPRICED = "price not known"
_LINE = 160
"""Characters of a text that is told in a line."""


def step_texts(step: StepRecord) -> list[str]:
    """What went in and came out, in words."""
    output = value_of(step.output)
    if step.kind == "chat":
        return _chat_texts(output)
    told = []
    if step.input and step.state != "waiting":
        told.append(compact(value_of(step.input)))
    if step.output and output is not None:
        told.append("→ " + compact(output))
    return told


def _chat_texts(message: Any) -> list[str]:
    if not isinstance(message, dict):
        return []
    content = message.get("content")
    said = [content] if isinstance(content, str) and content.strip() else []
    calls = [each["function"] for each in message.get("tool_calls") or () if isinstance(each.get("function"), dict)]
    return said + [f"calls {each.get('name')} {each.get('arguments') or ''}" for each in calls]


def asked_text(run: RunRecord) -> str:
    """What a run was asked, in words where there are any."""
    value = value_of(run.input)
    if isinstance(value, dict):
        task = value.get("task")
        rest = {name: each for name, each in value.items() if name not in ("task", "expected")}
        return f"{task}{'  ' + compact(rest) if rest else ''}" if task else compact(value)
    return "" if value is None else compact(value)


def output_text(run: RunRecord) -> str:
    """What a run gave, in words where it is words."""
    value = value_of(run.output)
    if isinstance(value, dict) and set(value) == {"text"}:
        return str(value["text"])
    return "" if value is None else compact(value)


def summary(run: RunRecord) -> Text:
    """How a run stands, in a line."""
    parts = [counted(run.n_steps, "step"), f"{run.n_tokens:,} tokens", cost(run)]
    parts += [took(run.ended_us - run.began_us)] if run.ended_us and not run.replay_of else []
    return Text.assemble((run.status, STATUS[run.status]), "  ", (run.id, "bold"), ("  " + ", ".join(parts), "dim"))


def cost(run: RunRecord) -> str:
    """Of a run; a mark says that the price of a part of it is not known."""
    if run.unpriced and not run.cost_pusd:
        return UNPRICED
    return priced(run.cost_pusd / PICO, is_whole=not run.unpriced)


def priced(usd: float, *, is_whole: bool) -> str:
    """A sum of which a part may have no known price: where nothing of it has one, it is not zero.

    >>> priced(0.5, is_whole=True), priced(0.5, is_whole=False), priced(0.0, is_whole=True), priced(0.0, is_whole=False)
    ('$0.50', '$0.50+?', '$0.00', 'unknown')
    """
    return money(usd if usd or is_whole else None) + ("+?" if usd and not is_whole else "")


def took(us: int) -> str:
    """A stretch of time.

    >>> took(870), took(51_636), took(2_500_000), took(3_700_000_000)
    ('0.9 ms', '52 ms', '2.5 s', '1.0 h')
    """
    if us < 10_000:
        return f"{us / 1000:.1f} ms"
    if us < 1_000_000:
        return f"{us / 1000:.0f} ms"
    return f"{us / 1e6:.1f} s" if us < 600_000_000 else f"{us / 3.6e9:.1f} h"


def line(text: str) -> str:
    """A text as one line, cut."""
    return cut(text, _LINE)


def cut(text: str, most: int) -> str:
    """A text as one line of so many characters at most.

    >>> cut("one  two three", 9)
    'one two …'
    """
    told = " ".join(text.split())
    return told if len(told) <= most else told[: most - 1] + "…"


def fit(text: str, *, full: bool) -> str:
    """A text whole, or as one line."""
    return text if full else line(text)


def compact(value: Any) -> str:
    """JSON in a line; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_of(data: bytes) -> Any:
    """What JSON bytes hold; text for what is not JSON."""
    from perdure.serve.runs import showing

    return showing.value_of(data)


def whole(told: Told) -> dict[str, Any]:
    """A run with its steps and questions, as JSON."""
    from perdure.serve.runs.app import shown_whole

    return shown_whole(told)
