"""An eval as it is shown: what a page, a terminal, JUnit, a pull request and a test's assertion tell, in one record.

`eval_rows` makes it of the rows of a run; whoever shows reads nothing else. Texts are as models wrote them: whoever shows them
on a screen that interprets (a terminal, XML, Markdown) goes through `visible`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perdure.assets.health import Verdict
from perdure.core.stats.components import Components
from perdure.core.stats.intervals import Interval
from perdure.core.verdict import Comparison
from perdure.surface.words import counted

Flip = Literal["better", "worse", "same", "unpaired"]
"""What became of a case: `unpaired` where only one of two versions answered it."""
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class ScoreTold:
    """What one scorer said of one answer."""

    label: str
    value: float | None
    outcome: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class AnswerTold:
    """One answer with its scores."""

    text: str
    sample: int
    score: float | None
    scores: tuple[ScoreTold, ...]
    spans: tuple[tuple[int, int], ...] = ()
    """Where the text says what its contexts do not support: begin and end, in characters."""
    error: str = ""
    cost_usd: float | None = None
    latency_ms: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class CaseTold:
    """One case with the answers of every version, in the order of `EvalTold.sides`."""

    id: str
    question: str
    expected: str
    contexts: tuple[str, ...]
    tags: tuple[str, ...]
    cluster: str
    answers: tuple[tuple[AnswerTold, ...], ...]
    flip: Flip = "same"
    change: float | None = None
    """Of its score, mean over samples: the second version's less the first's."""
    disagreement: str = ""
    """Where judges and other scorers say opposite things of one answer: in words; empty where they do not."""

    @property
    def failed(self) -> bool:
        """Whether an answer is none: an error, or a scorer that found none to score; a judge's silence is its own."""
        return any(
            each.error or any(part.outcome == "failed" and part.value is not None for part in each.scores)
            for side in self.answers
            for each in side
        )


@dataclass(frozen=True, slots=True)
class SideTold:
    """One version over all cases."""

    subject: str
    score: Interval | None
    """Mean over cases with its interval over clusters; None where there are too few."""
    mean: float | None
    n_answers: int
    n_failed: int
    cost_usd: float | None
    """What all its answers cost when they were made; None where no price is known."""
    n_unpriced: int
    p50_ms: float | None
    p95_ms: float | None
    spread: str = ""
    """Where its scores' spread comes from, cases or repeats, in words; empty where cases were asked once."""
    n_cached: int = 0
    """Draws of earlier runs, given again."""
    split: Components | None = None
    """The same as variances of cases, samples and judgings; None with too few whole cases."""
    hallucination: Interval | None = None
    """Share of its claims that no context supports; None where no scorer counts claims."""


@dataclass(frozen=True, slots=True)
class ScorerTold:
    """One scorer over all cases, beside what people's labels make of it where it is a judge."""

    label: str
    raw: tuple[Interval | None, ...]
    """Of each version."""
    difference: Interval | None = None
    corrected: tuple[Interval | None, ...] = ()
    """Of each version, corrected by labels; empty where it is no judge, or was refused."""
    text: str = ""
    """How it was corrected, or why it is not used."""
    judge: bool = False
    means: tuple[float | None, ...] = ()
    """Of each version, for where there is no interval."""
    n_silent: int = 0
    """Answers of which a judge that was asked had no opinion."""

    def cell(self, side: int) -> str:
        """One version's figure in words."""
        return interval_text(self.raw[side], self.means[side] if self.means else None)

    @property
    def note(self) -> str:
        """What is to be known of its figures, in words: how a judge's was corrected, and how often it was silent."""
        silent = f"no opinion on {counted(self.n_silent, 'answer')}" if self.n_silent else ""
        return " ".join(filter(None, (visible(self.text), f"({silent})" if silent and self.text else silent)))


@dataclass(frozen=True, slots=True)
class EvalTold:
    """A run of a suite: of one version, or of two side by side."""

    suite: str
    version: str
    """Of the suite: what was frozen when it began."""
    run: str
    at: datetime
    sides: tuple[SideTold, ...]
    """One version, or the present one and then the one that would replace it."""
    scorers: tuple[ScorerTold, ...]
    cases: tuple[CaseTold, ...] = ()
    gates: tuple[Verdict, ...] = ()
    comparison: Comparison | None = None
    """None where one version was measured alone."""
    difference: Interval | None = None
    text: str = ""
    """The verdict in words."""
    role: str = "guarded"
    margin: float = 0.02
    n_cases: int = 0
    n_clusters: int = 0
    n_samples: int = 1
    spent_usd: float = 0.0
    took_s: float = 0.0
    """By the clock where this process ran it, else as `waited_s`."""
    waited_s: float = 0.0
    """Seconds that the answers which it asked itself took, one after another; those that were known are not among them."""
    partial: str = ""
    """Why not all was asked, such as that the budget is spent; empty where it is whole."""
    n_outdated: int = 0
    """Cases that rest on texts of an index which changed since, and that nobody called right; known when the run is told."""

    def count(self, flip: Flip) -> int:
        """Cases of a kind."""
        return sum(each.flip == flip for each in self.cases)

    @property
    def passed(self) -> bool:
        """Whether every gate passed; what has no gate has not."""
        return bool(self.gates) and all(each.passed for each in self.gates)


def visible(text: str) -> str:
    """Text with its control characters shown as what they are, so that none of them does anything.

    Tabs, ends of lines and all that has a shape stay; what turns the direction of writing does not.

    >>> visible(chr(0) + chr(0x202E) + "c")
    '␀[U+202E]c'
    """
    return _UNSEEN.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else f"[U+{code:04X}]"


def shortened(text: str, n_chars: int = 160) -> str:
    """Visible text on one line, of at most so many characters.

    >>> shortened("one   two", 5)
    'one …'
    """
    line = " ".join(visible(text[: 4 * n_chars]).split())
    return line if len(line) <= n_chars else f"{line[: n_chars - 1]}…"


def share(value: float | None) -> str:
    """A score as a share of the whole.

    >>> share(0.9134), share(None)
    ('91.3%', '–')
    """
    return "–" if value is None else f"{100 * value:.1f}%"


def share_of(part: int, whole: int) -> str:
    """A count as a share of another, in whole percents that round to neither end.

    >>> share_of(199, 200), share_of(0, 200), share_of(0, 0)
    ('99%', '0%', '–')
    """
    if not whole:
        return "–"
    return f"{min(99, max(1, round(100 * part / whole))) if 0 < part < whole else 100 * part // whole}%"


def points(value: float | None) -> str:
    """A difference of scores in points.

    >>> points(-0.0312), points(0.0), points(None)
    ('-3.1', '0.0', '–')
    """
    if value is None:
        return "–"
    told = round(100 * value, 1)
    return f"{told:+.1f}" if told else "0.0"


def interval_text(found: Interval | None, mean: float | None = None) -> str:
    """A score with its bounds; without them, the mean alone and that it has none.

    >>> interval_text(Interval(0.9, 0.85, 0.94, 60)), interval_text(None, 1.0)
    ('90.0% (85.0 to 94.0)', '100.0% (no interval)')
    """
    if found is None:
        return "–" if mean is None else f"{share(mean)} (no interval)"
    if found.low == found.high:
        return f"{share(found.value)} (no interval)"  # what never differs is no certainty
    return f"{share(found.value)} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def difference_text(found: Interval | None) -> str:
    """A difference with its bounds, in points.

    >>> difference_text(Interval(-0.03, -0.05, 0.01, 60))
    '-3.0 points (-5.0 to +1.0)'
    """
    return "–" if found is None else f"{points(found.value)} points ({points(found.low)} to {points(found.high)})"


def notable(told: EvalTold) -> list[CaseTold]:
    """The cases to look at first: worse ones, the worst first; of a version alone what failed or scored lowest."""
    if len(told.sides) > 1:
        worse = [each for each in told.cases if each.flip in ("worse", "unpaired")]
        return sorted(worse, key=lambda each: -1.0 if each.change is None else each.change)
    scored = [(score_of(each), each) for each in told.cases]
    low = [(score, each) for score, each in scored if score is not None and score < 1.0]
    return [each for _, each in sorted(low, key=lambda pair: pair[0])]


def score_of(case: CaseTold, side: int = -1) -> float | None:
    """Mean over samples of one version's answers to a case, by default of the last version; None where none was scored."""
    known = [answer.score for answer in case.answers[side] if answer.score is not None]
    return sum(known) / len(known) if known else None


def case_line(case: CaseTold) -> str:
    """A case in a line: what became of it, what it was asked, why its answer scored what it did."""
    how = f"{points(case.change)} points" if case.change is not None else _score_text(case)
    why = _why(case)
    return f"{shortened(case.id, 60)}: {how}; {shortened(case.question, 80)}" + (
        f" ({shortened(why, 80)})" if why else ""
    )


def _why(case: CaseTold) -> str:
    """Why its last version's answers scored what they did; where no scorer says, what was expected and what was said."""
    low = sorted(
        (part for each in case.answers[-1] for part in each.scores if part.value is not None and part.value < 1.0),
        key=lambda part: part.value or 0.0,
    )
    told = next((part.why for part in low if part.why), "") or next((each.error for each in case.answers[-1]), "")
    if told or not low or not case.expected:
        return told
    said = next((each.text for each in case.answers[-1] if each.score is None or each.score < 1.0), "")
    return f"expected {shortened(case.expected, 36)!r}, said {shortened(said, 30)!r}"


def _score_text(case: CaseTold) -> str:
    score = score_of(case)
    return "no score" if score is None else f"score {score:.2f}"
