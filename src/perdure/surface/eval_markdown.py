"""Evals as Markdown: for the summary of a CI job, or a comment on a pull request. Equal evals, equal bytes.

What a model wrote stands in code only: there no name is called, no address is linked and no mark-up means anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from perdure.core.verdict import Comparison
from perdure.surface.ci.markdown import cell, code, table
from perdure.surface.eval_told import EvalTold, SideTold, case_line, difference_text, interval_text, notable, visible
from perdure.surface.words import counted, money

_CASES = 5
"""Cases told a suite; the page has all."""
_MARKS = {
    Comparison.BETTER: "better",
    Comparison.WORSE: "**worse**",
    Comparison.EQUIVALENT: "equivalent",
    Comparison.NOT_ENOUGH_EVIDENCE: "not enough evidence",
}


def evals_markdown(
    evals: Sequence[EvalTold], *, title: str = "perdure evals", why: Mapping[str, str] | None = None
) -> str:
    """The evals as one page: a line a suite, then each suite with its gates, figures and the cases to look at.

    Args:
        evals: in their order.
        title: of the page.
        why: suite → why it was run.
    """
    parts = [f"## {title}: {headline(evals)}", *_overview(evals)]
    for told in evals:
        parts += _suite(told, (why or {}).get(told.suite, ""))
    return "\n\n".join(parts) + "\n"


def headline(evals: Sequence[EvalTold]) -> str:
    """What came of all of them, in a few words."""
    if not evals:
        return "nothing to run"
    if any(each.comparison is Comparison.WORSE for each in evals):
        return "worse"
    unproven = sum(bool(each.gates) and not each.passed for each in evals)
    if unproven:
        return f"{counted(unproven, 'suite')} not passed"
    return "passed" if any(each.gates for each in evals) else "measured"


def _overview(evals: Sequence[EvalTold]) -> Iterator[str]:
    if evals:
        heads = ("suite", "verdict", "score", "difference", "better / worse / same", "cost", "p95 latency", "spent")
        yield table(heads, [_row(each) for each in evals])
        yield f"Spent in all: {money(sum(each.spent_usd for each in evals))}."


def _row(told: EvalTold) -> tuple[str, ...]:
    verdict = "measured" if told.comparison is None else _MARKS[told.comparison]
    flips = f"{told.count('better')} / {told.count('worse')} / {told.count('same')}" if len(told.sides) > 1 else ""
    last = told.sides[-1]
    return (
        f"{code(visible(told.suite))}{' (partial)' if told.partial else ''}",
        verdict,
        interval_text(last.score, last.mean),
        difference_text(told.difference) if told.difference else "",
        flips,
        " → ".join(money(each.cost_usd) for each in told.sides),
        " → ".join(_ms(each) for each in told.sides),
        money(told.spent_usd),
    )


def _ms(side: SideTold) -> str:
    return "–" if side.p95_ms is None else f"{side.p95_ms:,.0f} ms"


def _suite(told: EvalTold, why: str) -> Iterator[str]:
    yield f"### {code(visible(told.suite))}"
    sides = " against ".join(code(visible(each.subject)) for each in reversed(told.sides))
    asked = f"{counted(told.n_cases, 'case')} in {counted(told.n_clusters, 'cluster')}, {counted(told.n_samples, 'sample')} each"
    yield f"{sides}, {asked}. {cell(visible(told.text))}".rstrip()
    if why:
        yield f"Run because {cell(visible(why))}."
    if told.partial:
        yield f"**Partial:** {cell(visible(told.partial))}"
    if told.gates:
        heads, rows = ("gate", "", "what it says"), [
            (code(visible(each.gate)), "passed" if each.passed else "**not passed**", cell(visible(each.text))) for each in told.gates
        ]  # fmt: skip
        yield table(heads, rows)
    yield from _scorers(told)
    yield from _about(told)
    cases = notable(told)
    if cases:
        lines = [f"- {code(case_line(each))}" for each in cases[:_CASES]]
        rest = [f"- and {counted(len(cases) - _CASES, 'more case')}"] if len(cases) > _CASES else []
        head = "Cases that are worse" if len(told.sides) > 1 else "Cases that scored lowest"
        yield f"<details><summary>{head}: {len(cases)}</summary>\n\n" + "\n".join([*lines, *rest]) + "\n\n</details>"


def _about(told: EvalTold) -> Iterator[str]:
    """What else a run knows of its versions: claims without support, where the spread comes from."""
    for side in told.sides:
        claims = f"{interval_text(side.hallucination)} of its claims unsupported" if side.hallucination else ""
        parts = [part for part in (claims, side.spread) if part]
        if parts:
            yield f"{code(visible(side.subject))}: {'; '.join(parts)}."


def _scorers(told: EvalTold) -> Iterator[str]:
    if not told.scorers:
        return
    rows = []
    for each in told.scorers:
        corrected = each.corrected[-1] if each.corrected else None
        note = interval_text(corrected) if corrected else cell(each.note)
        difference = difference_text(each.difference) if each.difference else ""
        rows.append((code(visible(each.label)), *(each.cell(side) for side in range(len(each.raw))), difference, note))
    heads = ["scorer", *(cell(visible(side.subject)) for side in told.sides), "difference", "corrected by labels"]
    keep = [at for at in range(len(heads)) if at < 1 + len(told.sides) or any(row[at] for row in rows)]
    yield table([heads[at] for at in keep], [[row[at] for at in keep] for row in rows])
