"""One run as a tree of its steps, with the runs below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from perdure.core.usage import PICO
from perdure.surface.cli.printing import print_json, put
from perdure.surface.cli.run_words import (
    MARKS,
    STATUS,
    asked_text,
    fit,
    line,
    output_text,
    step_texts,
    summary,
    took,
    whole,
)
from perdure.surface.words import money

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, StepRecord
    from perdure.stores.runs.protocols import Told


def trace(told: Told, get: Callable[[str], Told], *, full: bool, as_json: bool) -> None:
    """One run as a tree."""
    if as_json:
        return print_json(whole(told))
    put(_tree(told, get, full=full, depth=0))
    return None


def _tree(told: Told, get: Callable[[str], Told], *, full: bool, depth: int) -> Tree:
    run = told.run
    head = Text.assemble(summary(run), ("  " + run.version, "magenta"))
    if run.replay_of:
        head.append(f"  again {run.replay_of}", "dim")
    tree = Tree(head, guide_style="dim")
    asked = asked_text(run)
    if asked:
        tree.add(Text.assemble(("asked  ", "dim"), fit(asked, full=full)))
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
        tree.add(Text.assemble(("gave  ", "dim"), fit(output_text(run), full=full)))
    return tree


def _add(
    tree: Tree, told: Told, step: StepRecord, get: Callable[[str], Told], *, full: bool, depth: int
) -> None:  # fmt: skip
    branch = tree.add(step_line(told.run, step))
    if step.error or step.state == "unknown":
        branch.add(Text(f"{step.error or step.state}: {fit(step.text, full=full)}", "red"))
    elif step.state == "waiting" or (step.state == "refused" and step.text):
        branch.add(Text(fit(step.text, full=full), "yellow"))
    for text in step_texts(step):
        branch.add(Text(fit(text, full=full)))
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
