"""What `perdure check` says of suites: cases that cannot be read, asked or scored, names that nothing has, cases that leak.

Called by `checks`. What a run would refuse is an error here, with file and line; what would only weaken its verdict a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perdure.assets.scorer_specs import flattened
from perdure.assets.scorers import AnswerRelevance, CodePasses, Grounded, Similar
from perdure.assets.suite import judges_of
from perdure.assets.suite_cases import clustered, duplicates, improves, leaks, said_by_user
from perdure.core.errors import BadPrompt, BadSuite, DeclarationError, NotReady, nearest
from perdure.surface.check_online import online_notes
from perdure.surface.words import counted

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.assets.prompt import Prompt
    from perdure.assets.suite import Suite
    from perdure.assets.suite_file import PlacedCases
    from perdure.core.ports import CodeRun, Embedded
    from perdure.core.settings import Settings
    from perdure.surface.check_policies import Said

_FEW_CLUSTERS = 10
"""Below so many, a look at a comparison is skipped (`core.stats.sequential`)."""
_TOLD = 3
"""Of mistakes of one sort so many are told one by one."""


def suite_notes(suite: Suite, project: Project) -> Said:
    """A suite against what it tests and who judges for it, and its cases against all of that."""
    yield from _names(suite, project)
    try:
        read = suite.read()
    except BadSuite as error:
        yield "error", f"cannot be read: {error.message}", error.hint
        return
    prompt = project.prompts.get(suite.prompt)
    yield from _same(read)
    if prompt is not None:
        yield from _leaking(read, prompt)
    yield from _inputs(suite, read, prompt)
    yield from _scored(suite, read, prompt)
    yield from _clusters(suite, read)


def named_suites(asset: Any, kind: str, project: Project, settings: Settings) -> Said:
    """Objectives of prompts and routes against the suites and scorers that they name; a prompt that none tests."""
    if kind not in ("prompt", "route"):
        return
    own = {name: suite for name, suite in project.suites.items() if asset.name in _tested(suite, project)}
    for objective in asset.healthy:
        params = objective.spec.params
        if objective.spec.signal == "eval_score" and params["suite"] not in own:
            there = params["suite"] in project.suites
            told = "which tests something else" if there else "which is not declared"
            yield "error", f"is held to the suite {params['suite']!r}, {told}.", _hint(params["suite"], own, "Suites")
        if objective.spec.signal == "online_score":
            yield from online_notes(asset, params["scorer"], list(own.values()), project, settings)
    if kind == "prompt" and project.suites and not own:
        yield "note", "is tested by no suite: apply releases any change of it.", 'Write: Suite(…, prompt="…")'


def _tested(suite: Suite, project: Project) -> set[str]:
    """What a suite tests: its prompt, and the route that answers."""
    prompt = project.prompts.get(suite.prompt)
    return {suite.prompt, suite.route or (prompt.route if prompt is not None else "")}


def _names(suite: Suite, project: Project) -> Said:
    known: Mapping[str, tuple[str, Iterable[str], Iterable[str]]] = {
        "prompt": ("tests the prompt", [suite.prompt] if suite.prompt else [], project.prompts),
        "route": ("asks the route", [suite.route] if suite.route else [], project.routes),
        "judge": ("asks the judge", judges_of(suite), project.judges),
    }
    for what, (told, names, there) in known.items():
        for name in names:
            if name not in there:
                yield "error", f"{told} {name!r}, which is not declared.", _hint(name, there, f"{what.capitalize()}s")
    embedders = [each.embedder for each in flattened(suite.scorers) if isinstance(each, Similar | AnswerRelevance)]
    for name in dict.fromkeys(each for each in embedders if each):
        if name not in project.routes and name.partition("/")[0] not in project.upstreams:
            known_names = [*project.routes, *(f"{each}/…" for each in project.upstreams)]
            yield "error", f"embeds by {name!r}, which is no route and no upstream.", _hint(name, known_names, "Known")
    if any(isinstance(each, CodePasses) for each in flattened(suite.scorers)):
        yield (
            "note",
            "runs code that a model wrote, in a process with limits, which is no security boundary.",
            "Run it where nothing is to be lost.",
        )


def _same(read: PlacedCases) -> Said:
    pairs = duplicates(read)
    for pair in _few([each for each in pairs if each.exact]):
        yield (
            "error",
            f"asks the same at {pair.second} as at {pair.first}.",
            "Take one of them out; what counts twice has weight: 2.",
        )
    near = [each for each in pairs if not each.exact]
    for pair in _few(near):
        yield (
            "warning",
            f"asks at {pair.second} nearly the same as at {pair.first}: both count as one cluster.",
            "Keep the one that says more, if that is not meant.",
        )
    if len(near) > _TOLD:
        yield "warning", f"has {len(near) - _TOLD} more cases that ask nearly the same as another.", ""


def _leaking(read: PlacedCases, prompt: Prompt) -> Said:
    for pair in _few(leaks(read, prompt.shown)):
        how = "" if pair.exact else ", in nearly the same words"
        yield (
            "error",
            f"has a case at {pair.first} that stands in the examples of prompt {prompt.name!r} at {pair.second}{how}.",
            "Take it out of one of them: a model that is shown the answer proves nothing.",
        )


def _inputs(suite: Suite, read: PlacedCases, prompt: Prompt | None) -> Said:
    wrong = _not_variables(read, prompt) if prompt is not None else _no_messages(read) if not suite.prompt else iter(())
    found = list(wrong)
    for place, text, hint in _few(found):
        yield "error", f"has inputs at {place} that cannot be asked: {text}", hint
    if len(found) > _TOLD:
        yield "error", f"has {len(found) - _TOLD} more cases that cannot be asked.", ""


def _not_variables(read: PlacedCases, prompt: Prompt) -> Iterator[tuple[str, str, str]]:
    from perdure.engines.prompts.variables import Variables

    try:
        variables = Variables(prompt.name, prompt.definition()["variables"])
    except BadPrompt:
        return  # told of the prompt
    for case, place in zip(read.cases, read.places, strict=True):
        try:
            variables.checked(case.inputs)
        except BadPrompt as error:
            yield place, error.message, error.hint


def _no_messages(read: PlacedCases) -> Iterator[tuple[str, str, str]]:
    for case, place in zip(read.cases, read.places, strict=True):
        if said_by_user(case.inputs) is None:
            yield (
                place,
                "the suite tests no prompt, and these are no messages.",
                "Write inputs: {messages: [{role: user, content: …}]}",
            )


def _scored(suite: Suite, read: PlacedCases, prompt: Prompt | None) -> Said:
    from perdure.engines.evals.compiling import compile_scorers

    output = prompt.definition()["output"] if prompt is not None else None
    schema = _schema(output)
    try:
        compiled = compile_scorers(suite, embed=_UNASKED, entails=None, run_code=_UNASKED, schema=schema)
    except DeclarationError as error:
        yield "error", f"cannot score: {error.message}", error.hint
        return
    for scorer in compiled:
        reasons = [scorer.lacks(case) for case in read.cases]
        lacking = [place for reason, place in zip(reasons, read.places, strict=True) if reason]
        if len(lacking) == len(reasons):
            yield (
                "error",
                f"has the scorer {scorer.label!r}, which applies to no case: {reasons[0]}.",
                f"It needs {scorer.needs}.",
            )
        elif lacking and scorer.weight:
            some = ", ".join(lacking[:_TOLD]) + (" …" if len(lacking) > _TOLD else "")
            yield (
                "note",
                f"has the scorer {scorer.label!r}, which does not apply to {len(lacking)} of {len(reasons)} cases ({some}).",
                f"It needs {scorer.needs}.",
            )
    grounded = any(isinstance(each, Grounded) for each in flattened(suite.scorers))
    if grounded and suite.n_samples == 1 and not any(case.contexts for case in read.cases):
        yield (
            "warning",
            "has no contexts and asks once: there is nothing to hold claims against.",
            "Give cases contexts, or write n_samples=3.",
        )


def _clusters(suite: Suite, read: PlacedCases) -> Said:
    names = {each.cluster for each in clustered(read.cases)}
    judging = [name for name in names if not improves(name, suite.improve_share)]
    if len(judging) < _FEW_CLUSTERS:
        spared = f", {len(names) - len(judging)} more are kept for improvement" if len(judging) < len(names) else ""
        yield (
            "warning",
            f"has {counted(len(judging), 'cluster')} that gates judge by{spared}: only large differences will be seen.",
            f"Add cases that are not alike; with {_FEW_CLUSTERS} clusters a comparison begins.",
        )


def _schema(output: str | None) -> Mapping[str, Any] | None:
    import json

    found: Mapping[str, Any] | None = None if output is None else json.loads(output)
    return found


class _Unasked:
    """Stands for an embedder and for who runs code where scorers are made, and none is asked."""

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        raise NotReady(f"{route or 'WordLlama'} is not asked for {len(texts)} texts by a check.")

    def run(self, code: str, checks: str, *, seconds: float, megabytes: int) -> CodeRun:
        raise NotReady(
            f"{len(code + checks)} characters of code are not run by a check.", seconds=seconds, mb=megabytes
        )


_UNASKED = _Unasked()


def _few(found: Sequence[Any]) -> Sequence[Any]:
    return found[:_TOLD]


def _hint(name: str, there: Iterable[str], what: str) -> str:
    near = nearest(name, there)
    return f"Did you mean {near!r}?" if near else f"{what}: {', '.join(sorted(there)) or 'none'}."
