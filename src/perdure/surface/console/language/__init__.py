"""Prompts, evals, judges, reviews, indexes, calls, agents and graphs."""

from __future__ import annotations

from perdure.surface.console.language import (
    agents,
    call,
    calls,
    eval_cases,
    eval_run,
    evals,
    guards,
    indexes,
    judges,
    mapped,
    overview,
    prompts,
    reviews,
    run,
    runs,
    searches,
    searching,
    suites,
)
from perdure.surface.console.records import Deed, Page

_L = "/language"
_PLACE = "language"

PAGES: tuple[Page, ...] = (
    Page("language", _L, "language/overview.html", overview.view, place=_PLACE),
    Page("prompts", f"{_L}/prompts", "language/prompts.html", prompts.list_view, place=_PLACE),
    Page("prompt", f"{_L}/prompts/{{name}}", "language/prompt.html", prompts.view, place=_PLACE),
    Page(
        "prompt-compare", f"{_L}/prompts/{{name}}/compare", "language/compare.html", prompts.compare_view, place=_PLACE
    ),
    Page("evals", f"{_L}/evals", "language/evals.html", evals.view, place=_PLACE),
    Page("eval", f"{_L}/evals/{{run}}", "language/eval.html", eval_run.view, place=_PLACE),
    Page("eval-cases", f"{_L}/evals/{{run}}/cases", "language/cases.html", eval_cases.view, "bodies", _PLACE),
    Page("suite", f"{_L}/suites/{{name}}", "language/suite.html", suites.view, place=_PLACE),
    Page("judge", f"{_L}/judges/{{name}}", "language/judge.html", judges.view, place=_PLACE),
    Page("reviews", f"{_L}/reviews", "language/reviews.html", reviews.view, "bodies", _PLACE),
    Page("indexes", f"{_L}/indexes", "language/indexes.html", indexes.list_view, place=_PLACE),
    Page("index", f"{_L}/indexes/{{name}}", "language/index.html", indexes.view, place=_PLACE),
    Page(
        "index-golden", f"{_L}/indexes/{{name}}/golden", "language/golden.html", indexes.golden_view, "bodies", _PLACE
    ),
    Page("index-search", f"{_L}/indexes/{{name}}/search", "language/search.html", searching.view, "bodies", _PLACE),
    Page("index-map", f"{_L}/indexes/{{name}}/map", "language/map.html", mapped.view, "bodies", _PLACE),
    Page("search", f"{_L}/searches/{{id}}", "language/searched.html", searches.view, "bodies", _PLACE),
    Page("calls", f"{_L}/calls", "language/calls.html", calls.view, place=_PLACE),
    Page("call", f"{_L}/calls/{{id}}", "language/call.html", call.view, place=_PLACE),
    Page("call-texts", f"{_L}/calls/{{id}}/texts", "language/call.html", call.texts_view, "bodies", _PLACE),
    Page("agent-runs", f"{_L}/runs", "language/runs.html", runs.view, place=_PLACE),
    Page("agent-run", f"{_L}/runs/{{id}}", "language/run.html", run.view, place=_PLACE),
    Page("agent-run-texts", f"{_L}/runs/{{id}}/texts", "language/run.html", run.texts_view, "bodies", _PLACE),
    Page("agent", f"{_L}/agents/{{name}}", "language/agent.html", agents.agent_view, place=_PLACE),
    Page("graph", f"{_L}/graphs/{{name}}", "language/graph.html", agents.graph_view, place=_PLACE),
    Page("guard", f"{_L}/guards/{{name}}", "language/guard.html", guards.view, place=_PLACE),
)
DEEDS: tuple[Deed, ...] = (Deed("label", "/reviews/{id}/label", reviews.label, "label", asks_reason=False),)
