"""How agents and their runs look: while one goes on, in lists, as a tree of steps, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from perdure.core.clock import from_us
from perdure.core.usage import PICO
from perdure.surface.cli.printing import Column, Fitted, console, hanging, of_rows, print_json, put
from perdure.surface.words import counted, instant, money

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, StepRecord, Wait
    from perdure.serve.runs.protocols import RunEvent
    from perdure.stores.ledger.protocols import Approval
    from perdure.stores.runs.protocols import Told
    from perdure.surface.running import AgentRow, AgentShown

STATUS = {
    "running": "cyan", "waiting": "yellow", "done": "green", "limited": "yellow", "failed": "red", "cancelled": "dim",
}  # fmt: skip
MARKS = {
    "done": ("✓", "green"), "failed": ("✗", "red"), "refused": ("⊘", "red"), "waiting": ("…", "yellow"),
    "begun": ("▸", "cyan"), "unknown": ("?", "red"),
}  # fmt: skip
_LINE = 160
"""Characters of a text that is told in a line."""
_AGENTS = {
    "name": Column("agent", ()),
    "state": Column("state", ()),
    "prompt": Column("prompt", (), spare=1),
    "tools": Column("tools", (), spare=3),
    "runs": Column("runs today", (), right=True),
    "usd": Column("cost", (), right=True, spare=2),
    "waiting": Column("waiting", (), right=True),
    "champion": Column("champion", (), spare=4),
}
_RUNS = {
    "id": Column("run", ()),
    "asset": Column("of", ()),
    "status": Column("status", ()),
    "began": Column("began", (), spare=2),
    "took": Column("took", (), right=True, spare=3),
    "steps": Column("steps", (), right=True, spare=4),
    "tokens": Column("tokens", (), right=True, spare=5),
    "cost": Column("cost", (), right=True),
    "what": Column("what", (), spare=1),
}


@dataclass(slots=True)
class Live:
    """Shows a run while it goes on: the model's text as it comes, a line for each step."""

    n_written: int = 0
    """Characters of the text that is on its way, on a line that is not ended."""
    said: list[str] = field(default_factory=list)
    """The text of the answer that came last."""

    def hear(self, event: RunEvent) -> None:
        """Something happened."""
        data = event.data
        if event.name == "begin":
            put(Text.assemble((data["id"], "bold"), ("  " + data["version"], "dim")))
        elif event.name == "text":
            self._text(data["text"])
        elif event.name == "step":
            self._step(data)
        elif event.name == "wait":
            self._end_line()
            put(
                Text.assemble(
                    ("… ", "yellow"), data["text"].partition("\n")[0].rstrip(":"), ("  waits for a person", "yellow")
                )
            )

    def done(self) -> str:
        """End the line; the text that was shown last."""
        self._end_line()
        return "".join(self.said)

    def _text(self, text: str) -> None:
        if not self.n_written:
            self.said = []
        self.said.append(text)
        self.n_written += len(text)
        console.file.write(text)
        console.file.flush()

    def _end_line(self) -> None:
        if self.n_written:
            console.file.write("\n")
            self.n_written = 0

    def _step(self, data: Mapping[str, Any]) -> None:
        self._end_line()
        if data["state"] in ("begun", "waiting") or (data["kind"] == "chat" and not data.get("error")):
            return
        mark, style = MARKS[data["state"]]
        why = f"  {data['error']}: {line(data.get('text', ''))}" if data.get("error") else ""
        told = "" if data["kind"] == "node" else f" {line(_compact(data.get('input')))}"
        put(Text.assemble(
            (f"{mark} ", style), data["node"].partition(":")[2], (told, "dim"), (f"  {data['took_ms']:,.1f} ms", "dim"), (why, style)
        ))  # fmt: skip


def ran(told: Told, live: Live, *, as_json: bool) -> None:
    """How a run ended, or what it waits for; its output where it was not shown already."""
    if as_json:
        return print_json(_whole(told))
    shown = live.done()
    output = output_text(told.run)
    if output and output.strip() != shown.strip():
        put(Text(output))
    put("", summary(told.run))
    if told.run.text:
        put(
            hanging(
                Text("why", "dim"), Text(f"{told.run.text}" + (f" [{told.run.why}]" if told.run.why else "")), indent=2
            )
        )
    for wait in told.waits:
        if wait.answer is None:
            question(told.run, wait)
    return None


def agents(found: Sequence[AgentRow], *, as_json: bool) -> None:
    """Declared agents."""
    if as_json:
        return print_json(found)
    if not found:
        return put("No agent is declared: docs/agents.md tells how.")
    rows = [
        {
            "name": escape(row.name),
            "state": "[green]released[/]" if row.champion == row.declared else "[yellow]changed[/]" if row.champion else "new",
            "prompt": escape(row.prompt),
            "tools": escape(", ".join(row.tools)),
            "runs": f"{row.n_runs:,}",
            "usd": money(row.usd) if row.n_runs else "",
            "waiting": f"[yellow]{row.n_waiting}[/]" if row.n_waiting else "",
            "champion": escape(row.champion),
        }
        for row in found
    ]  # fmt: skip
    return put(Fitted(of_rows(_AGENTS, rows)))


def agent(found: AgentShown, *, as_json: bool) -> None:
    """One version."""
    if as_json:
        return print_json(found)
    told = found.definition
    pointers = ", ".join(f"{each.name} {each.share:.0%}" for each in found.pointers)
    put(Text.assemble((found.version, "bold"), f"  {pointers}" if pointers else ""))
    put(
        Text.assemble(
            ("prompt  ", "dim"), told["prompt"], (f"  answered by {told['route']}" if told["route"] else "", "dim")
        )
    )
    for each in told["tools"]:
        terms = ", ".join(f"{name} {value}" for name, value in each["terms"].items())
        put(
            Text.assemble(
                ("tool    ", "dim"),
                (each["name"], "bold"),
                f"  {each['kind']}",
                (f"  {terms}" if terms else "", "yellow"),
            )
        )
        if each.get("description"):
            put(Text(f"          {each['description'].splitlines()[0]}", "dim"))
    limits = told["limits"]
    put(Text.assemble(("limits  ", "dim"), f"{counted(limits['steps'], 'step')}, {limits['tokens']:,} tokens, {money(limits['usd'])}, "
                      f"{limits['wall_s']:g} s, {limits['depth']} deep"))  # fmt: skip
    put(Text.assemble(("keeps   ", "dim"), told["keeps"]))
    if told["output"]:
        put(Text.assemble(("gives   ", "dim"), told["output"]))
    return None


def runs(found: Sequence[RunRecord], *, as_json: bool) -> None:
    """Runs, newest first."""
    from perdure.serve.runs.showing import shown_run

    if as_json:
        return print_json([shown_run(run) for run in found])
    if not found:
        return put("No run: perdure agent run NAME TASK begins one.")
    rows = [
        {
            "id": run.id,
            "asset": escape(run.asset),
            "status": f"[{STATUS[run.status]}]{run.status}[/]",
            "began": instant(from_us(run.began_us)),
            "took": took(run.ended_us - run.began_us) if run.ended_us else "",
            "steps": f"{run.n_steps:,}" if run.n_steps else "",
            "tokens": f"{run.n_tokens:,}" if run.n_tokens else "",
            "cost": cost(run),
            "what": escape(cut(run.text or output_text(run) or asked_text(run), 60)),
        }
        for run in found
    ]
    return put(Fitted(of_rows(_RUNS, rows)))


def trace(told: Told, get: Callable[[str], Told], *, full: bool, as_json: bool) -> None:
    """One run as a tree."""
    if as_json:
        return print_json(_whole(told))
    put(_tree(told, get, full=full, depth=0))
    return None


def waiting(found: Sequence[tuple[RunRecord, Wait]], *, as_json: bool) -> None:
    """What runs ask people."""
    from perdure.serve.runs.showing import shown_wait

    if as_json:
        return print_json([shown_wait(wait) for _, wait in found])
    for run, wait in found:
        question(run, wait)
    if not found:
        put("[green]No run waits for a person.[/]")
    return None


def question(run: RunRecord, wait: Wait, said: Sequence[Approval] = (), n_needed: int = 1) -> None:
    """One question with its arguments, and how it is answered."""
    head, _, rest = wait.text.partition("\n")
    put(Text.assemble((f"{run.asset}", "bold"), f"  {wait.id}  ", (f"run {run.id}", "dim")))
    put(hanging(Text("asks", "dim"), Text(head.rstrip(":")), indent=2))
    for each in rest.splitlines():
        put(Text(f"    {each.strip()}", "cyan"))
    role = f"a yes of {wait.role}" if wait.role else "a yes"
    until = f", else it counts as no at {instant(from_us(wait.expires_us))}" if wait.expires_us else ""
    put(
        hanging(
            Text("needs", "dim"), Text(f"{role if n_needed == 1 else f'{role} by {n_needed} people'}{until}"), indent=2
        )
    )
    for one in (one for each in said for one in each.answers):
        word = "yes" if one.approves else "no"
        put(hanging(Text("said", "dim"), Text(f"{one.actor}: {word}, {one.reason}"), indent=2))
    put(hanging(Text("answer", "dim"), Text(f'perdure approve {wait.id} --reason "…"  (or reject)'), indent=2))


def answered(found: Approval | Wait, *, as_json: bool) -> None:
    """How a question stands after an answer."""
    from perdure.core.runs import Wait
    from perdure.serve.runs.showing import shown_wait
    from perdure.surface.cli import show_govern

    if isinstance(found, Wait):
        said = found.answer is not None and found.answer.approves
        if as_json:
            return print_json(shown_wait(found))
        return put(Text.assemble(("approved", "green") if said else ("rejected", "red"), f"  {line(found.text)}"))
    show_govern.answered(found, as_json=as_json)
    if not as_json and found.status != "open":
        run = str(found.facts.get("run", ""))
        put(Text(f"  a server of the project goes on with it; without one: perdure agent resume {run}", "dim"))
    return None


def cancelled(run: RunRecord, *, as_json: bool) -> None:
    """A run that was called off, or was over already."""
    from perdure.serve.runs.showing import shown_run

    if as_json:
        return print_json(shown_run(run))
    put(summary(run))
    return None


def summary(run: RunRecord) -> Text:
    """How a run stands, in a line."""
    parts = [counted(run.n_steps, "step"), f"{run.n_tokens:,} tokens", cost(run)]
    parts += [took(run.ended_us - run.began_us)] if run.ended_us else []
    return Text.assemble((run.status, STATUS[run.status]), "  ", (run.id, "bold"), ("  " + ", ".join(parts), "dim"))


def _tree(told: Told, get: Callable[[str], Told], *, full: bool, depth: int) -> Tree:
    run = told.run
    head = Text.assemble(summary(run), ("  " + run.version, "magenta"))
    if run.replay_of:
        head.append(f"  again {run.replay_of}", "dim")
    tree = Tree(head, guide_style="dim")
    asked = asked_text(run)
    if asked:
        tree.add(Text.assemble(("asked  ", "dim"), _fit(asked, full=full)))
    for step in told.steps:
        if step.state != "begun" or _is_open(step, told.steps):
            _add(tree, told, step, get, full=full, depth=depth)
    for wait in told.waits:
        if wait.answer is None:
            tree.add(Text.assemble(("… ", "yellow"), f"{wait.id}: {line(wait.text)}"))
    if run.text:
        tree.add(
            Text.assemble(
                (run.status, STATUS[run.status]), f"  {run.text}", (f"  [{run.why}]", "dim") if run.why else ""
            )
        )
    if run.output:
        tree.add(Text.assemble(("gave  ", "dim"), _fit(output_text(run), full=full)))
    return tree


def _add(
    tree: Tree, told: Told, step: StepRecord, get: Callable[[str], Told], *, full: bool, depth: int
) -> None:  # fmt: skip
    branch = tree.add(step_line(told.run, step))
    if step.error or step.state == "unknown":
        branch.add(Text(f"{step.error or step.state}: {_fit(step.text, full=full)}", "red"))
    elif step.state == "waiting" or (step.state == "refused" and step.text):
        branch.add(Text(_fit(step.text, full=full), "yellow"))
    for text in step_texts(step):
        branch.add(Text(_fit(text, full=full)))
    below = str(step.facts.get("run", "")) if step.kind == "child" else ""
    if below and depth < 8:
        branch.add(_tree(get(below), get, full=full, depth=depth + 1))


def _is_open(step: StepRecord, steps: Sequence[StepRecord]) -> bool:
    """Whether nothing came after it of the same call: it stands begun."""
    return not any(each.call == step.call and each.kind == step.kind and each.n > step.n for each in steps)


def step_line(run: RunRecord, step: StepRecord) -> Text:
    """A step: mark, what it is of, when, how long, tokens, cost, versions."""
    mark, style = MARKS[step.state]
    found = Text.assemble((f"{mark} ", style), (step.node, "bold"))
    if step.began_us:
        found.append(f"  +{max(0, step.began_us - run.began_us) / 1e6:.2f} s", "dim")
    found.append(f"  {took(step.took_us)}", "cyan" if step.took_us < 1_000_000 else "yellow")
    if step.usage is not None and step.usage.n_total:
        found.append(f"  {step.usage.n_total:,} tokens")
    if step.cost_pusd is None:
        found.append("  price not known", "yellow")
    elif step.cost_pusd:
        found.append(f"  {money(step.cost_pusd / PICO)}", "green")
    versions = dict.fromkeys([*([step.version] if step.version else []), *step.versions.values()])
    if versions:
        found.append(f"  {', '.join(versions)}", "magenta")
    for name in ("recorded", "cached", "cut", "masked"):
        if step.facts.get(name):
            found.append(f"  {name}", "dim")
    if step.facts.get("injection"):
        found.append(f"  reads as instructions ({step.facts['injection']})", "red")
    return found


def step_texts(step: StepRecord) -> list[str]:
    """What went in and came out, in words."""
    output = _value(step.output)
    if step.kind == "chat":
        return _chat_texts(output)
    told = []
    if step.input:
        told.append(_compact(_value(step.input)))
    if step.output and output is not None:
        told.append("→ " + _compact(output))
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
    value = _value(run.input)
    if isinstance(value, dict):
        task = value.get("task")
        rest = {name: each for name, each in value.items() if name not in ("task", "expected")}
        return f"{task}{'  ' + _compact(rest) if rest else ''}" if task else _compact(value)
    return "" if value is None else _compact(value)


def output_text(run: RunRecord) -> str:
    """What a run gave, in words where it is words."""
    value = _value(run.output)
    if isinstance(value, dict) and set(value) == {"text"}:
        return str(value["text"])
    return "" if value is None else _compact(value)


def cost(run: RunRecord) -> str:
    """Of a run, with a mark where a price is not known."""
    return money(run.cost_pusd / PICO) + ("+?" if run.unpriced else "")


def took(us: int) -> str:
    """A stretch of time.

    >>> took(850), took(51_636), took(2_500_000), took(3_700_000_000)
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


def _fit(text: str, *, full: bool) -> str:
    return text if full else line(text)


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(data: bytes) -> Any:
    from perdure.serve.runs.showing import value_of

    return value_of(data)


def _whole(told: Told) -> dict[str, Any]:
    from perdure.serve.runs.app import shown_whole

    return shown_whole(told)
