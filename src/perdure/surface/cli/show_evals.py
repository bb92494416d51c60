"""How evals look in a terminal: versions beside each other, figures by scorer, the cases to look at first."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from perdure.core.verdict import Comparison
from perdure.surface.cli.printing import Column, Fitted, hanging, print_json, put
from perdure.surface.eval_told import (
    CaseTold,
    EvalTold,
    ScorerTold,
    case_line,
    difference_text,
    interval_text,
    notable,
    score_of,
    share_of,
    visible,
)
from perdure.surface.words import counted, money

_CASES = 10
"""Cases that a terminal shows; the page has all."""
_STYLES = {
    Comparison.BETTER: "bold green",
    Comparison.WORSE: "bold red",
    Comparison.EQUIVALENT: "cyan",
    Comparison.NOT_ENOUGH_EVIDENCE: "yellow",
}


def show_summary(told: EvalTold, *, as_json: bool = False) -> None:
    """One version in one suite: its score with its interval, by scorer, what it cost, what scored lowest."""
    if as_json:
        return print_json(eval_json(told))
    return put(*_head(told), _sides(told), _scorers(told), *_cases(told, "lowest"), _foot(told))


def show_comparison(told: EvalTold, *, as_json: bool = False) -> None:
    """Two versions in one suite: the verdict, what each gate says, both sides, by scorer, what got worse."""
    if as_json:
        return print_json(eval_json(told))
    return put(*_head(told), *_gates(told), _sides(told), _scorers(told), *_cases(told, "worse"), _foot(told))


def eval_json(told: EvalTold) -> dict[str, object]:
    """An eval as JSON for programs: every figure, and of each case what became of it; texts are in the results."""
    return {
        "suite": told.suite,
        "version": told.version,
        "run": told.run,
        "at": told.at,
        "versions": [side.subject for side in told.sides],
        "comparison": told.comparison,
        "passed": told.passed if told.gates else None,
        "difference": told.difference,
        "text": told.text,
        "partial": told.partial,
        "n_outdated": told.n_outdated,
        "n": {"cases": told.n_cases, "clusters": told.n_clusters, "samples": told.n_samples},
        "flips": {flip: told.count(flip) for flip in ("better", "worse", "same", "unpaired")}
        if len(told.sides) > 1
        else {},
        "sides": told.sides,
        "scorers": told.scorers,
        "gates": told.gates,
        "spent_usd": told.spent_usd,
        "took_s": told.took_s,
        "cases": [_case_json(each) for each in told.cases],
    }


def _case_json(case: CaseTold) -> dict[str, object]:
    return {
        "id": case.id,
        "flip": case.flip,
        "change": case.change,
        "scores": [score_of(case, side) for side in range(len(case.answers))],
        "failed": case.failed,
        "disagreement": case.disagreement,
        "tags": case.tags,
    }


def _head(told: EvalTold) -> list[RenderableType]:
    name = Text(visible(told.suite), "bold")
    verdict = (
        Text("measured", "dim") if told.comparison is None else Text(str(told.comparison), _STYLES[told.comparison])
    )
    said = visible(told.text).removeprefix(f"{told.comparison}: ")  # the verdict is its first word
    lead = Text.assemble(name, "  ", verdict, ":" if said else "")
    lines: list[RenderableType] = [hanging(lead, Text(said)) if said else lead]
    if told.partial:
        on = f"; go on: perdure eval run {visible(told.suite)} --run {told.run}" if len(told.sides) == 1 else ""
        lines.append(hanging(Text("  partial:", "yellow"), Text(f"{visible(told.partial)}{on}")))
    if told.n_outdated:
        said = f"{counted(told.n_outdated, 'case rests', 'cases rest')} on documents that changed: perdure review next --of "
        lines.append(hanging(Text("  outdated:", "yellow"), Text(f"{said}{visible(told.suite)}")))
    return lines


def _gates(told: EvalTold) -> list[RenderableType]:
    return [
        hanging(Text(f"  {'passed' if each.passed else 'not passed':10}", "green" if each.passed else "red"),
                Text.assemble((visible(each.gate), "bold"), "" if each.text == told.text else f"  {visible(each.text)}"))
        for each in told.gates
    ]  # fmt: skip


def _sides(told: EvalTold) -> RenderableType:
    sides = told.sides
    waits = [
        ("–", "–") if each.p50_ms is None or each.p95_ms is None else (f"{each.p50_ms:,.0f}", f"{each.p95_ms:,.0f}")
        for each in sides
    ]
    columns = [
        Column("version", [escape(visible(each.subject)) for each in sides]),
        Column("score (95%)", [interval_text(each.score, each.mean) for each in sides], right=True),
        Column("answers", [f"{each.n_answers:,}" for each in sides], right=True, spare=3),
        Column("known", [share_of(each.n_cached, each.n_answers) for each in sides], right=True, spare=1),
        Column("failed", [f"{each.n_failed:,}" for each in sides], right=True, spare=1),
        Column("cost", [money(each.cost_usd) + ("+" if each.n_unpriced and each.cost_usd is not None else "") for each in sides], right=True),
        Column("p50 ms", [wait[0] for wait in waits], right=True, spare=4),
        Column("p95 ms", [wait[1] for wait in waits], right=True, spare=2),
    ]  # fmt: skip
    if any(each.hallucination for each in sides):
        cells = [interval_text(each.hallucination) for each in sides]
        columns.insert(2, Column("unsupported", cells, right=True, spare=2))
    lines: list[RenderableType] = [Text(), Fitted(columns, indent=2)]
    lines += [hanging(Text(" "), Text(f"{visible(each.subject)}: {each.spread}")) for each in sides if each.spread]
    if told.difference is not None:
        flips = ", ".join(
            f"{told.count(flip)} {flip}" for flip in ("better", "worse", "same", "unpaired") if told.count(flip)
        )
        lines.append(Text(f"  difference {difference_text(told.difference)}; cases: {flips or 'none'}"))
    return Group(*lines)


def _scorers(told: EvalTold) -> RenderableType:
    if not told.scorers:
        return Text()
    columns = [Column("scorer", [escape(visible(each.label)) for each in told.scorers])]
    for at, side in enumerate(told.sides):
        cells = [each.cell(at) for each in told.scorers]
        columns.append(
            Column(escape(visible(side.subject)), cells, right=True, spare=3 if at < len(told.sides) - 1 else 0)
        )
    changes = [difference_text(each.difference) if each.difference else "" for each in told.scorers]
    columns.append(Column("difference", changes, right=True, spare=2))
    columns.append(Column("corrected by labels", [_corrected(each) for each in told.scorers], spare=1))
    return Group(Text(), Fitted(columns, indent=2))


def _corrected(scorer: ScorerTold) -> str:
    last = scorer.corrected[-1] if scorer.corrected else None
    return interval_text(last) if last else escape(scorer.note)


def _cases(told: EvalTold, which: str) -> list[RenderableType]:
    cases = notable(told)
    if not cases:
        return []
    lines: list[RenderableType] = [Text(f"\n  {which}", "dim")]
    lines += [hanging(Text("   "), Text(case_line(each))) for each in cases[:_CASES]]
    if len(cases) > _CASES:
        where = f": perdure eval report {told.run} --html FILE" if told.run else ""
        lines.append(Text(f"    and {counted(len(cases) - _CASES, 'more case')}{where}", "dim"))
    return lines


def _foot(told: EvalTold) -> RenderableType:
    parts = [counted(told.n_cases, "case"), counted(told.n_clusters, "cluster"), counted(told.n_samples, "sample")]
    parts.append(f"spent {money(told.spent_usd)}")
    if told.took_s:
        parts.append(f"{told.took_s:.1f} s")
    if told.run:
        parts.append(f"run {told.run}")
    return Text(f"\n  {', '.join(parts)}", "dim")
