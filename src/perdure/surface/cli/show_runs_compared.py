"""How replays look: one table of what would have come of many runs, and two runs side by side, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from perdure.core.usage import PICO
from perdure.surface.cli.printing import Column, Fitted, console, of_rows, print_json, put
from perdure.surface.cli.run_words import MARKS, STATUS, cut, output_text, priced, step_texts, summary, took
from perdure.surface.words import counted, money

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, StepRecord
    from perdure.engines.agents.differing import RunDiff, StepPair
    from perdure.surface.replays_told import ReplayRow, ReplayTable, Verdict

_VERDICTS: Sequence[tuple[Verdict, str, str]] = (
    ("better", "▲", "green"), ("worse", "▼", "red"), ("other", "≠", "yellow"), ("same", "=", "dim"),
)  # fmt: skip
_ROWS = {
    "run": Column("run", ()),
    "verdict": Column("", ()),
    "at": Column("differs from", (), spare=3),
    "before": Column("gave", (), spare=1),
    "after": Column("would have given", ()),
    "unknown": Column("not done", (), spare=2),
}
_MOST_ROWS = 40
_WIDTH = 60
"""Characters of a side where there is no terminal."""


def replays(table: ReplayTable, *, as_json: bool) -> None:
    """What would have come of runs; of one alone, side by side."""
    if as_json:
        return print_json(_json(table))
    swaps = ", ".join(f"{name} → {cut(value, 60)}" for name, value in table.swaps.items())
    assets = ", ".join(dict.fromkeys(row.run.asset for row in table.rows))
    put(Text.assemble((counted(len(table.rows), "run"), "bold"), f" of {assets} again with ", (swaps, "magenta")), "")
    put(_counts(table), "", _figures(table.rows))
    different = [row for row in table.rows if row.verdict != "same" or not row.diff.same_output]
    if len(table.rows) == 1:
        put("")
        return diff(table.rows[0].diff, full=False, as_json=False)
    if different:
        order = [name for name, _, _ in _VERDICTS]
        different.sort(key=lambda row: order.index(row.verdict))
        put("", Fitted(of_rows(_ROWS, [_cells(row) for row in different[:_MOST_ROWS]])))
    if len(different) > _MOST_ROWS:
        put(Text(f"and {len(different) - _MOST_ROWS} more that differ (--json has all)", "dim"))
    return None


def diff(found: RunDiff, *, full: bool, as_json: bool) -> None:
    """Two runs side by side."""
    if as_json:
        return print_json(_diff_json(found))
    grid = Table.grid(padding=(0, 2, 0, 0))
    width = max(24, (console.size.width - 6) // 2) if console.is_terminal else _WIDTH
    for column in ("", "before", "after"):
        grid.add_column(column, width=1 if not column else width, overflow="fold")
    grid.add_row("", summary(found.before), summary(found.after))
    grid.add_row("", Text(found.before.version, "magenta"), _changed(found.before.version, found.after.version))
    n_same = 0
    for pair in found.pairs:
        if pair.is_same and not full:
            n_same += 1
            continue
        _add_same(grid, n_same)
        n_same = 0
        _add_pair(grid, pair)
    _add_same(grid, n_same)
    mark = Text("=", "dim") if found.same_output else Text("≠", "yellow")
    grid.add_row("", "", "")
    grid.add_row(mark, Text(_gave(found.before)), Text(_gave(found.after), "" if found.same_output else "bold"))
    put(grid)
    return None


def _add_same(grid: Table, n: int) -> None:
    if n:
        told = Text(f"⋮ {counted(n, 'step')} the same", "dim")
        grid.add_row(Text("=", "dim"), told, told)


def _add_pair(grid: Table, pair: StepPair) -> None:
    mark = Text("=", "dim") if pair.is_same else Text("≠", "yellow")
    if pair.before is None:
        mark = Text("+", "green")
    elif pair.after is None:
        mark = Text("-", "red")
    grid.add_row(mark, _head(pair.before), _head(pair.after))
    before, after = _texts(pair.before, pair), _texts(pair.after, pair)
    for place in range(max(len(before), len(after))):
        one = before[place] if place < len(before) else ""
        two = after[place] if place < len(after) else ""
        grid.add_row("", Text(f"  {one}"), Text(f"  {two}", "bold" if one != two else ""))


def _texts(step: StepRecord | None, pair: StepPair) -> list[str]:
    """What a side says, as far as the sides differ; a step that stands alone says it all."""
    if step is None:
        return []
    told = [cut(each, 400) for each in step_texts(step)]
    if step.error:
        told.append(f"{step.error}: {cut(step.text, 200)}")
    if "version" in pair.differs:
        other = pair.after if step is pair.before else pair.before
        known = {} if other is None else _versions(other)
        told += [f"{name} {version}" for name, version in _versions(step).items() if known.get(name) != version]
    return told


def _versions(step: StepRecord) -> dict[str, str]:
    return {**({step.node: step.version} if step.version else {}), **step.versions}


def _head(step: StepRecord | None) -> Text:
    if step is None:
        return Text("")
    mark, style = MARKS[step.state]
    price = "" if not step.cost_pusd else f"  {money(step.cost_pusd / PICO)}"
    again = "  recorded" if step.facts.get("recorded") else ""
    return Text.assemble((f"{mark} ", style), (step.node, "bold"), (f"  {took(step.took_us)}{price}{again}", "dim"))


def _changed(before: str, after: str) -> Text:
    return Text(after, "magenta" if before == after else "bold magenta")


def _gave(run: RunRecord) -> str:
    return output_text(run) or run.text or run.status


def _counts(table: ReplayTable) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    n = len(table.rows)
    for verdict, mark, style in _VERDICTS:
        count = table.count(verdict)
        if count:
            bar = "█" * max(1, round(30 * count / n))
            grid.add_row(Text(mark, style), Text(verdict, style), Text(f"{count:,}", justify="right"), Text(bar, style))
    return grid


def _figures(rows: Sequence[ReplayRow]) -> Table:
    grid = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "recorded", "again", ""):
        grid.add_column(heading, justify="left" if not heading else "right")
    judged = [
        (row.success, row.success_again) for row in rows if row.success is not None and row.success_again is not None
    ]
    if judged:
        before, after = (sum(side) / len(judged) for side in zip(*judged, strict=True))
        told = f"{100 * (after - before):+.1f} points" if after != before else ""
        grid.add_row("success", f"{before:.1%}", f"{after:.1%}", Text(told, "green" if after > before else "red"))
    sides = [row.run for row in rows], [row.replayed.run for row in rows]
    costs = [_rounded(sum(run.cost_pusd for run in side) / PICO / len(rows)) for side in sides]
    whole = [not any(run.unpriced for run in side) for side in sides]
    prices = [priced(cost, is_whole=known) for cost, known in zip(costs, whole, strict=True)]
    grid.add_row("cost a run", *prices, _change(*costs) if all(whole) else Text(""))
    times = median(row.took_s for row in rows), median(row.took_again_s for row in rows)
    grid.add_row("steps took, median", took(int(times[0] * 1e6)), took(int(times[1] * 1e6)), _change(*times))
    steps = [
        sum(each) / len(rows)
        for each in zip(*((row.run.n_steps, row.replayed.run.n_steps) for row in rows), strict=True)
    ]
    grid.add_row("steps a run", f"{steps[0]:.1f}", f"{steps[1]:.1f}", _change(*steps))
    unknown = sum(bool(row.replayed.unknown) for row in rows)
    if unknown:
        grid.add_row(
            "with effects not done", "", f"{unknown:,}", Text("what they would have given is not known", "yellow")
        )
    return grid


def _rounded(usd: float) -> float:
    return float(f"{usd:.3g}")


def _change(before: float, after: float) -> Text:
    """How much more or less, less being good."""
    if not before or abs(after / before - 1) < 0.005:
        return Text("")
    ratio = after / before - 1
    return Text(f"{ratio:+.0%}", "red" if ratio > 0 else "green")


def _cells(row: ReplayRow) -> dict[str, str]:
    mark, style = next((mark, style) for name, mark, style in _VERDICTS if name == row.verdict)
    first = row.diff.first
    at = "" if first < 0 else f"{first + 1} {row.diff.pairs[first].node}"
    status = row.replayed.run.status
    ended = "" if status == row.run.status else f"[{STATUS[status]}]{status}[/] "
    return {
        "run": row.run.id,
        "verdict": f"[{style}]{mark} {row.verdict}[/]",
        "at": escape(at),
        "before": escape(cut(_gave(row.run), 40)),
        "after": ended + escape(cut(_gave(row.replayed.run), 60)),
        "unknown": escape(", ".join(dict.fromkeys(row.replayed.unknown))),
    }


def _json(table: ReplayTable) -> dict[str, Any]:
    rows = [
        {
            "run": row.run.id,
            "verdict": row.verdict,
            "success": row.success,
            "success_again": row.success_again,
            "cost_usd": row.cost_usd,
            "cost_again_usd": row.cost_again_usd,
            "took_s": row.took_s,
            "took_again_s": row.took_again_s,
            "diverged_at": row.replayed.diverged_at,
            "unknown": list(row.replayed.unknown),
            "gave": _gave(row.run),
            "gave_again": _gave(row.replayed.run),
        }
        for row in table.rows
    ]
    counts: dict[str, int] = {verdict: table.count(verdict) for verdict, _, _ in _VERDICTS}
    return {"swaps": dict(table.swaps), "n_runs": len(rows), **counts, "rows": rows}


def _diff_json(found: RunDiff) -> dict[str, Any]:
    from perdure.serve.runs.showing import shown_run, shown_step

    pairs = [
        {
            "before": None if pair.before is None else shown_step(pair.before),
            "after": None if pair.after is None else shown_step(pair.after),
            "differs": list(pair.differs),
        }
        for pair in found.pairs
    ]
    return {
        "before": shown_run(found.before), "after": shown_run(found.after), "same_output": found.same_output,
        "first": found.first, "steps": pairs,
    }  # fmt: skip
