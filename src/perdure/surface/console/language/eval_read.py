"""One run of a suite as it is told, kept for as long as the ledger says nothing new: filters and pages of it cost nothing then."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.core.errors import not_found
from perdure.loop.work.evals.running import find_run
from perdure.surface.console.asking import address
from perdure.surface.console.language.cells import OVERVIEW, page_of
from perdure.surface.console.language.kept import Kept
from perdure.surface.console.records import Asked
from perdure.surface.eval_asking import declared_by_name
from perdure.surface.eval_made import ToldOf, eval_told
from perdure.surface.eval_told import EvalTold

_TOLD: Kept[EvalTold] = Kept(6)


def read_eval(asked: Asked) -> EvalTold:
    """The run of the page's path.

    Cost: some 0.2 ms an answer the first time.

    Raises:
        NotFound: no such run.
        BadSuite: the run is of something else than a suite.
    """
    project, run = asked.project, asked.path["run"]
    record = find_run(project.place, run)
    if record is None:
        raise not_found("run", run, asked.board.runs["id"].to_list() if "id" in asked.board.runs.columns else ())

    def make() -> EvalTold:
        declared = declared_by_name(project.project, project.place, asked.now)
        of = ToldOf(record.id, judges=project.project.judges, declared=declared)
        return eval_told(project.place, of, asked.now)

    if record.status == "running":
        return make()
    return _TOLD.get(project, (record.id, record.finished_at, asked.board.sequence), make)


def crumbs_of(told: EvalTold) -> Sequence[tuple[str, str]]:
    """What is above a page of a run."""
    return (OVERVIEW, ("Evals", "/language/evals"), (told.suite, page_of("suite", told.suite)))


def page_of_run(told: EvalTold) -> str:
    """Address of the figures of a run."""
    return address("/language/evals", told.run)
