"""What each duty looks after: eight filters over the same board. A duty permits nothing; roles do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from perdure.core.units import days
from perdure.surface.console.asking import address
from perdure.surface.console.inbox import owning
from perdure.surface.console.inbox.panels import (
    FEW,
    Panel,
    caption,
    incident_panel,
    judged_panel,
    unpointed,
    version_rows,
)
from perdure.surface.console.questions import asset_cell, version_address
from perdure.surface.console.records import Cell, Table
from perdure.surface.governance.doing import job_text
from perdure.surface.words import counted, instant, words

if TYPE_CHECKING:
    import polars as pl

    from perdure.stores.ledger.protocols import Incident, Job
    from perdure.surface.console.board import Judged
    from perdure.surface.console.records import Asked

_FEEDS = (
    "skew", "freshness_h", "volume", "violations_ratio", "off_profile", "lag_s", "ghosts", "skew_ratio", "source_down",
)  # fmt: skip
"""How data comes in; the last four are an index's behind its source."""
_SPEED = (
    "latency_ms", "first_token_ms", "tokens_per_s", "error_ratio", "burn_ratio", "run_s", "failed_ratio", "limited_ratio",
    "tool_error_ratio",
)  # fmt: skip
_QUANTILE = re.compile(r"_p[0-9.]+$")
_LATELY = days(7)
"""For so long a range that is right again is still told."""
_ILL = ("broken", "unsure", "stale")
_MADE = ("model", "prompt", "guard", "judge", "route")
_ASKING = ("prompt", "suite", "judge", "guard", "agent", "index")


def panels(asked: Asked, duty: str) -> tuple[Panel, ...]:
    """What stands in the inbox of a duty beside what waits for the one who looks."""
    return _BY_DUTY[duty](asked)


def _data_engineer(asked: Asked) -> tuple[Panel, ...]:
    told = ("feeds", "Feeds that are not as they should be", "Every feed is fresh, whole and as it was.")
    return (
        incident_panel(
            asked,
            "Incidents of feeds",
            "No feed has an open incident.",
            lambda each: _of_feed(asked, each) or each.kind == "broken_feed",
        ),
        judged_panel(asked, told, lambda _, each: _signal(each) in _FEEDS and each.state in _ILL),
        _quarantine(asked),
    )


def _of_feed(asked: Asked, incident: Incident) -> bool:
    tile = asked.board.by_name.get(incident.asset)
    kind = str(incident.facts.get("asset_kind", tile.kind if tile else ""))
    return kind in ("source", "feature_view", "contract")


def _signal(each: Judged) -> str:
    """Without the confidence and the quantile that a series is named by: `latency_ms` of `latency_ms_p99`."""
    return _QUANTILE.sub("", each.signal.partition("@")[0])


def _quarantine(asked: Asked) -> Panel:
    from perdure.loop.work.ranges import all_ranges

    rows: list[tuple[Cell | str, ...]] = []
    known = sorted(all_ranges(asked.project.place.stores.ledger).items())
    found = [(source, each) for source, told in known for each in told.ranges]
    found.sort(key=lambda pair: (pair[1].closed_at is not None, -pair[1].found_at.timestamp()))
    for source, each in found:
        if each.closed_at is not None and asked.now - each.closed_at > _LATELY:
            continue
        over = Cell("used by nobody", tone="warn") if each.closed_at is None else Cell("right again", tone="good")
        since = Cell(instant(each.start), at=each.start)
        rows.append((asset_cell(asked, source), over, since, Cell(each.reason, href="/ledger/quarantine"), each.who))
    title = "Rows set aside until the feed is right"
    empty = "Nothing is in quarantine, and nothing was in the last 7 days."
    headings = ("Source", "State", "From", "Why", "By")
    more = "/ledger/quarantine" if rows else ""
    return Panel("quarantine", title, Table(headings, rows[:FEW], caption(title), more=more, empty=empty))


def _analyst(asked: Asked) -> tuple[Panel, ...]:
    told = (
        "owed",
        "Objectives that are owed to somebody",
        'No objective names a stakeholder: write (mae(over=days(7)) <= 9).owed_to("couriers").',
    )
    models = sorted(asked.project.project.models.values(), key=lambda each: each.name)
    silent = [(asset_cell(asked, each.name), each.owner or "nobody") for each in models if not each.purpose]
    title = "Models that do not say what they are for"
    empty = "Every model says what it is for. Their cards tell the rest."
    purposes = Table(("Model", "Owner"), silent[:FEW], caption(title), empty=empty)
    return judged_panel(asked, told, lambda _, each: bool(each.stakeholder)), Panel("purposes", title, purposes)


def _data_scientist(asked: Asked) -> tuple[Panel, ...]:
    title = "Candidates: versions that no pointer names"
    rows = version_rows(asked, unpointed(asked, _MADE))
    headings = ("Version", "Asset", "Made", "How", "Measured")
    candidates = Table(
        headings,
        rows,
        caption(title),
        more="/registry" if len(rows) == FEW else "",
        empty="None: perdure train MODEL makes one.",
    )
    told = ("drift", "Drift", "No drift is measured: write drift(over=days(7)).unharmful() among what is healthy.")
    return (
        incident_panel(asked, "Incidents of models", "No model has an open incident.", lambda each: not _of_feed(asked, each)),
        Panel("candidates", title, candidates),
        judged_panel(asked, told, lambda _, each: _signal(each).startswith("drift")),
        _runs(asked, "Work that runs now", "status", "running", "/training", "No training and no evaluation runs now."),
    )  # fmt: skip


def _runs(asked: Asked, title: str, column: str, value: str, home: str, empty: str) -> Panel:
    import polars as pl

    found: pl.DataFrame = asked.board.runs.filter(pl.col(column) == value).head(FEW)
    rows = [
        (
            Cell(row["id"], href=address(home, row["id"])),
            asset_cell(asked, row["asset"]),
            words(row["kind"]),
            row["status"],
            Cell(instant(row["started_at"]), at=row["started_at"]),
        )
        for row in found.iter_rows(named=True)
    ]
    return Panel("runs", title, Table(("Run", "Asset", "Kind", "Status", "Began"), rows, caption(title), empty=empty))


def _ml_engineer(asked: Asked) -> tuple[Panel, ...]:
    told = (
        "speed",
        "Latency, errors and limits that do not hold",
        "What answers is quick enough, as far as it is measured.",
    )
    return (
        _releases(asked),
        judged_panel(asked, told, lambda _, each: _signal(each) in _SPEED and each.state in _ILL),
        _jobs(asked, "Work on its way; what fails first", lambda _: True),
    )


def _releases(asked: Asked) -> Panel:
    rows: list[tuple[Cell | str, ...]] = []
    for tile in (each for each in asked.board.tiles if each.moving):
        for pointer in asked.board.pointers.get(tile.name, ()):
            if pointer.name != "champion":
                version = Cell(pointer.version, href=version_address(tile.kind, tile.name, pointer.version))
                moved = Cell("who moved it", href=address("/registry", tile.name, "history"))
                rows.append((asset_cell(asked, tile.name), pointer.name, version, f"{pointer.share:.0%}", moved))
    title = "Releases under way"
    empty = "Every asset's champion has all of its traffic."
    headings = ("Asset", "Pointer", "Version", "Share", "History")
    return Panel("releases", title, Table(headings, rows[:FEW], caption(title), frozenset({3}), empty=empty))


def _jobs(asked: Asked, title: str, wanted: Callable[[Job], bool]) -> Panel:
    found = sorted((job for job in asked.board.jobs if wanted(job)), key=lambda job: (not job.error, job.started_at))
    rows = []
    for job in found[:FEW]:
        incident = str(job.input.get("incident") or "")
        text = Cell(job_text(job), href=address("/incidents", incident) if incident else "")
        state = Cell("fails", tone="bad") if job.error else Cell(job.status, tone="info")
        rows.append(
            (text, asset_cell(asked, job.subject), state, Cell(instant(job.started_at), at=job.started_at), job.id)
        )
    headings = ("Work", "Asset", "State", "Began", "Id")
    empty = "No work is on its way."
    note = "perdure jobs --cancel ID calls one off." if rows else ""
    return Panel("jobs", title, Table(headings, rows, caption(title), empty=empty), note)


def _reviewer(asked: Asked) -> tuple[Panel, ...]:
    """Their questions stand above; beside them what was decided lately."""
    with asked.project.place.stores.ledger.read() as session:
        known = session.approvals.list()
    done = [each for each in known if each.status != "open"][-FEW:][::-1]
    rows = [
        (
            Cell(each.text, href=address("/approvals", each.id)),
            asset_cell(asked, each.asset),
            Cell(each.status, tone={"approved": "good", "rejected": "bad"}.get(each.status, "mute")),  # type: ignore[arg-type]
            ", ".join(f"{answer.actor} {'yes' if answer.approves else 'no'}" for answer in each.answers),
            Cell(instant(each.asked_at), at=each.asked_at),
        )
        for each in done
    ]
    title = "Decided lately"
    empty = 'Nothing was decided by people yet: a policy asks them with approve_by="reviewer".'
    headings = ("Question", "Asset", "Decided", "Who", "Asked")
    return (_releases(asked), Panel("decided", title, Table(headings, rows, caption(title), empty=empty)))


def _on_call(asked: Asked) -> tuple[Panel, ...]:
    return (
        incident_panel(asked, "Open incidents", "Nothing is broken.", lambda _: True),
        _jobs(asked, "What the loop does about them", lambda job: bool(job.input.get("incident"))),
    )


def _prompt_author(asked: Asked) -> tuple[Panel, ...]:
    kinds = {tile.name: tile.kind for tile in asked.board.tiles}
    told = (
        "scores",
        "Prompts, indexes, judges and suites that do not hold",
        "Every prompt, index, judge and suite holds, as far as it is measured.",
    )
    with asked.project.place.stores.ledger.read() as session:
        reviews = session.reviews.list(status="open", limit=1000)
    by_subject: dict[str, int] = {}
    for each in reviews:
        by_subject[each.subject] = by_subject.get(each.subject, 0) + 1
    rows = [
        (Cell(subject, href=address("/language/reviews", subject=subject)), f"{n:,}")
        for subject, n in sorted(by_subject.items(), key=lambda pair: -pair[1])
    ]
    title = "Cases that wait for a label"
    cases = Table(("For", "Cases"), rows[:FEW], caption(title), frozenset({1}), empty="No case waits for a label.")
    return (
        _jobs(asked, "Changes that are proven now, or wait", lambda job: kinds.get(job.subject) in _ASKING),
        judged_panel(
            asked,
            told,
            lambda asset, each: kinds.get(asset) in _ASKING and each.state in _ILL and _signal(each) not in _FEEDS,
        ),
        _runs(asked, "Newest evaluations", "kind", "eval", "/language/evals", "No suite was run yet: perdure eval run SUITE."),
        Panel("reviews", title, cases, f"{counted(len(reviews), 'case')} in all." if reviews else ""),
    )  # fmt: skip


_BY_DUTY: Mapping[str, Callable[[Asked], tuple[Panel, ...]]] = {
    "data_engineer": _data_engineer,
    "analyst": _analyst,
    "data_scientist": _data_scientist,
    "ml_engineer": _ml_engineer,
    "reviewer": _reviewer,
    "on_call": _on_call,
    "prompt_author": _prompt_author,
    "owner": owning.panels,
}
