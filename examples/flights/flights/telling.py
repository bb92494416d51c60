"""The demo's figures in words, for its console and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.surface.summary import Gaps, Outcome


def headline(summary: dict[str, Any], faulty: bool) -> list[str]:
    """What it came to, in a few lines."""
    lines = [""]
    gained = summary["improvement_june_to_september"]
    if gained is not None:
        lines.append(
            f"[bold green]{gained:.2f} times[/] less error than frozen over all flights from June to September"
        )
    if faulty:
        after = summary["fault_detected_after_h"]
        found = "was [bold red]not found[/]" if after is None else f"was found [bold]{after:g} h[/] after its first row"
        n = summary["retrained_on_injected_rows"]
        lines.append(f"The injected unit change {found}; {n:,} injected rows were trained on afterwards")
    return lines


def counts(summary: dict[str, Any], frozen: Outcome, missing: Gaps) -> list[str]:
    """What was served, what came of it, what was missing."""
    origins = ", ".join(f"{n:,} row of {origin}" for origin, n in frozen.quarantined_by_origin.items()) or "none"
    matched = "every one equal" if not summary["skew_mismatches"] else f"{summary['skew_mismatches']:,} DIFFER"
    weather, aircraft = missing.views["weather_now"], missing.views["aircraft"]
    return [
        "",
        (
            f"served   {summary['rows']:,} rows in {summary['requests']:,} requests, {summary['rows_captured']:,} captured, "
            "to each deployment"
        ),
        (
            f"labels   {summary['labels']:,} arrived, {summary['labels_joined']:,} joined, "
            f"{summary['labels_orphaned']:,} without a row"
        ),
        f"skew     {summary['skew_checked']:,} served vectors recomputed offline, {matched}",
        f"dirt     quarantined {origins}",
        (
            f"         {weather['missing'] + weather['expired']:,} rows without fresh weather, "
            f"{missing.features['pressure_mb']:,} without a pressure,"
        ),
        (
            f"         {aircraft['missing']:,} of an aircraft not in the register, "
            f"{missing.features['dest']:,} to an airport never seen in training"
        ),
        f"cost     {summary['cpu_seconds']:,} CPU s, {summary['seconds']:,} s",
    ]


def report_figures(summary: dict[str, Any]) -> dict[str, str]:
    """The figures at the head of the report."""
    gained, after = summary["improvement_june_to_september"], summary["fault_detected_after_h"]
    return {
        "times less error, June to September": "–" if gained is None else f"{gained:.2f}",
        "releases": f"{summary['releases']:,}",
        "retrainings": f"{summary['retrains']:,}",
        "candidates refused by a gate": f"{summary['rejected_candidates']:,}",
        "rollbacks": f"{summary['rollbacks']:,}",
        "decisions replayed, equal": f"{summary['decisions_equal']:,} of {summary['decisions_replayed']:,}",
        "hours until the fault was found": "–" if after is None else f"{after:g}",
        "injected rows trained on after that": f"{summary['retrained_on_injected_rows']:,}",
        "false alarms of sources in quiet weeks": f"{summary['false_incidents_quiet_weeks']} of {summary['quiet_weeks']}",
        "rows answered, each": f"{summary['rows']:,}",
        "labels, each": f"{summary['labels']:,}",
        "vectors recomputed, different": f"{summary['skew_mismatches']:,} of {summary['skew_checked']:,}",
        "CPU seconds": f"{summary['cpu_seconds']:,}",
    }
