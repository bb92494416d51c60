"""How agents and their runs look: while one goes on, in lists, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from perdure.core.clock import from_us
from perdure.surface.cli.printing import Column, Fitted, console, hanging, of_rows, print_json, put
from perdure.surface.cli.run_words import (
    MARKS,
    STATUS,
    UNPRICED,
    asked_text,
    compact,
    cost,
    cut,
    line,
    output_text,
    priced,
    summary,
    took,
    whole,
)
from perdure.surface.words import counted, instant, money

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, Wait
    from perdure.serve.runs.protocols import RunEvent
    from perdure.stores.ledger.protocols import Approval
    from perdure.stores.runs.protocols import Told
    from perdure.surface.red_team import RedTeam
    from perdure.surface.running import AgentRow, AgentShown

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
        told = "" if data["kind"] != "tool" else f" {line(compact(data.get('input')))}"
        put(Text.assemble(
            (f"{mark} ", style), data["node"].partition(":")[2], (told, "dim"), (f"  {data['took_ms']:,.1f} ms", "dim"), (why, style)
        ))  # fmt: skip


def ran(told: Told, live: Live, *, as_json: bool) -> None:
    """How a run ended, or what it waits for; its output where it was not shown already."""
    if as_json:
        return print_json(whole(told))
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
            "usd": priced(row.usd, is_whole=not row.n_unpriced) if row.n_runs else "",
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
        terms = ", ".join(_term(name, value) for name, value in each["terms"].items())
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
    if found.shadow is not None:
        put(Text.assemble(("shadow  ", "dim"), found.shadow.words()))
    if told["output"]:
        put(Text.assemble(("gives   ", "dim"), told["output"]))
    return None


def _term(name: str, value: Any) -> str:
    told = {"effect": f"effect {value}", "approve_by": f"needs a yes of {value}", "timeout": f"{value:g} s" if isinstance(value, float | int) else "",
            "calls": f"{value} calls a run", "tries": f"{value} tries", "trusted": "trusted"}  # fmt: skip
    return told.get(name) or f"{name} {value}"


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
            "cost": "?" if cost(run) == UNPRICED else cost(run),
            "what": escape(cut(run.text or output_text(run) or asked_text(run), 60)),
        }
        for run in found
    ]
    return put(Fitted(of_rows(_RUNS, rows)))


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
    put(hanging(Text("asks  ", "dim"), Text(head.rstrip(":")), indent=2))
    for each in rest.splitlines():
        put(Text(f"    {each.strip()}", "cyan"))
    role = f"a yes of {wait.role}" if wait.role else "a yes"
    until = f", else it counts as no at {instant(from_us(wait.expires_us))}" if wait.expires_us else ""
    put(
        hanging(
            Text("needs ", "dim"), Text(f"{role if n_needed == 1 else f'{role} by {n_needed} people'}{until}"), indent=2
        )
    )
    for one in (one for each in said for one in each.answers):
        word = "yes" if one.approves else "no"
        put(hanging(Text("said  ", "dim"), Text(f"{one.actor}: {word}, {one.reason}"), indent=2))
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


def red_team(found: RedTeam, *, as_json: bool) -> None:
    """What came of attacks on an agent's tools."""
    if as_json:
        return print_json(found)
    word, style = ("held", "green") if found.held else ("broken", "red")
    attempts = f"{counted(found.n_cases, 'case')}, {counted(found.n_attempts, 'attempt')}"
    put(
        Text.assemble(
            (word, style), f"  {attempts}", (f"  on {', '.join(found.tools) or 'no tool that sends or changes'}", "dim")
        )
    )
    for rule, n in found.stopped.most_common():
        put(Text.assemble(("  stopped by ", "dim"), rule, f"  {n:,}"))
    for each in found.passed:
        put(Text.assemble(("  passed ", "red"), f"{each.case} ({each.category}): {each.tool} {line(each.what)}"))
    for server in found.left_out:
        put(Text(f"  left out: {server}, whose tools no version pins yet: perdure apply", "yellow"))
    return None


def cancelled(run: RunRecord, *, as_json: bool) -> None:
    """A run that was called off, or was over already."""
    from perdure.serve.runs.showing import shown_run

    if as_json:
        return print_json(shown_run(run))
    put(summary(run))
    return None
