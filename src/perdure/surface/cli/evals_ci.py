"""`perdure eval ci`: the suites of what a pull request changes, for CI servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from perdure.surface.cli.options import HERE, Folder, Json, opened
from perdure.surface.cli.printing import print_json, put


def ci(  # noqa: PLR0913 - options of a command
    base: Annotated[
        Path | None, typer.Option("--base", metavar="FOLDER|LEDGER", help="Another checkout, or a ledger.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", metavar="N", min=1, help="Answers a case. Default: the suite's.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", min=0.0, help="What each suite may spend.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Not enough evidence refuses too.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write a report for CI servers.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the summary there.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FOLDER", help="Write a page a suite there.")] = None,
    project: Folder = HERE,
    json: Json = False,
) -> None:
    """Run the suites of what changed against a base, on both versions; refuse what got worse."""
    from perdure.surface.ci.evals import review_evals
    from perdure.surface.cli.show_evals import eval_json, show_comparison, show_summary
    from perdure.surface.eval_asking import Asking
    from perdure.surface.eval_junit import junit_xml
    from perdure.surface.eval_markdown import evals_markdown
    from perdure.surface.report.versus import write_versus

    review = review_evals(opened(project), base, Asking(samples, budget), strict=strict)
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_bytes(junit_xml(review.evals, strict=strict))
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(evals_markdown(review.evals, why=review.why), "utf-8")
    for told in review.evals if html is not None else ():
        write_versus(told, Path(str(html)) / f"{told.suite}.html")
    if json:
        print_json({"refused": review.refused, "why": review.why, "evals": [eval_json(each) for each in review.evals]})
    else:
        for told in review.evals:
            (show_comparison if len(told.sides) > 1 else show_summary)(told)
        put(Text(_verdict(review.refused, len(review.evals)), "bold red" if review.refused else "green"))
    raise typer.Exit(review.exit_code)


def _verdict(refused: tuple[str, ...], n_evals: int) -> str:
    if refused:
        return f"refused by {', '.join(refused)}"
    return "nothing to run: no suite tests what changed" if not n_evals else "fine"
