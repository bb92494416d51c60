"""Names of what an objective may be about, by kind of asset: told to `check` without loading a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_ROUTE_SIGNALS = (
    "answer_shift",
    "cost_anomaly",
    "cost_usd",
    "error_ratio",
    "first_token_ms",
    "latency_ms",
    "new_intents",
    "refusal_ratio",
    "spend_usd",
    "tokens_per_s",
)
_SCORED = ("eval_score", "hallucination_ratio")
"""Of what answers: a route by its own suites, a prompt by its own."""
_GUARD_SIGNALS = ("block_ratio", "false_block_ratio", "miss_ratio")
_COUNTED_SIGNALS = ("ghosts", "lag_s", "skew_ratio", "trouble_ratio")
"""Of indexes: by censuses; the others by what they are asked."""
_ASKED_SIGNALS = ("golden_ndcg", "golden_recall", "query_shift", "sentinel_shift", "stale_answers", "unanswered_ratio")
_RUN_SIGNALS = (
    "failed_ratio",
    "grounded_ratio",
    "injected_ratio",
    "limited_ratio",
    "needless_ratio",
    "run_s",
    "s_per_success",
    "task_success",
    "tool_error_ratio",
    "usd_per_success",
)
"""Of agents and graphs, both."""
NAMED: Mapping[str, Sequence[str]] = {
    "route": (*_ROUTE_SIGNALS, *_SCORED),
    "guard": _GUARD_SIGNALS,
    "prompt": (*_SCORED, "online_score", "unapproved_ratio"),
    "judge": ("judge_agreement", "judge_obeyed", "judge_shift", "label_age_d"),
    "team": ("burn_ratio", "cost_anomaly", "spend_usd"),
    "index": (*_COUNTED_SIGNALS, *_ASKED_SIGNALS),
    "agent": _RUN_SIGNALS,
    "graph": _RUN_SIGNALS,
}
"""Kind → names; models and sources have theirs where they are made, in `compose`."""
