"""Insults, threats and slurs by a weighted list: what a list can see, and no more.

A grave word is enough, milder ones add up. Irony, context and new words are beyond it: for those, a learned check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from perdure.engines.guards.checks import PointingCheck
from perdure.engines.guards.stretches import Hit

# Weight → words and phrases; `*` stands for any ending. Slurs and threats are grave; coarse language alone is not.
_WEIGHTS: dict[float, tuple[str, ...]] = {
    1.0: (
        "kill yourself", "kys", "go die", "hang yourself", "you should die", "hope you die", "i will kill you",
        "i'll kill you", "gonna kill you", "i will find you and", "i will hurt you", "i'll hurt you", "burn in hell",
        "slit your throat", "shoot you", "beat you up", "rape you", "cunt*", "faggot*", "nigger*", "kike*", "spic",
        "spics", "chink*", "wetback*", "raghead*", "tranny", "trannies", "subhuman*", "vermin like you",
        "bring dich um", "häng dich auf", "hurensohn*", "missgeburt*", "nique ta mère", "fils de pute", "hijo de puta",
        "mátate", "figlio di puttana", "ammazzati", "filho da puta", "сдохни",
    ),
    0.6: (
        "motherfuck*", "piece of shit", "fuck you", "fuck off", "asshole*", "bitch*", "whore*", "slut*", "retard*",
        "scumbag*", "bastard*", "shut the fuck up", "dickhead*", "wanker*", "twat*", "you disgust me", "worthless",
        "arschloch*", "wichser*", "fotze*", "connard*", "salope*", "enculé*", "pendejo*", "cabrón*", "gilipollas",
        "stronzo", "coglione", "vaffanculo", "caralho", "ублюд*",
    ),
    0.34: (
        "idiot*", "moron*", "imbecile*", "stupid", "dumb", "dumbass*", "loser*", "pathetic", "shut up", "hate you",
        "fuck*", "shit", "bullshit", "crap", "damn you", "screw you", "trash human", "ugly", "freak", "pig", "clown",
        "dummkopf", "scheiß*", "trottel", "merde", "imbécile", "idiota*", "mierda", "estúpid*", "merda",
    ),
}  # fmt: skip


def _expression(words: tuple[str, ...]) -> str:
    forms = [re.escape(word.rstrip("*")).replace(r"\ ", r"\s{1,3}") + (r"\w{0,12}" if word[-1] == "*" else "") for word in
             sorted(words, key=len, reverse=True)]  # fmt: skip
    return "|".join(forms)


_WORDS = re.compile(
    r"(?<!\w)(?:" + "|".join(f"({_expression(words)})" for words in _WEIGHTS.values()) + r")(?!\w)", re.IGNORECASE
)
_LONGEST = 48
_WEIGHT = tuple(_WEIGHTS)


class _Finder:
    """One finder for all weights, so that milder words add up in the order in which they stand."""

    longest = _LONGEST
    back = 0
    tail = None
    gate = None

    def find(self, text: str, start: int = 0) -> Iterator[Hit]:
        for match in _WORDS.finditer(text, start):
            weight = _WEIGHT[(match.lastindex or 1) - 1]
            yield Hit(match.start(), match.end(), "toxicity", match.start(), match.end(), weight)


def toxicity(threshold: float = 1.0) -> PointingCheck:
    """A check that counts words from where their weights reach the threshold.

    >>> [toxicity().first(text) is not None for text in ("You idiot.", "You stupid, pathetic idiot.", "Go die.")]
    [False, True, True]
    """
    return PointingCheck("toxicity", (_Finder(),), threshold=threshold)
