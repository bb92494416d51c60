"""A compiled guard: several checks in one, the first that finds names the verdict.

Serve asks it about each call. It never raises: a check that cannot be done is told in `Verdict.failed`, and serve lets the guard's
`fails` decide. No verdict holds a word of what was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from perdure.engines.guards.aside import Aside, asides, rewritten_throughout, with_asides
from perdure.engines.guards.checks import LITERAL, AnswerCheck, Bound, Finding, PointingCheck, ScoringCheck, TextCheck
from perdure.engines.guards.conversation import Said, answers_of, rewritten, rewritten_answer, said
from perdure.engines.guards.folding import unveiled
from perdure.engines.guards.masking import Masks
from perdure.engines.guards.passing import TRUSTED, passing
from perdure.engines.guards.protocols import Filter, Masked, Span, Verdict
from perdure.engines.guards.streaming import SlidingFilter, Watch
from perdure.engines.guards.stretches import merged

Json = dict[str, Any]
Done = TypeVar("Done")
_NOTHING = Verdict(found=False)


@dataclass(frozen=True, eq=False)
class CompiledGuard:
    """A guard ready to judge; made by `compile_guard`. Safe to share between threads."""

    name: str
    version: str
    mode: str
    fails: str
    wait_ms: float
    on: Sequence[str]
    hold_back: int
    checks: tuple[TextCheck | AnswerCheck | Bound, ...]
    """In the order in which they were declared."""

    @cached_property
    def slow(self) -> bool:
        """True where a check takes more than a millisecond."""
        return any(check.slow for check in self._texts)

    @cached_property
    def whole(self) -> bool:
        """True where a check needs the whole answer: in mode `block` a stream is held to its end, tool calls too."""
        return any(
            not isinstance(check, PointingCheck | ScoringCheck) and not hasattr(check, "bound") for check in self.checks
        )

    @cached_property
    def _texts(self) -> tuple[TextCheck, ...]:
        return tuple(check for check in self.checks if isinstance(check, PointingCheck | ScoringCheck))

    @cached_property
    def _passes(self) -> Callable[[Sequence[Json]], bool] | None:
        """Whether messages hold nothing, told the short way."""
        return passing(self._texts)

    @cached_property
    def _points(self) -> bool:
        """Whether no check scores: one that does spares the operator's own texts where it judges, and none where it masks."""
        return not any(isinstance(check, ScoringCheck) for check in self._texts)

    @cached_property
    def _reaching(self) -> tuple[tuple[TextCheck, ...], ...]:
        """The checks that are asked about strings of each level."""
        return tuple(tuple(check for check in self._texts if check.reach >= level) for level in range(LITERAL + 1))

    def judge(self, messages: Sequence[Json], request: Json) -> Verdict:
        """Of a whole conversation, then of what stands beside it in its request. Checks of answers have nothing to say."""
        passes = self._passes
        passed = passes is not None and passes(messages)
        verdict = _NOTHING if passed else _first(self._texts, said(messages))
        others = [] if verdict.found else asides(request)
        return _first_aside(self._texts, others, verdict) if others else verdict

    def mask_request(self, request: Json) -> Masked:
        """A request with every stretch found masked wherever it stands; a text that a check scores too high is masked whole."""
        masks, stuck = self._masks(), []
        messages = rewritten(request.get("messages") or [], lambda text: self._masked(text, self._texts, masks))

        def see(text: str, level: int, fixed: bool) -> str:
            spans = spans_of(text, self._reaching[level])
            if spans and fixed:
                stuck.append(spans[0].kind)
            return text if fixed or not spans else masks.masked(text, spans)

        value = with_asides({**request, "messages": messages}, see)
        return Masked(value, masks.count, stuck[0] if stuck else "", masks.restore)

    def mask(self, messages: Sequence[Json]) -> Masked:
        """Messages with every stretch found masked in every string of them, names of members too: as they may be kept."""
        if self._points and _are_plain(messages) and self._passes is not None and self._passes(messages):
            return Masked(messages, 0)
        masks = self._masks()
        texts = rewritten(messages, lambda text: self._masked(text, self._texts, masks))
        value = rewritten_throughout(texts, lambda text: self._masked(text, self._reaching[LITERAL], masks))
        return Masked(value, masks.count, restore=masks.restore)

    def judge_answer(self, answer: Json, messages: Sequence[Json]) -> Verdict:
        """Of a whole answer, its tool calls too."""
        answers = answers_of(answer)
        verdict = _first(self._bound(messages), said(answers))
        return verdict if verdict.found else self._judge_whole(answers, messages, verdict)

    def mask_answer(self, answer: Json, messages: Sequence[Json] = ()) -> Masked:
        """The answer with every stretch found masked; with the conversation, what it recites of its system prompt too."""
        masks = self._masks()
        checks = self._bound(messages)
        value = rewritten_answer(answer, lambda text: self._masked(text, checks, masks))
        return Masked(value, masks.count, restore=masks.restore)

    def filter(self, messages: Sequence[Json]) -> Filter:
        """For one streamed answer to that conversation."""
        end = (lambda answer: self._judge_whole(answers_of(answer), messages, _NOTHING)) if self.whole else None
        watch = Watch(self.mode, self.hold_back, self._bound(messages), end)
        return SlidingFilter(watch, self._masks())

    def _bound(self, messages: Sequence[Json]) -> tuple[TextCheck, ...]:
        """The checks of texts for answers to a conversation."""
        found: list[TextCheck] = []
        for check in self.checks:
            if isinstance(check, PointingCheck | ScoringCheck):
                found.append(check)
            elif hasattr(check, "bound"):
                found.append(check.bound(messages))
        return tuple(found)

    def _judge_whole(self, answers: Sequence[Json], messages: Sequence[Json], before: Verdict) -> Verdict:
        verdict = before
        for check in self.checks:
            if isinstance(check, PointingCheck | ScoringCheck) or not hasattr(check, "judge"):
                continue
            whole = check
            found = asked(whole.name, lambda: whole.judge(answers, messages))  # noqa: B023 - called at once
            if isinstance(found, Verdict):
                verdict = verdict if verdict.failed else found
            elif found is not None:
                return Verdict(True, whole.name, found.kind, found.score, verdict.failed, found.evidence)
        return verdict

    def _masks(self) -> Masks:
        kinds = frozenset(kind for check in self._texts if isinstance(check, PointingCheck) and check.restores
                          for kind in _kinds(check))  # fmt: skip
        return Masks(kinds.__contains__)

    def _masked(self, text: str, checks: Sequence[TextCheck], masks: Masks) -> str:
        spans = spans_of(text, checks)
        return masks.masked(text, spans) if spans else text


def _are_plain(messages: Sequence[Json]) -> bool:
    """Whether messages hold their texts, their roles and nothing else: no other string could be masked."""
    for message in messages:
        if type(message.get("content")) is not str or message.get("role") not in _ROLES:
            return False
        if len(message) > 2 and any(
            name not in _EMPTY or value for name, value in message.items() if name not in _PLAIN
        ):
            return False
    return True


_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_PLAIN = frozenset({"role", "content"})
_EMPTY = frozenset({"refusal", "annotations", "audio", "function_call", "tool_calls", "reasoning_content"})
"""Members of answers that servers send though they have nothing to say."""


def spans_of(text: str, checks: Sequence[TextCheck]) -> list[Span]:
    """The stretches of a text that checks find, merged, in the text's own places."""
    seen = unveiled(text)
    hits = []
    for check in checks:
        if isinstance(check, ScoringCheck):
            found = asked(check.name, lambda: check.judge(text))  # noqa: B023 - called at once
            if isinstance(found, Finding):
                return [Span(0, len(text), check.name)]
        else:
            pointed = asked(check.name, lambda: check.hits(seen.text))  # noqa: B023 - called at once
            if isinstance(pointed, Verdict):
                continue
            hits += pointed
    if not hits:
        return []
    return [
        Span(seen.place(span.start, len(text)), seen.place(span.end, len(text)), span.kind) for span in merged(hits)
    ]


def _kinds(check: PointingCheck) -> Iterator[str]:
    for finder in check.finders:
        yield from getattr(finder, "kinds", None) or (getattr(finder, "kind", ""),)


def _first(checks: Sequence[TextCheck], texts: Sequence[Said]) -> Verdict:
    """What the first check that finds says; else what the first that failed does."""
    seen = [each.text if each.text.isascii() else unveiled(each.text).text for each in texts]
    verdict = _NOTHING
    for check in checks:
        found = asked(check.name, lambda: _found(check, texts, seen))  # noqa: B023 - called at once
        if isinstance(found, Verdict):
            if found.found:
                return Verdict(True, found.check, found.kind, found.score, verdict.failed, found.evidence)
            verdict = verdict if verdict.failed else found
    return verdict


def _first_aside(checks: Sequence[TextCheck], others: Sequence[Aside], before: Verdict) -> Verdict:
    """What the first check that finds says of strings beside a conversation; else what was said before, or that one failed."""
    seen = [each.text if each.text.isascii() else unveiled(each.text).text for each in others]
    verdict = before
    for check in checks:
        found = asked(check.name, lambda: _found_aside(check, others, seen))  # noqa: B023 - called at once
        if isinstance(found, Verdict):
            if found.found:
                return Verdict(True, found.check, found.kind, found.score, verdict.failed, found.evidence)
            verdict = verdict if verdict.failed else found
    return verdict


def _found_aside(check: TextCheck, others: Sequence[Aside], seen: Sequence[str]) -> Verdict | None:
    for each, text in zip(others, seen, strict=True):
        if each.level > check.reach:
            continue
        if isinstance(check, ScoringCheck):
            finding = check.judge(each.text)
            if finding is not None:
                return Verdict(True, check.name, finding.kind, finding.score, evidence={"member": each.member})
        elif (hit := check.first(text)) is not None:
            return Verdict(True, check.name, hit.kind, 1.0, evidence={"member": each.member})
    return None


def _found(check: TextCheck, texts: Sequence[Said], seen: Sequence[str]) -> Verdict | None:
    if isinstance(check, ScoringCheck):
        for each in texts:
            if each.role not in TRUSTED and (finding := check.judge(each.text)) is not None:
                return Verdict(True, check.name, finding.kind, finding.score, evidence=_where(each))
        return None
    for each, text in zip(texts, seen, strict=True):
        hit = check.first(text)
        if hit is not None:
            return Verdict(True, check.name, hit.kind, 1.0, evidence=_where(each))
    return None


def _where(each: Said) -> Json:
    return {"message": each.message, "role": each.role}


def asked(name: str, work: Callable[[], Done]) -> Done | Verdict:
    """What a check says, or a verdict that it failed: by the kind of its error alone, whose words may be the caller's."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - functions of users and model libraries may raise anything
        return Verdict(False, name, failed=f"{name} raised {type(error).__name__}")
