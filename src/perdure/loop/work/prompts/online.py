"""Production scored: answers of the version that answers, whose bodies the route keeps, by scorers that need nobody's word.

No model is asked and nothing is expected: what was said is held against what the request itself says, so the contexts of an
answer are the messages that it was given. At most `evals.online_calls` of a window are read, evenly spread. Nobody is asked here:
what judges said of production (`online_asking`) is read by `online_judged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.scorer_specs import label_of
from perdure.assets.suite import Case
from perdure.core.errors import TooFewRows
from perdure.core.ports import Answered
from perdure.core.stats.clustered import clustered_interval
from perdure.core.texts.refusals import text_of
from perdure.engines.evals.compiling import compile_scorers
from perdure.engines.evals.evidence import look_up
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_calls
from perdure.loop.work.prompts.tested import suites_of
from perdure.loop.work.readings import reading_of
from perdure.loop.work.routes.bodies import message_of
from perdure.loop.work.routes.traffic import NOBODYS
from perdure.loop.work.versions import find_champion

_COLUMNS = ["prompt", "outcome", "arm", "request", "answer", "finish", "latency_us", "cost_pusd"]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One call of production as a case with its answer."""

    case: Case
    answered: Answered


def read_kept(place: Workplace, prompt: str, version: str, start: datetime, end: datetime) -> list[Kept]:
    """Answered calls of clients by a version, whose bodies were kept; those that were cut or cannot be read are left out."""
    return _sampled(place, read_answered(place, version, start, end), prompt)


def read_kept_of_route(place: Workplace, route: str, start: datetime, end: datetime) -> list[Kept]:
    """The same of a route's calls, whichever prompt or none was rendered."""
    return _sampled(place, read_calls(place.stores.lake, route, start, end, _COLUMNS), route)


def read_answered(place: Workplace, version: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Answered calls of clients by a version of a prompt, by time; `request` and `answer` are null where no texts were kept."""
    calls = read_calls(place.stores.lake, None, start, end, _COLUMNS)
    return _answered(calls.filter(pl.col("prompt") == version))


def _answered(calls: pl.DataFrame) -> pl.DataFrame:
    return calls.filter((pl.col("outcome") == "answered") & ~pl.col("arm").is_in(NOBODYS))


def with_texts(calls: pl.DataFrame) -> pl.DataFrame:
    """Those of answered calls whose texts were kept."""
    return calls.filter(pl.col("request").is_not_null() & pl.col("answer").is_not_null())


def _sampled(place: Workplace, calls: pl.DataFrame, tag: str) -> list[Kept]:
    calls = with_texts(_answered(calls))
    most = place.settings.evals.online_calls
    if calls.height > most:
        calls = calls.gather_every(-(-calls.height // most))
    return list(kept_of(calls, tag))


def kept_of(calls: pl.DataFrame, tag: str) -> Iterator[Kept]:
    """Calls with texts as cases; those that cannot be read are left out."""
    decode: Callable[[str], Any] = msgspec.json.decode
    for row in calls.iter_rows(named=True):
        try:
            messages = decode(row["request"])
        except msgspec.DecodeError:
            continue
        said = message_of(row["answer"])
        if not isinstance(messages, list) or not said:
            continue
        told = [text_of(each) for each in messages if isinstance(each, Mapping)]
        case = Case(row["call_id"], {"messages": messages}, contexts=tuple(each for each in told if each), tags=(tag,))
        answered = Answered(said, row["finish"], None, row["cost_pusd"], row["latency_us"], call_id=row["call_id"])
        yield Kept(case, answered)


def hallucinations(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
    """`unsupported` claims of a prompt's version that answers."""
    champion = find_champion(place.stores.ledger, asset.name)
    if champion is None:
        return []
    kept = read_kept(place, asset.name, champion.id, now - spec.over, now)
    return unsupported(asset, spec, now, kept, champion.id)


def unsupported(
    asset: Watched, spec: SignalSpec, now: datetime, kept: Sequence[Kept], version: str
) -> Sequence[Reading]:
    """Claims that the request does not support, by claims: a ratio of sums over answers, which stand each for themselves.

    An answer that claims nothing is outside of it, and counted.
    """
    claims, wrong, examples = [], [], []
    for each in kept:
        found = look_up(text_of(each.answered.message), [str(one) for one in each.case.contexts])
        if found:
            claims.append(float(len(found)))
            wrong.append(sum(not claim.supported for claim in found) / len(found))
            examples += [each.case.id] if wrong[-1] else []
    if not claims:
        return []
    try:
        share = clustered_interval(
            np.array(wrong), weights=np.array(claims), confidence=spec.confidence, within=(0.0, 1.0)
        )
    except TooFewRows:
        share = None
    facts = {"n_answers": len(kept), "n_without_claims": len(kept) - len(claims), "n_claims": int(sum(claims)),
             "n_answers_with_unsupported": len(examples), "calls": examples[:10]}  # fmt: skip
    return [reading_of(asset, spec, now, share, unit="ratio", version=version, facts=facts)]


def computed_scores(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
    """The mean of a scorer that computes, by label, over answers to which it applies; what needs `expected` never does."""
    champion, label = find_champion(place.stores.ledger, asset.name), str(spec.params["scorer"])
    scorer = None if champion is None else _scorer(asset, label, champion.definition.get("output"))
    if champion is None or scorer is None:
        return []
    kept = read_kept(place, asset.name, champion.id, now - spec.over, now)
    scores = [scorer.score(each.case, each.answered).value for each in kept]
    known = [score for score in scores if score is not None]
    if not known:
        return []
    try:
        found = clustered_interval(np.array(known), confidence=spec.confidence, within=(0.0, 1.0))
    except TooFewRows:
        found = None
    facts = {"n_answers": len(kept), "n_scored": len(known)}
    return [reading_of(asset, spec, now, found, unit="score", version=champion.id, facts=facts)]


def _scorer(asset: Watched, label: str, output: str | None) -> Any:
    """The compiled scorer; None where no suite has it, or it waits for a judge, a process or an embedder."""
    schema = msgspec.json.decode(output) if output else None
    for suite in suites_of(asset):
        quick = [each for each in suite.scorers if label_of(each) == label]
        if quick:
            [compiled] = compile_scorers(
                replace(suite, scorers=quick[:1]), embed=None, entails=None, run_code=None, schema=schema
            )
            return compiled if compiled.quick and not compiled.judges else None
    return None
