"""Whether a run did well, by what an objective is about: the same function for runs of production and for their replays.

Success is what people said, else the declared scorers that compute, with what judges said of the run where they were asked; nobody is asked
here, and of another output than the recorded one a judge says nothing. Of a replay nobody said anything, but what was
said of the very same output holds. Where no scorer says anything, one that gives the very same output did as well as the recorded run, and
another one is held against the recorded runs that went well: it came to an end without an error, and as large a share of its claims is
supported, and as much as it says by them, as in three of four of those. A run that went badly though it was as well supported itself proves
nothing by being so again in other words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from perdure.assets.agent import Agent
from perdure.assets.graph import Graph
from perdure.assets.judge import Judge
from perdure.assets.objective import Objective
from perdure.assets.scorer_specs import label_of
from perdure.assets.scorers import Judged, Scorer
from perdure.assets.suite import Case, Suite
from perdure.core.errors import BadSuite, PerdureError, Temporary
from perdure.core.ports import Answered
from perdure.core.runs import Replayed, RunRecord, StepRecord
from perdure.core.texts.tokens import words
from perdure.core.usage import PICO
from perdure.engines.agents import timing
from perdure.engines.agents.grounding import answer_of, sources_of
from perdure.engines.agents.nodes import MISTAKEN, value_of
from perdure.engines.agents.trajectory import trajectory_of
from perdure.engines.evals.compiling import Compiled, compile_scorers
from perdure.engines.evals.composite import combined
from perdure.engines.evals.evidence import Claim, look_up
from perdure.engines.evals.parts import not_applicable
from perdure.engines.evals.protocols import Score
from perdure.loop.protocols import Watched
from perdure.loop.work.runs.judged import content_of
from perdure.loop.work.runs.reading import Seen
from perdure.loop.work.runs.watched import declared_of

WELL = 0.5
"""From this score on a run succeeded."""
INJECTED = 0.5
"""Score of the injection rules from which on a result counts as one: one full sign."""
_ENDED_WELL = ("done",)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Supported:
    """How much of a run's final answer its tools, its nodes or the request support."""

    n: int
    """Words of claims that are."""
    share: float
    """Of its claims."""

    def reaches(self, other: Supported) -> bool:
        """Whether it is no less in either."""
        return self.n >= other.n and self.share >= other.share


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """How well runs of one agent or graph did."""

    scorers: Sequence[Compiled]
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of judges, by the label of the scorer that asks them."""
    usual: Supported = Supported(1, 1.0)
    """What a replay that did well and that no scorer judges has at least."""

    @classmethod
    def of(cls, asset: Watched, good: Sequence[Seen] = ()) -> Outcomes:
        """By its declared scorers, but for those that `unasked` tells: they need a process or vectors.

        Args:
            asset: whose runs.
            good: recorded runs that went well, which replays that nothing scores are held against; none: all claims must be supported.
        """
        declared = declared_of(asset)
        compiled = [_compiled(each, _schema_of(declared)) for each in declared.success]
        weights = {label_of(each): each.weight for each in declared.success if isinstance(each, Judged)}
        return cls([each for each in compiled if isinstance(each, Compiled)], weights, usual_of(good))

    def succeeded(self, seen: Seen) -> float | None:
        """1 or 0; None: nobody said, and nothing scores it. One that was called off counts nowhere."""
        if seen.said is not None:
            return seen.said
        return self.scored(seen.run, seen.steps, seen.input, seen.words)

    def sole_judge(self, seen: Seen) -> str:
        """Label of the judge whose word alone says how a run did; empty where another scorer or people say too, or it failed."""
        if seen.said is not None or seen.run.status == "failed" or len(seen.words) != 1:
            return ""
        [label] = seen.words
        return label if self.scored(seen.run, seen.steps, seen.input) is None else ""

    def scored(
        self,
        run: RunRecord,
        steps: Sequence[StepRecord],
        asked: Mapping[str, Any],
        words: Mapping[str, float] = MappingProxyType({}),
    ) -> float | None:
        """By the scorers alone, and by what judges said: label → 0 to 1."""
        if not (self.scorers or words) or run.status == "cancelled":
            return None
        if run.status == "failed":
            return 0.0
        case = Case(run.id, dict(asked), expected_of(run, asked), contexts=tuple(sources_of(steps, run.input)))
        answered = Answered(_message(run, steps), "stop", None, run.cost_pusd, max(0, run.ended_us - run.began_us))
        scores = [_score(each, case, answered) for each in self.scorers]
        scores += [Score(value) for value in words.values()]
        weights = [each.weight for each in self.scorers] + [self.weights.get(label, 0.0) for label in words]
        found = combined(scores, weights)
        return None if found is None else float(found >= WELL)

    def replayed(self, seen: Seen, replayed: Replayed) -> float:
        """Of a replay of a run that succeeded or not: 0 to 1."""
        run, steps = replayed.run, replayed.steps
        if run.status in ("failed", "cancelled"):
            return 0.0
        same = value_of(run.output) == value_of(seen.run.output)
        if same and seen.said is not None:
            return seen.said
        found = self._rescored(seen, replayed, same)
        if found is not None:
            return found
        if same:
            return 1.0
        clean = run.status in _ENDED_WELL and not any(step.error for step in steps if step.kind == "tool")
        return float(clean and self._supported(seen, supported_in(run, steps)))

    def _rescored(self, seen: Seen, replayed: Replayed, same: bool) -> float | None:
        """By the scorers; what a judge said holds of the very same output, and of another one only what no word of it could change."""
        run, steps = replayed.run, replayed.steps
        if same or not seen.words:
            return self.scored(run, steps, seen.input, seen.words)
        least, most = (self.scored(run, steps, seen.input, dict.fromkeys(seen.words, word)) for word in (0.0, 1.0))
        return least if least == most else None

    def _supported(self, seen: Seen, found: Supported) -> bool:
        before = supported_in(seen.run, seen.steps)
        if ((self.succeeded(seen) if seen.words else seen.said) or 0.0) >= WELL:
            return found.reaches(self.usual) or found.reaches(before)
        return found.reaches(self.usual) and not before.reaches(self.usual)


def claims_in(run: RunRecord, steps: Sequence[StepRecord]) -> list[Claim]:
    """Claims of a run's final answer, each with whether its tools, its nodes or the request support it."""
    return look_up(answer_of(run.output), sources_of(steps, run.input)) if run.output else []


def supported_in(run: RunRecord, steps: Sequence[StepRecord]) -> Supported:
    """Of one run; an answer that claims nothing has nothing supported."""
    claims = claims_in(run, steps)
    supported = [claim.at.text for claim in claims if claim.supported]
    return Supported(sum(len(words(text)) for text in supported), len(supported) / len(claims) if claims else 0.0)


def usual_of(good: Sequence[Seen]) -> Supported:
    """What three in four runs reach, in words and in share; without runs any, and all of them."""
    found = [supported_in(seen.run, seen.steps) for seen in good]
    if not found:
        return Supported(1, 1.0)
    return Supported(_lower(each.n for each in found), _lower(each.share for each in found))


def _lower(values: Iterable[Number]) -> Number:
    ordered = sorted(values)
    return ordered[len(ordered) // 4]


def expected_of(run: RunRecord, asked: Mapping[str, Any]) -> Any:
    """What the caller said that a run should give; None: nothing. The input of a graph is its own: there a tag says it, as JSON."""
    told = run.tags.get("expected")
    return value_of(told.encode()) if run.kind == "graph" and told is not None else asked.get("expected")


def expected_tools(run: RunRecord) -> frozenset[str] | None:
    """Names of the tools that a run should call, by its tag `expected_tools`: names with commas between; None without one."""
    given = run.tags.get("expected_tools")
    return None if given is None else frozenset(each.strip() for each in given.split(",") if each.strip())


def calls_made(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """How each call of a tool ended that came to something: one of which nobody knew for a while ended as was found out later."""
    over = {
        step.call: step
        for step in steps
        if step.kind == "tool" and step.state in ("done", "failed", "refused", "unknown")
    }
    return [step for step in over.values() if step.state != "refused"]


def failed_calls(steps: Sequence[StepRecord]) -> list[tuple[str, bool, str]]:
    """Tool, whether it failed and its error, of each call that reached a tool; what was refused or waits did not."""
    made = [step for step in calls_made(steps) if step.error not in MISTAKEN]
    return [(step.node.removeprefix("tool:"), bool(step.error) or step.state != "done", step.error) for step in made]


def is_injected(steps: Sequence[StepRecord]) -> bool:
    """Whether a tool gave what reads as instructions."""
    return any(float(step.facts.get("injection", 0.0)) >= INJECTED for step in steps if step.kind != "chat")


def driven_s(seen: Seen) -> float:
    """Seconds that it was driven, waits for people left out."""
    return timing.driven_s(seen.run, seen.steps, seen.waits)


@dataclass(frozen=True, slots=True, eq=False)
class Goodness:
    """How well runs did by one objective, 0 to 1: recorded ones and replays alike."""

    of: Callable[[Seen], float | None]
    replayed: Callable[[Seen, Replayed], float]


def goodness_of(asset: Watched, objective: Objective, good: Sequence[Seen] = ()) -> Goodness:
    """By what an objective of an agent or a graph is about; `good`: as of `Outcomes.of`."""
    outcomes = Outcomes.of(asset, good)
    signal, bound = objective.spec.signal, objective.bound if objective.bound is not None else 0.0
    if signal == "task_success":
        return Goodness(outcomes.succeeded, outcomes.replayed)
    if signal == "usd_per_success":
        dear = bound * PICO
        return Goodness(
            lambda seen: float((outcomes.succeeded(seen) or 0.0) >= WELL and seen.run.cost_pusd <= dear),
            lambda seen, again: float(outcomes.replayed(seen, again) >= WELL and again.run.cost_pusd <= dear),
        )
    if signal == "s_per_success":
        return Goodness(
            lambda seen: float((outcomes.succeeded(seen) or 0.0) >= WELL and driven_s(seen) <= bound),
            lambda seen, again: float(
                outcomes.replayed(seen, again) >= WELL and driven_s(_as_seen(seen, again)) <= bound
            ),
        )
    judged = _by_records(signal, bound)
    return Goodness(judged, lambda seen, again: _fair(judged(_as_seen(seen, again))))


def _fair(value: float | None) -> float:
    return 1.0 if value is None else value


def _as_seen(seen: Seen, again: Replayed) -> Seen:
    # A replay answers from the record in no time: it took what the run took, but for what its steps took more or less than then.
    more_s = timing.worked_s(again.steps) - timing.worked_s(seen.steps)
    took_us = max(0, round((driven_s(seen) + more_s) * 1e6))
    run = msgspec.structs.replace(again.run, input=again.run.input or seen.run.input, began_us=0, ended_us=took_us)
    return Seen(run, again.steps, (), None)


def _by_records(signal: str, bound: float) -> Callable[[Seen], float | None]:
    if signal == "grounded_ratio":
        return lambda seen: _supported(seen, bound)
    rules: Mapping[str, Callable[[Seen], bool]] = {
        "needless_ratio": lambda seen: _needless(seen) <= bound,
        "tool_error_ratio": lambda seen: not any(failed for _, failed, _ in failed_calls(seen.steps)),
        "limited_ratio": lambda seen: seen.run.status != "limited",
        "failed_ratio": lambda seen: seen.run.status != "failed",
        "injected_ratio": lambda seen: not is_injected(seen.steps),
        "run_s": lambda seen: driven_s(seen) <= bound,
    }
    rule = rules.get(signal, _is_done)

    def judged(seen: Seen) -> float:
        return float(rule(seen))

    return judged


def _is_done(seen: Seen) -> bool:
    return seen.run.status == "done"


def _supported(seen: Seen, bound: float) -> float | None:
    claims = claims_in(seen.run, seen.steps)
    return float(sum(each.supported for each in claims) >= bound * len(claims)) if claims else None


def _needless(seen: Seen) -> float:
    return trajectory_of(seen.steps, seen.run.input, seen.run.output, expected_tools(seen.run)).ratio


def _message(run: RunRecord, steps: Sequence[StepRecord]) -> dict[str, Any]:
    calls = [
        {"function": {"name": step.node.removeprefix("tool:"), "arguments": step.input.decode(errors="replace")}}
        for step in calls_made(steps)
    ]
    return {"role": "assistant", "content": content_of(run), "tool_calls": calls}


def unasked(declared: Agent | Graph, judges: Mapping[str, Judge] | None = None) -> list[tuple[str, str]]:
    """Scorers of its `success` that say nothing of recorded runs, each with why; a pointwise judge by itself is asked.

    Args:
        declared: the agent or graph.
        judges: the project's, by name.
    """
    found = []
    for each in declared.success:
        if isinstance(each, Judged):
            how: Compiled | str | None = _unshown(declared, (judges or {}).get(each.judge), each.judge)
        else:
            how = _compiled(each, _schema_of(declared))
        if isinstance(how, str):
            found.append((label_of(each), how))
    return found


def _unshown(declared: Agent | Graph, judge: Judge | None, name: str) -> str | None:
    if declared.keeps == "none":
        return f"the judge {name!r} is shown texts, and its records keep none"
    if judge is None or judge.form == "pointwise":
        return None
    lacks = "compares two answers" if judge.form == "pairwise" else "is shown what was expected"
    return f"the judge {judge.name!r} {lacks}, and a run has neither"


def _schema_of(declared: Agent | Graph) -> Mapping[str, Any] | None:
    schema = declared.definition()["output"] if isinstance(declared, Agent) else None
    return msgspec.json.decode(schema) if schema else None


def _compiled(scorer: Scorer, schema: Mapping[str, Any] | None) -> Compiled | str | None:
    """One scorer alone, for one that cannot be asked here leaves the others; else why it is not; None of a judge, whose word is kept.

    What waits for a judge, an embedder or a process is not asked; a function of the project's is.
    """
    if isinstance(scorer, Judged):
        return None
    suite = Suite("runs", (Case("run", {}),), (scorer,), route="runs")
    try:
        [compiled] = compile_scorers(suite, embed=None, entails=None, run_code=None, schema=schema)
    except BadSuite as error:
        return error.message.rstrip(".")
    return (
        f"the judge {min(compiled.judges)!r} is put together with others, and asked of suites alone"
        if compiled.judges
        else compiled
    )


def _score(scorer: Compiled, case: Case, answered: Answered) -> Score:
    """What may be known later is not known now, and counts nowhere."""
    try:
        return scorer.score(case, answered)
    except PerdureError as error:
        if not isinstance(error, Temporary):
            raise
        return not_applicable(error.message)
