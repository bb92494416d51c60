"""Where a claim of an answer stands in the texts that it was made from, and which claims stand nowhere.

Each claim (`core.texts.claims`) is looked for in windows of a few sentences of one source, so that a number of one place and a
name of another support nothing. All its numbers, three of five names and half of its words must be there, and the sentence
that is nearest to it must not say the contrary. Words of scripts without spaces are compared by pairs of letters. What
surprised us: "I don't know when the bridge was opened" has the words of a claim; abstaining claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from perdure.core.ports import Entails
from perdure.core.texts.claims import NAME_SHARE, STEM, WORD_SHARE, Facts, facts_of, is_claim
from perdure.core.texts.folding import plainest, unveiled
from perdure.core.texts.refusals import refusing_language
from perdure.core.texts.tokens import HAS_UNSPACED, UNSPACED_RUN, folded, words

Lacks = Literal["", "numbers", "names", "words", "negation", "entailment"]
"""What of a claim is nowhere; `negation`: the contrary is said. Empty: nothing, it is supported."""
MOST_CHARACTERS = 100_000
MOST_CLAIMS = 300
WINDOW = 3
"""Sentences that one claim may be drawn from."""
_MOST_READ = 3  # windows that a model of entailment reads for a claim
_ENDS = re.compile(r"(?<=[.!?\u061f\u06d4\u0964])\s+|\n+|(?<=[\u3002\uff01\uff1f])")
_NEGATED = re.compile(
    r"\b(?:not(?! only)|no(?!\.? ?\d)|never|none|nobody|nothing|neither|nor|without|cannot|nicht(?! nur)|kein(?:e[nmrs]?)?|"
    r"nie|niemals|niemand|ohne|ne|jamais|sans|aucune?|nunca|jamas|ningun[ao]?|nao|non(?!-)|niet|geen|nooit)\b|n['\u2019]t\b|"
    r"\u306a\u3044|\u306a\u304b\u3063\u305f|\u307e\u305b\u3093|\u305a\u306b|[\u4e0d\u6ca1\u6c92\u672a]|"
    r"(?<!\w)\u0648?(?:\u0644\u0627|\u0644\u064a\u0633\u062a?|\u0644\u0645|\u0644\u0646|\u0628\u062f\u0648\u0646)(?!\w)"
)
_ABSTAINS = re.compile(
    r"\bi (?:do not|don['\u2019]t|cannot|can['\u2019]t) (?:know|say|tell|find|answer|determine)\b|"
    r"\b(?:not|n['\u2019]t|no)\b.{0,40}\b(?:mention(?:ed)?|stated?|specif(?:y|ied)|provided?|contain(?:ed)?|information|"
    r"available|given) ?(?:in|by|about|on|for|any)?\b.{0,60}\b(?:context|document|text|passage|source|information)s?\b|"
    r"\b(?:context|document|text|passage|source|information)s?\b.{0,40}\b(?:not|n['\u2019]t|no)\b.{0,30}\b(?:mention|state|"
    r"specif|provide|contain|say|include)|"
    r"\b(?:weiss|kann) (?:ich|es|das)? ?(?:leider )?nicht\b|\bich (?:weiss|kann)\b.{0,30}\bnicht\b|\bje ne sais pas\b|"
    r"\bno (?:lo )?se\b|\u308f\u304b\u308a\u307e\u305b\u3093|\u5206\u304b\u308a\u307e\u305b\u3093|"
    r"\u4e0d\u77e5\u9053|\u0644\u0627 \u0623\u0639\u0631\u0641|\u0644\u0627 \u0627\u0639\u0631\u0641"
)
_HIRAGANA = re.compile("[\u3041-\u309f\u30fc]+")
_ARABIC = re.compile("[\u0621-\u064a]{3,30}")
_ARABIC_BEFORE = re.compile("^(?:[\u0648\u0641]?(?:[\u0628\u0643]?\u0627\u0644|\u0644\u0644)|\u0648)(?=.{3})")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of a text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The sentence of a source that is nearest to a claim."""

    source: int
    """Place among the sources."""
    at: Sentence


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of an answer."""

    at: Sentence
    lacks: Lacks
    missing: tuple[str, ...] = ()
    """Numbers or names that no window has."""
    evidence: Evidence | None = None
    """None where no sentence shares a word with it."""

    @property
    def supported(self) -> bool:
        """It stands in a source."""
        return not self.lacks


@dataclass(frozen=True, slots=True)
class _Read:
    at: Sentence
    facts: Facts
    negated: bool


@dataclass(frozen=True, slots=True)
class _Window:
    facts: Facts
    sentences: tuple[_Read, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a window lacks of a claim, and how many words they share."""

    lacks: Lacks
    n_shared: int
    place: int
    window: _Window


@dataclass(frozen=True, slots=True)
class _Source:
    """A text that was read for evidence."""

    sentences: tuple[_Read, ...]
    windows: tuple[_Window, ...]


def sentences_of(text: str) -> list[Sentence]:
    r"""The sentences of a text with their places, without spaces around them. Linear.

    >>> [each.text for each in sentences_of("One. Two!\n三。四")]
    ['One.', 'Two!', '三。', '四']
    """
    found = []
    begin = 0
    for end, following in [*(match.span() for match in _ENDS.finditer(text)), (len(text), len(text))]:
        piece = text[begin:end]
        bare = piece.strip()
        if bare:
            start = begin + len(piece) - len(piece.lstrip())
            found.append(Sentence(start, start + len(bare), bare))
        begin = following
    return found


def claims_of(text: str) -> list[tuple[Sentence, Facts]]:
    """The sentences of an answer that claim something: no refusals, nothing that abstains, nothing without content.

    >>> [each.text for each, _ in claims_of("Sure! The bridge has 12 lanes. I don't know who built the bridge.")]
    ['The bridge has 12 lanes.']
    """
    return [(each.at, each.facts) for each in _claims_read(text)]


def _claims_read(text: str) -> list[_Read]:
    read = (_read(each, begins=False) for each in sentences_of(text[:MOST_CHARACTERS]))
    return [each for each in read if is_claim(each.facts) and not abstains(each.at.text)][:MOST_CLAIMS]


def abstains(sentence: str) -> bool:
    """Whether a sentence says that something is not known or not told, or refuses.

    >>> abstains("The context does not mention the price."), abstains("The bridge does not open.")
    (True, False)
    """
    return len(sentence) < 500 and (
        _ABSTAINS.search(plainest(sentence)) is not None or bool(refusing_language(sentence))
    )


def _read(at: Sentence, *, begins: bool) -> _Read:
    return _Read(at, wide_facts(at.text, begins=begins), _NEGATED.search(plainest(at.text)) is not None)


def wide_facts(text: str, *, begins: bool) -> Facts:
    """The facts of a text in any script: pairs of letters where no spaces stand, Arabic words without what clings to them.

    >>> sorted(wide_facts("橋は東京にある", begins=False).words)
    ['は東', '京に', '東京', '橋は']
    """
    if text.isascii():
        return _singular(facts_of(text, begins=begins))
    plain = unveiled(text).text
    more: set[str] = set()
    if HAS_UNSPACED.search(plain):
        for run in UNSPACED_RUN.findall(plain):
            more.update(pair for pair in map("".join, pairwise(run)) if _HIRAGANA.fullmatch(pair) is None)
        plain = UNSPACED_RUN.sub(" ", plain)
    arabic = folded(plain)
    if _ARABIC.search(arabic):
        more.update(_ARABIC_BEFORE.sub("", word)[:STEM] for word in _ARABIC.findall(arabic))
        plain = _ARABIC.sub(" ", arabic)
    facts = _singular(facts_of(plain, begins=begins))
    return Facts(facts.numbers, facts.names, facts.words | more) if more else facts


def _singular(facts: Facts) -> Facts:
    """Without the last s, so that what "sails" meets what "does not sail"."""
    return Facts(facts.numbers, facts.names, frozenset(map(_bare, facts.words)))


def _bare(stem: str) -> str:
    return stem[:-1] if len(stem) == STEM and stem[-1] == "s" else stem


def _stems(names: frozenset[str]) -> set[str]:
    return {_bare(name[:STEM]) for name in names}


@lru_cache(maxsize=512)
def _source_of(text: str) -> _Source:
    """A text as windows of sentences; those read last are kept. Linear."""
    read = tuple(_read(each, begins=True) for each in sentences_of(text[:MOST_CHARACTERS]))
    last = max(1, len(read) - WINDOW + 1) if read else 0
    return _Source(read, tuple(_window(read[begin : begin + WINDOW]) for begin in range(last)))


def _window(read: tuple[_Read, ...]) -> _Window:
    return _Window(
        Facts(
            frozenset().union(*(each.facts.numbers for each in read)),
            frozenset().union(*(each.facts.names for each in read)),
            frozenset().union(*(each.facts.words for each in read)),
        ),
        read,
    )


def look_up(text: str, sources: Sequence[str], entails: Entails | None = None) -> list[Claim]:
    """The claims of a text, each with whether the sources have it.

    Args:
        text: an answer; what is after 100,000 characters or 300 claims is not looked at.
        sources: texts, each looked at by itself.
        entails: a model that decides where numbers are supported, instead of words; it reads the three nearest windows.

    Cost: 40 µs a sentence of the text, 2 µs a claim and sentence of the sources, which are read once.

    >>> [claim.lacks for claim in look_up("It has 12 lanes. It has 13 lanes. It has not 12 lanes.", ["It has 12 lanes."])]
    ['', 'numbers', 'negation']
    """
    read = [_source_of(each) for each in sources]
    return [_judged(claim, read, entails) for claim in _claims_read(text)]


def stands_in(text: str, sources: Sequence[str]) -> bool:
    """Whether sources have a short text that may claim nothing by itself, such as "Paris" or "since 1889".

    >>> stands_in("Paris", ["The capital is Paris."]), stands_in("Rome", ["The capital is Paris."])
    (True, False)
    """
    facts = wide_facts(text[:MOST_CHARACTERS], begins=False)
    if facts.numbers or facts.words:
        at = Sentence(0, len(text), text)
        read = _Read(at, facts, negated=False)
        return any(not _lack(read, window) for source in sources for window in _source_of(source).windows)
    wanted = set(words(text))
    return bool(wanted) and any(wanted <= set(words(source[:MOST_CHARACTERS])) for source in sources)


def _judged(claim: _Read, sources: Sequence[_Source], entails: Entails | None) -> Claim:
    found = [
        _Found(_lack(claim, window), len(claim.facts.words & window.facts.words), place, window)
        for place, source in enumerate(sources)
        for window in source.windows
    ]
    held = [each for each in found if not each.lacks]
    best = max(held or found, key=lambda each: each.n_shared, default=None)
    if best is None:
        return Claim(claim.at, _first(claim.facts), _missing(claim, None))
    lacks: Lacks = "negation" if held and _is_denied(claim, sources) else best.lacks
    if entails is not None and any(each.lacks != "numbers" for each in found):
        lacks = _entailed(claim, found, entails)
    if not best.n_shared and lacks:
        return Claim(claim.at, lacks, _missing(claim, None) if lacks == best.lacks else ())
    nearest = max(best.window.sentences, key=lambda each: _shared(claim, each))
    missing = _missing(claim, best.window) if lacks and lacks == best.lacks else ()
    return Claim(claim.at, lacks, missing, Evidence(best.place, nearest.at))


def _first(facts: Facts) -> Lacks:
    return "numbers" if facts.numbers else "names" if facts.names else "words"


def _shared(claim: _Read, sentence: _Read) -> int:
    return len(claim.facts.words & sentence.facts.words) + 2 * len(claim.facts.numbers & sentence.facts.numbers)


def _lack(claim: _Read, window: _Window) -> Lacks:
    """What a window has not, whatever it denies."""
    facts, known = claim.facts, window.facts
    if not facts.numbers <= known.numbers:
        return "numbers"
    names = _stems(facts.names)
    if len(names & known.words) < NAME_SHARE * len(names):
        return "names"
    if len(facts.words & known.words) < WORD_SHARE * len(facts.words):
        return "words"
    return ""


def _is_denied(claim: _Read, sources: Sequence[_Source]) -> bool:
    """Whether the sentence that is nearest to a claim says the contrary: one is negated, and the other is not.

    Nearest of all sources, not of a window: another window may leave out the very sentence that denies it. Where no sentence
    has half of the words, several carry the claim together, and none of them alone denies it.
    """
    words = claim.facts.words
    best, denied = (0, 0.0, False), False
    for each in (sentence for source in sources for sentence in source.sentences):
        n_words = len(words & each.facts.words)
        if 2 * n_words < len(words):
            continue
        shared = n_words + 2 * len(claim.facts.numbers & each.facts.numbers)
        near = (shared, shared / max(1, len(words | each.facts.words)), each.negated == claim.negated)
        if near > best:
            best, denied = near, each.negated != claim.negated
    return denied


def _entailed(claim: _Read, found: Sequence[_Found], entails: Entails) -> Lacks:
    near = sorted((each for each in found if each.lacks != "numbers"), key=lambda each: -each.n_shared)[:_MOST_READ]
    pairs = [(" ".join(each.at.text for each in one.window.sentences), claim.at.text) for one in near]
    return "" if max(entails.entails(pairs), default=0.0) >= 0.5 else "entailment"


def _missing(claim: _Read, window: _Window | None) -> tuple[str, ...]:
    """The numbers, or else the names, that a window has not."""
    numbers = claim.facts.numbers - (window.facts.numbers if window is not None else frozenset())
    if numbers:
        return tuple(sorted(numbers))
    known = window.facts.words if window is not None else frozenset()
    names = {name for name in claim.facts.names if _bare(name[:STEM]) not in known}
    return tuple(sorted(names)) if len(names) > (1 - NAME_SHARE) * len(claim.facts.names) else ()
